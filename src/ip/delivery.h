// SPDX-License-Identifier: Apache-2.0
// How IP meets the protocols above it. They see IPv4 addresses in their IPv6 form (::ffff:a.b.c.d),
// so that one TCP and one UDP serve both. Thread: the worker's that owns the host.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "ip/discard.h"
#include "packet/packet.h"
#include "wire/icmp_quote.h"
#include "wire/ip_address.h"
#include "wire/packet_layout.h"
#include "wire/view.h"

namespace tideline::ip {

// A datagram that has come for us, whole.
struct Datagram {
  wire::PacketLayout layout;
  wire::Ipv6Address source;
  wire::Ipv6Address destination;
  bool to_group = false;      // broadcast or multicast: no error is ever sent about it
  bool in_fragments = false;  // it came in several, or in one that was the whole
  std::uint8_t hop_limit = 0;
  std::uint8_t traffic_class = 0;
};

// A datagram to send. The packet holds what follows the IP header.
struct Departure {
  wire::Ipv6Address source;  // one of ours
  wire::Ipv6Address destination;
  std::uint8_t protocol = 0;
  std::uint8_t hop_limit = 64;
  std::uint8_t traffic_class = 0;
  bool may_fragment = true;  // else it is refused if it exceeds the path's MTU
};

enum class PathErrorKind : std::uint8_t {
  kNetworkUnreachable,
  kHostUnreachable,  // also: the neighbour did not answer
  kProtocolUnreachable,
  kPortUnreachable,
  kPacketTooBig,
  kTimeExceeded,
  kParameterProblem,
  kUnknown,  // of a type that nobody knows: RFC 4443 §2.4 (a)
};

// What the network says of a packet that we are supposed to have sent.
struct PathError {
  PathErrorKind kind = PathErrorKind::kHostUnreachable;
  std::uint32_t mtu = 0;  // packet too big
  wire::IcmpQuote<wire::Ipv6Address> quote;
  std::uint8_t type = 0;       // as in the ICMP or ICMPv6 message, or as if there had been one
  std::uint8_t code = 0;       //
  wire::Ipv6Address offender;  // who says so
  wire::Bytes payload;         // what was quoted behind `quote`; good for this call only
};

// A protocol above IP.
class ProtocolHandler {
 public:
  virtual void receive(packet::PacketPtr packet, const Datagram& datagram, Instant now) = 0;
  // Whether it may have sent the quoted packet: RFC 5927 §4. Nothing that it does not recognise is
  // believed.
  virtual bool recognises(const PathError& error) const = 0;
  virtual void failed(const PathError& error, Instant now) = 0;

 protected:
  ~ProtocolHandler() = default;
};

// What is wrong with a datagram that has come, to be told to its sender.
struct Problem {
  enum class Kind : std::uint8_t {
    kProtocolUnreachable,
    kPortUnreachable,
    kReassemblyTimeout,
    kParameter,
  };
  Kind kind;
  std::uint8_t code = 0;      // kParameter
  std::uint32_t pointer = 0;  // kParameter, and IPv6's form of kProtocolUnreachable
};

// What the two IP versions ask of the stack around them.
class Upcalls {
 public:
  virtual void deliver(packet::PacketPtr packet, const Datagram& datagram, Instant now) = 0;
  virtual void report(const packet::Packet& offending, const wire::PacketLayout& layout,
                      const Problem& problem, Instant now) = 0;
  virtual bool recognises(const PathError& error) const = 0;
  virtual void failed(const PathError& error, Instant now) = 0;

 protected:
  ~Upcalls() = default;
};

// What protocols ask of the stack below them.
class Sender {
 public:
  virtual Sent send(packet::PacketPtr packet, const Departure& departure, Instant now) = 0;
  // There will be a burst to that destination: it does not wait for the next hop's address then,
  // where only a few packets can wait. Whether the burst would leave at once; ask again if not.
  virtual bool prepare(const wire::Ipv6Address& /*destination*/, Instant /*now*/) { return true; }

 protected:
  ~Sender() = default;
};

}  // namespace tideline::ip
