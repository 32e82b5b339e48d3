// SPDX-License-Identifier: Apache-2.0
#include "port/conformance_links.h"

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "port/af_xdp.h"
#include "port/capture.h"
#include "port/dgram.h"
#include "port/impairment.h"
#include "port/memory.h"
#include "port/packet.h"
#include "port/port_test_util.h"
#include "port/shm/port.h"
#include "port/tap.h"
#include "port/test_namespace.h"

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

// Frames through the kernel's veth, a packet port at each end.
Result<ConformanceLink> open_packet(unsigned mtu) {
  ConformanceLink link = with_pools();
  if (Status s = make_veth("tl-near", "tl-far", mtu); !s) return fail(std::move(s.error()));
  link.resources = std::shared_ptr<void>(nullptr, [](void*) { remove_veth("tl-near"); });
  auto near = PacketPort::open("tl-near", {link.near_pool.get()}, {.rx_blocks = 4});
  if (!near) return fail(std::move(near.error()));
  auto far = PacketPort::open("tl-far", {link.far_pool.get()}, {.rx_blocks = 16});
  if (!far) return fail(std::move(far.error()));
  link.near = std::move(*near);
  link.far = std::move(*far);
  return link;
}

// Frames through the kernel's veth, an AF_XDP port at each end.
Result<ConformanceLink> open_xdp(unsigned mtu, XdpMode mode, bool multi_buffer = true) {
  ConformanceLink link = with_pools();
  if (Status s = make_veth("tl-near", "tl-far", mtu); !s) return fail(std::move(s.error()));
  link.resources = std::shared_ptr<void>(nullptr, [](void*) { remove_veth("tl-near"); });
  XdpSpec spec{
      .interface = "tl-near", .modes = {mode}, .take_all = true, .multi_buffer = multi_buffer};
  auto near = XdpPort::open(spec, {link.near_pool.get()});
  if (!near) return fail(std::move(near.error()));
  spec.interface = "tl-far";
  auto far = XdpPort::open(spec, {link.far_pool.get()});
  if (!far) return fail(std::move(far.error()));
  link.near = std::move(*near);
  link.far = std::move(*far);
  return link;
}

// What a TAP sends, the kernel receives at the device, where a packet port takes it; and back.
Result<ConformanceLink> open_tap() {
  ConformanceLink link = with_pools();
  if (Status s = enter_test_namespace(); !s) return fail(std::move(s.error()));
  auto near = TapPort::open({.name = "tl-tap"}, {link.near_pool.get()});
  if (!near) return fail(std::move(near.error()));
  link.near = std::move(*near);
  auto far = PacketPort::open("tl-tap", {link.far_pool.get()}, {.rx_blocks = 16});
  if (!far) return fail(std::move(far.error()));
  link.far = std::move(*far);
  return link;
}

// The same the other way round: what the TAP receives.
Result<ConformanceLink> open_tap_receiving() {
  auto link = open_tap();
  if (!link) return link;
  std::swap(link->near, link->far);
  std::swap(link->near_pool, link->far_pool);
  return link;
}

Result<ConformanceLink> open_dgram(std::size_t mtu) {
  ConformanceLink link = with_pools();
  if (Status s = enter_test_namespace(); !s) return fail(std::move(s.error()));
  std::string pattern = std::filesystem::temp_directory_path() / "tideline-dgram-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) return fail_errno("cannot make a directory");
  link.resources =
      std::shared_ptr<void>(nullptr, [pattern](void*) { std::filesystem::remove_all(pattern); });
  const std::string left = pattern + "/left";
  const std::string right = pattern + "/right";
  auto near = DgramPort::open(left, right, link.near_pool.get(), {.mtu = mtu});
  if (!near) return fail(std::move(near.error()));
  auto far = DgramPort::open(right, left, link.far_pool.get(),
                             {.mtu = mtu, .mac = wire::MacAddress({0x02, 0, 0, 0, 0, 2})});
  if (!far) return fail(std::move(far.error()));
  link.near = std::move(*near);
  link.far = std::move(*far);
  return link;
}

Result<ConformanceLink> open_shm(std::size_t mtu) {
  ConformanceLink link = with_pools();
  std::string pattern = std::filesystem::temp_directory_path() / "tideline-shm-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) return fail_errno("cannot make a directory");
  link.resources =
      std::shared_ptr<void>(nullptr, [pattern](void*) { std::filesystem::remove_all(pattern); });
  const ShmPortOptions options{.mtu = mtu, .directory = pattern};
  auto near = ShmPort::open("test", link.near_pool.get(), options, monotonic_now());
  if (!near) return fail(std::move(near.error()));
  auto far = ShmPort::open("test", link.far_pool.get(), options, monotonic_now());
  if (!far) return fail(std::move(far.error()));
  link.near = std::move(*near);
  link.far = std::move(*far);
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
      {.name = "packet", .open = [] { return open_packet(1500); }},
      {.name = "packet_jumbo", .open = [] { return open_packet(9000); }},
      // Between two drivers' halves of a veth there is a queue that drops, too.
      {.name = "xdp",
       .open = [] { return open_xdp(1500, XdpMode::kCopy); },
       .accounts_for_all = false},
      {.name = "xdp_jumbo",
       .open = [] { return open_xdp(9000, XdpMode::kCopy); },
       .accounts_for_all = false},
      {.name = "xdp_single_buffer",
       .open = [] { return open_xdp(1500, XdpMode::kCopy, false); },
       .accounts_for_all = false},
      {.name = "xdp_generic",
       .open = [] { return open_xdp(1500, XdpMode::kGeneric); },
       .accounts_for_all = false},
      {.name = "xdp_generic_jumbo",
       .open = [] { return open_xdp(9000, XdpMode::kGeneric); },
       .accounts_for_all = false},
      {.name = "tap", .open = open_tap},
      // Between sender and TAP the device has a queue of its own.
      {.name = "tap_receiving", .open = open_tap_receiving, .accounts_for_all = false},
      {.name = "dgram", .open = [] { return open_dgram(1500); }},
      {.name = "dgram_jumbo", .open = [] { return open_dgram(9000); }},
      {.name = "shm", .open = [] { return open_shm(1500); }},
      {.name = "shm_largest", .open = [] { return open_shm(65535); }},
  };
}

}  // namespace tideline::port::testing
