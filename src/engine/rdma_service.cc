// SPDX-License-Identifier: Apache-2.0
#include "engine/rdma_service.h"

#include <sys/random.h>

#include <algorithm>
#include <chrono>
#include <span>

#include "wire/roce.h"

namespace tideline::engine {
namespace {

// Whoever does not receive (a stopped process: of one that is busy the helper receives) holds up
// the others no longer than this.
constexpr Duration kPatience = std::chrono::milliseconds(100);

}  // namespace

std::uint32_t RandomKeys::next_key() {
  if (used_ == keys_.size()) {
    std::size_t filled = 0;
    while (filled < sizeof(keys_)) {
      const ssize_t got = ::getrandom(reinterpret_cast<std::byte*>(keys_.data()) + filled,
                                      sizeof(keys_) - filled, 0);
      if (got > 0) filled += static_cast<std::size_t>(got);
    }
    used_ = 0;
  }
  return keys_[used_++];
}

std::uint64_t eui64_of(const wire::MacAddress& mac) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 6; ++i) {
    value = value << 8 | static_cast<std::uint8_t>(mac.bytes()[i]);
    if (i == 2) value = value << 16 | 0xfffe;
  }
  return value ^ (std::uint64_t{2} << 56);
}

void fill_gids(rdma::GidTable& gids, const HostOptions& host) {
  gids.add({.gid = host.ipv6.front().address});
  for (const auto& prefix : host.ipv4) gids.add({.gid = rdma::Gid::mapped(prefix.address)});
  for (const auto& prefix : std::span(host.ipv6).subspan(1)) gids.add({.gid = prefix.address});
  gids.add_v1();
}

rdma::DeviceOptions device_options(const HostOptions& host, const wire::MacAddress& mac) {
  rdma::DeviceOptions options{.node_guid = eui64_of(mac), .link_mtu = host.mtu};
  if (!host.ipv4.empty()) options.lids = rdma::LidNetwork(host.ipv4.front());
  return options;
}

void join(rdma::Device& device, Worker& worker) {
  ip::Stack& stack = worker.host()->stack();
  stack.udp().set_tunnel(wire::kRocePort, &device);
  stack.grh().set_handler(&device);
}

bool RdmaService::run(Instant now) {
  if (!device_.has_work() && device_.next_deadline() > now) return false;
  std::size_t frames = room(now);
  device_.run(now, frames);
  while (device_.has_work() && frames > 0 && is_cut()) {
    worker_.flush(now);
    frames = room(now);
    device_.run(now, frames);
  }
  return true;
}

std::size_t RdmaService::room(Instant now) {
  const nic::Function& function = worker_.function();
  std::size_t frames = function.tx_room();
  if (is_cut()) frames /= packet::Burst::kCapacity;
  if (frames > 0) {
    full_since_ = kNever;
    return frames;
  }
  full_since_ = std::min(full_since_, now);
  return now - full_since_ < kPatience ? 0 : 1;
}

}  // namespace tideline::engine
