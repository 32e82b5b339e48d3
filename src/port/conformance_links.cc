// SPDX-License-Identifier: Apache-2.0
#include "port/conformance_links.h"

#include "port/capture.h"
#include "port/impairment.h"
#include "port/memory.h"
#include "port/port_test_util.h"

namespace tideline::port::testing {
namespace {

ConformanceLink with_pools() {
  ConformanceLink link;
  link.near_pool = make_pool();
  link.far_pool = make_pool();
  return link;
}

Result<ConformanceLink> open_memory(std::size_t mtu, const Capabilities& capabilities) {
  ConformanceLink link = with_pools();
  auto pair = MemoryPort::create_pair({.capacity = 512, .mtu = mtu, .capabilities = capabilities});
  if (!pair) return fail(std::move(pair.error()));
  link.near = std::move(pair->left);
  link.far = std::move(pair->right);
  return link;
}

Result<ConformanceLink> open_impaired() {
  auto link = open_memory(1500, MemoryPortOptions{}.capabilities);
  if (!link) return link;
  const auto spec = ImpairmentSpec::parse("delay=200us,rate=10Gbit");
  if (!spec) return fail(spec.error());
  link->near = std::make_unique<ImpairedPort>(std::move(link->near), *spec, 1,
                                              QueuePools{link->near_pool.get()}, 512);
  return link;
}

Result<ConformanceLink> open_captured() {
  auto link = open_memory(1500, MemoryPortOptions{}.capabilities);
  if (!link) return link;
  auto writer = PcapWriter::create("/dev/null", {});
  if (!writer) return fail(std::move(writer.error()));
  link->near = std::make_unique<CapturePort>(std::move(link->near), std::move(*writer));
  return link;
}

}  // namespace

std::vector<ConformanceKind> conformance_kinds() {
  return {
      {.name = "memory",
       .open = [] { return open_memory(1500, MemoryPortOptions{}.capabilities); }},
      {.name = "memory_jumbo",
       .open = [] { return open_memory(9000, MemoryPortOptions{}.capabilities); }},
      {.name = "memory_without_offloads", .open = [] { return open_memory(1500, {}); }},
      {.name = "impairment", .open = open_impaired},
      {.name = "capture", .open = open_captured},
  };
}

}  // namespace tideline::port::testing
