// SPDX-License-Identifier: Apache-2.0
// TCP-AO (RFC 5925): what a connection with keys knows, how it signs what it sends and checks what
// comes. Segments of others pay one comparison. The extensions of sequence numbers (§6.2) are not
// kept: the connection's place in its streams, which has 64 bits, tells them, and nothing that is
// not authentic can move it. Internal to the room. Thread: the worker's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/error.h"
#include "tcp/authentication_state.h"
#include "tcp/core.h"
#include "tcp/segment.h"

namespace tideline::tcp {

// What a code covers, beside addresses and ports: RFC 5925 §5.1.
struct SignedSegment {
  Endpoint source;
  Endpoint destination;
  std::uint32_t sequence_extension = 0;
  wire::Bytes header;                       // with options
  const packet::Packet* payload = nullptr;  // from `offset` on
  std::size_t offset = 0;
};
MessageCode::Code code_of(MessageCode& key, bool covers_options, const SignedSegment& segment,
                          packet::PassCounter& passes);

// Of connections: with those that match, the first of them in use.
void begin_authentication(Core& core, Tcb& tcb, std::span<const MasterKey> keys);
// The connection of a SYN that is_admitted(): as its sender wants it.
void begin_authentication(Core& core, Tcb& tcb, const Listener& listener, const Segment& syn);
void forget_authentication(Core& core, Tcb& tcb);
Status add_key(Tcb& tcb, const MasterKey& key);
Status remove_key(Tcb& tcb, std::uint8_t send_id, std::uint8_t receive_id);
// RFC 5925 §7.1: current_key by its send_id, rnext_key by its receive_id.
Status use_keys(Tcb& tcb, std::optional<std::uint8_t> send_id,
                std::optional<std::uint8_t> receive_id);
AuthenticationInfo authentication_of(const Tcb& tcb);

// Whether those of this name must be authenticated.
bool wants_authentication(const Listener& listener, const Tuple& tuple);

// The upper half of the number of 64 bits, near `place`, whose lower half is `seq`: RFC 5925 §6.2,
// RFC 9187.
std::uint32_t extension_of(Seq seq, std::uint64_t place);

// The option, with room for its code.
void add_authentication(const Tcb& tcb, wire::TcpOptions& options);
// Puts the code into a segment that begins with its header, and is otherwise complete: §7.4.
void sign(Core& core, Tcb& tcb, const wire::Tcp& header, packet::Packet& packet);

// §7.5. False, and counted: the segment is dropped without an answer.
bool check_authentication(Core& core, Tcb& tcb, const Segment& segment);
bool check_authentication(Core& core, const Listener& listener, const Segment& segment);

inline bool is_authentic(Core& core, Tcb& tcb, const Segment& segment) {
  if (tcb.authentication == nullptr && !segment.options.authentication) return true;
  return check_authentication(core, tcb, segment);
}
// Of a segment for no connection; only SYNs can be authentic.
inline bool is_admitted(Core& core, const Listener& listener, const Segment& segment) {
  if (listener.keys.empty() && !segment.options.authentication) return true;
  return check_authentication(core, listener, segment);
}

// §7.8: anybody can send what ICMP says.
bool ignores(const Tcb& tcb, ip::PathErrorKind kind);

}  // namespace tideline::tcp
