// SPDX-License-Identifier: Apache-2.0
// A host: an address set with its protocol state, on a NIC function. Thread: its worker's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "base/time.h"
#include "ip/stack.h"
#include "nic/function.h"
#include "packet/pool.h"
#include "tcp/ip_network.h"
#include "tcp/tcp.h"
#include "wire/ip_address.h"

namespace tideline::engine {

struct HostOptions {
  std::uint16_t mtu = 1500;
  std::vector<wire::Ipv4Prefix> ipv4{};
  std::vector<wire::Ipv6Prefix> ipv6{};
  // Default routers: the first serves, until it does not answer; then another.
  std::vector<wire::Ipv4Address> gateways4{};
  std::vector<wire::Ipv6Address> gateways6{};
  // Whether nobody else on the wire can have the addresses: it has given them out.
  bool leased_addresses = false;
  // Whether IPv6 forms a link-local address and does as routers advertise.
  bool configure_ipv6 = true;
  std::size_t max_connections = 4096;          // TIME-WAIT included
  std::uint32_t max_receive_buffer = 4 << 20;  // bytes; decides the window scale
  tcp::Config tcp{};                           // the rest; its secrets are drawn by the host
};

class Host final : private ip::Output, private ip::Events {
 public:
  // The three outlive the host.
  Host(const HostOptions& options, nic::Function& function, packet::Pool& pool, Rng& rng);

  // Takes the addresses and routes. Addresses serve after their test for duplicates.
  Status configure(const HostOptions& options, Instant now);

  ip::Stack& stack() { return stack_; }
  const ip::Stack& stack() const { return stack_; }
  tcp::Tcp& tcp() { return tcp_; }

  // Of the IP layer and TCP.
  Instant next_deadline() const;
  void run_timers(Instant now);
  // After a burst was received, or owners have moved bytes.
  void flush(Instant now) { tcp_.flush(now); }

  // Whether all addresses serve.
  bool is_ready() const { return pending_.empty(); }
  // Another station uses an address of ours; nothing while there is none.
  const std::optional<Error>& conflict() const { return conflict_; }

 private:
  void transmit(packet::PacketPtr frame, Instant now) override;
  void address_ready(const wire::Ipv6Address& address, Instant now) override;
  void address_conflict(const wire::Ipv6Address& address, const wire::MacAddress& other,
                        Instant now) override;

  nic::Function& function_;
  std::vector<wire::Ipv6Address> pending_;  // of ours that are being tested; IPv4 mapped
  std::optional<Error> conflict_;
  // TCP goes last: frames that wait in the stack borrow from its connections.
  tcp::IpNetwork network_;
  tcp::Tcp tcp_;
  ip::Stack stack_;
};

}  // namespace tideline::engine
