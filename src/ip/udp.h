// SPDX-License-Identifier: Apache-2.0
// UDP: RFC 768, RFC 1122 §4.1, RFC 8200 §8.1. Ports and who listens on them; addresses of IPv4 are
// mapped. Thread: the worker's that owns the host.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "ip/context.h"
#include "ip/delivery.h"
#include "ip/keyed_hash.h"
#include "wire/ip_address.h"

namespace tideline::ip {

struct UdpEndpoint {
  wire::Ipv6Address address;  // ::, or 0.0.0.0 mapped: any of ours
  std::uint16_t port = 0;

  friend bool operator==(const UdpEndpoint&, const UdpEndpoint&) = default;
};

// More listeners of a group's port than this do not hear it.
inline constexpr std::size_t kMaxGroupListeners = 64;

// One datagram's way.
struct UdpPath {
  UdpEndpoint source;
  UdpEndpoint destination;
  std::uint8_t hop_limit = 64;
  std::uint8_t traffic_class = 0;
  bool may_fragment = true;  // of what is sent
};

class UdpHandler {
 public:
  // `payload` is what follows the UDP header. If its offload says Gso::kUdp, it stands for several
  // datagrams of one sender: gso_size bytes each, the last may be shorter. Whoever cannot deal with
  // that takes it apart.
  virtual void receive(packet::PacketPtr payload, const UdpPath& path, Instant now) = 0;
  // About a datagram that was sent from this handler's port to `error.quote.destination`.
  virtual void failed(const PathError& error, Instant now) = 0;

 protected:
  ~UdpHandler() = default;
};

enum class UdpSharing : std::uint8_t { kNone, kAddress, kBalanced };

class Udp final : public ProtocolHandler {
 public:
  Udp(Context& context, Upcalls& upcalls, Sender& sender);

  // Fails if the endpoint is taken. :: listens for both IP versions. An endpoint may have several
  // listeners if all say that they share it (SO_REUSEADDR): a broadcast or multicast goes to all
  // that listen on its port, a unicast to who bound last, or, if all balance, to one of them, by
  // its sender (SO_REUSEPORT).
  // `only_ipv6`: :: does not listen for IPv4, if all say so that share it.
  Status bind(const UdpEndpoint& local, UdpHandler& handler, UdpSharing sharing = UdpSharing::kNone,
              bool only_ipv6 = false);
  // All listeners of the endpoint; or one of those that share it.
  void unbind(const UdpEndpoint& local);
  void unbind(const UdpEndpoint& local, const UdpHandler& handler);
  // Gives a port, on all addresses, to a protocol that checks its datagrams itself (RoCEv2, whose
  // CRC covers the headers too): it gets them whole, with no look at the checksum, which it may
  // leave out over IPv6 as well (RFC 6935). There is one such port; null takes it away.
  void set_tunnel(std::uint16_t port, ProtocolHandler* handler) {
    tunnel_port_ = port;
    tunnel_ = handler;
  }

  // `path.source.address` is one of ours. Leaves the checksum to whoever transmits. A payload with
  // Gso::kUdp and a gso_size > 0 is sent as many datagrams of that size, which must fit the path's
  // MTU; whoever transmits cuts it, as late as possible.
  Sent send(packet::PacketPtr payload, const UdpPath& path, Instant now);

  void receive(packet::PacketPtr packet, const Datagram& datagram, Instant now) override;
  bool recognises(const PathError& error) const override;
  void failed(const PathError& error, Instant now) override;

 private:
  struct EndpointHash {
    HashKey key;

    std::size_t operator()(const UdpEndpoint& endpoint) const noexcept {
      return siphash(key, std::array{endpoint.address.high(), endpoint.address.low(),
                                     std::uint64_t{endpoint.port}});
    }
  };
  struct Listeners {
    UdpSharing sharing = UdpSharing::kNone;  // the least of all of them
    std::vector<UdpHandler*> handlers{};     // who bound last is last
    bool only_ipv6 = true;                   // all of them

    bool hear(const UdpEndpoint& local) const { return !only_ipv6 || !local.address.is_mapped(); }
  };

  bool check_checksum(const packet::Packet& packet, const Datagram& datagram);
  UdpHandler* find(const UdpEndpoint& local, const UdpEndpoint& remote) const;
  void deliver_to_all(packet::PacketPtr payload, const UdpPath& path, Instant now);

  Context& context_;
  Upcalls& upcalls_;
  Sender& sender_;
  std::unordered_map<UdpEndpoint, Listeners, EndpointHash> handlers_;
  std::uint16_t tunnel_port_ = 0;
  ProtocolHandler* tunnel_ = nullptr;
};

}  // namespace tideline::ip
