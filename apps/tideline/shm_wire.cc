// SPDX-License-Identifier: Apache-2.0
#include "shm_wire.h"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "base/bits.h"
#include "base/clock.h"
#include "base/mapping.h"
#include "base/memfd.h"
#include "port/shm/port.h"
#include "session.h"

namespace tideline::app {
namespace {

// An address that goes with a slot is taken together with the slot, so that nobody leases it.
template <typename Address>
std::optional<unsigned> slot_for(const std::vector<std::string>& addresses) {
  for (const std::string& text : addresses) {
    const auto prefix = wire::Prefix<Address>::from_text(text);
    if (!prefix) continue;
    if (const auto slot = port::shm::slot_of(prefix->address)) return slot;
  }
  return std::nullopt;
}

Result<Mapping> try_memory(std::size_t size) {
  auto fd = create_memfd("tideline-probe", size, PageKind::kNormal);
  if (!fd) return fail(std::move(fd.error()));
  auto memory = Mapping::map(fd->get(), size, Access::kReadWrite);
  if (!memory) return memory;
  Status status = memory->populate();
  if (status) status = seal_memfd(fd->get(), Sharing::kReadOnly);
  if (!status) return fail(std::move(status.error()));
  return memory;
}

}  // namespace

std::unique_ptr<port::Port> open_shm(std::string_view name, std::size_t mtu, packet::Pool& pool,
                                     WireOptions& options) {
  port::ShmPortOptions shm{.mtu = mtu, .promiscuous = options.promiscuous};
  shm.claim.wanted = slot_for<wire::Ipv4Address>(options.ip4);
  if (!shm.claim.wanted) shm.claim.wanted = slot_for<wire::Ipv6Address>(options.ip6);
  shm.claim.highest_first = options.promiscuous;
  auto port = value_or_throw(port::ShmPort::open(name, &pool, shm, monotonic_now()));
  if (options.promiscuous) return port;
  std::string leased;
  if (options.ip4.empty()) {
    const auto address = port::shm::leased_ipv4(port->slot());
    options.ip4.push_back(address.to_text());
    leased = address.address.to_text();
  }
  if (options.ip6.empty()) {
    const auto address = port::shm::leased_ipv6(port->slot());
    options.ip6.push_back(address.to_text());
    leased += (leased.empty() ? "" : " and ") + address.address.to_text();
  }
  options.leased = leased;
  return port;
}

std::string shm_lacks() {
  if (const auto memory = try_memory(kPageSize); !memory) return memory.error().message();
  const auto directory = port::shm::segment_directory("default");
  return directory ? "" : directory.error().message();
}

std::string shm_allows() {
  const auto directory = port::shm::segment_directory("default");
  auto memory = try_memory(kHugePageSize);
  const bool huge = memory && memory->try_collapse();
  return fmt::format("sealed memory on {}; members meet in {}",
                     huge ? "2 MiB pages (MADV_COLLAPSE)" : "4 KiB pages",
                     directory ? *directory : "no directory");
}

}  // namespace tideline::app
