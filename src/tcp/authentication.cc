// SPDX-License-Identifier: Apache-2.0
#include "tcp/authentication.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "packet/pieces.h"
#include "wire/protocol.h"

namespace tideline::tcp {
namespace {

constexpr std::size_t kNone = SIZE_MAX;
constexpr std::size_t kOptionHead = wire::AuthenticationOption::kMinSize;

bool is_syn(std::uint16_t flags) {
  return (flags & (wire::kTcpSyn | wire::kTcpAck)) == wire::kTcpSyn;
}

bool overlap(std::uint16_t a, std::uint16_t b) { return a == 0 || b == 0 || a == b; }

bool overlap(const MasterKey& a, const MasterKey& b) {
  const bool longer = a.peer.length > b.peer.length;
  return (longer ? b.peer.contains(a.peer.address) : a.peer.contains(b.peer.address)) &&
         overlap(a.peer_port, b.peer_port) && overlap(a.local_port, b.local_port);
}

bool has_ids(const MasterKey& key, std::uint8_t send_id, std::uint8_t receive_id) {
  return key.send_id == send_id && key.receive_id == receive_id;
}

std::unexpected<Error> no_such_key(std::uint8_t send_id, std::uint8_t receive_id) {
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("there is no key {}:{}", send_id, receive_id)});
}

Status check(const MasterKey& key) {
  if (key.size > 0 && key.size <= MasterKey::kMaxSize) return {};
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("a key of {} bytes", key.size),
               .remedy = fmt::format("1 to {} bytes", MasterKey::kMaxSize)});
}

Status check_beside(const MasterKey& key, const MasterKey& other) {
  if (key.send_id != other.send_id && key.receive_id != other.receive_id) return {};
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("key {}:{} is beside {}:{} for the same peer", key.send_id,
                                   key.receive_id, other.send_id, other.receive_id),
               .remedy = "keys of a peer differ in both identifiers"});
}

Error too_many() {
  return {.kind = ErrorKind::kExhausted,
          .what = fmt::format("more than {} keys for a peer", AuthenticationInfo::kMostKeys)};
}

KeyContext outgoing(const Tcb& tcb) {
  return {.source = tcb.tuple.local,
          .destination = tcb.tuple.remote,
          .source_isn = tcb.iss.value(),
          .destination_isn = tcb.irs.value()};
}

KeyContext incoming(const Tuple& tuple, Seq irs, std::uint32_t iss) {
  return {.source = tuple.remote,
          .destination = tuple.local,
          .source_isn = irs.value(),
          .destination_isn = iss};
}

MessageCode make_code(const MasterKey& key, const KeyContext& context) {
  return {key.algorithm, derive_key(key.algorithm, key.secret(), context)};
}

void make_keys(const Tcb& tcb, Authentication::Key& key) {
  key.send = make_code(key.master, outgoing(tcb));
  key.receive = make_code(key.master, incoming(tcb.tuple, tcb.irs, tcb.iss.value()));
}

void agree(Tcb& tcb) {
  Authentication& authentication = *tcb.authentication;
  authentication.agreed = true;
  for (std::size_t i = 0; i < authentication.count; ++i) make_keys(tcb, authentication.keys[i]);
}

template <typename Predicate>
std::size_t find_key(const Authentication& authentication, const Predicate& is_it) {
  for (std::size_t i = 0; i < authentication.count; ++i) {
    if (is_it(authentication.keys[i].master)) return i;
  }
  return kNone;
}

std::uint32_t sent_extension(const Tcb& tcb, Seq seq) {
  return extension_of(seq, std::uint64_t{tcb.iss.value()} + 1 + tcb.una_offset);
}

std::uint32_t received_extension(const Tcb& tcb, Seq seq) {
  return extension_of(seq, std::uint64_t{tcb.irs.value()} + 1 + tcb.rcv_offset);
}

// Bytes in the order of §5.1: all but the payload.
class Head {
 public:
  void put(wire::Bytes bytes) {
    std::ranges::copy(bytes, bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += bytes.size();
  }
  template <typename Value>
  void put_value(const Value& value) {
    put(std::as_bytes(std::span(&value, 1)));
  }
  void blank(std::size_t size) {
    std::ranges::fill(wire::MutableBytes(bytes_).subspan(size_, size), std::byte{});
    size_ += size;
  }
  wire::Bytes bytes() const { return wire::Bytes(bytes_).first(size_); }

 private:
  std::array<std::byte, 4 + 40 + 60> bytes_;
  std::size_t size_ = 0;
};

void put_pseudo_header(Head& head, const SignedSegment& segment, std::size_t length) {
  if (segment.source.address.is_mapped()) {
    head.put_value(segment.source.address.mapped_ipv4());
    head.put_value(segment.destination.address.mapped_ipv4());
    head.put_value(wire::be16(wire::kProtocolTcp));
    head.put_value(wire::be16(static_cast<std::uint16_t>(length)));
  } else {
    head.put_value(segment.source.address);
    head.put_value(segment.destination.address);
    head.put_value(wire::be32(static_cast<std::uint32_t>(length)));
    head.put_value(wire::be32(wire::kProtocolTcp));
  }
}

void put_options(Head& head, bool covers_options, wire::Bytes options) {
  const std::size_t at = wire::find_authentication(options);
  if (covers_options) head.put(options.first(at));
  if (at == options.size()) return;
  const auto size = std::to_integer<std::size_t>(options[at + 1]);
  head.put(options.subspan(at, kOptionHead));
  head.blank(size - kOptionHead);
  if (covers_options) head.put(options.subspan(at + size));
}

// What is wrong with the code, if anything is.
std::optional<Discard> check_code(MessageCode& key, const MasterKey& master, const Segment& segment,
                                  const wire::AuthenticationOption& option, std::uint32_t extension,
                                  packet::PassCounter& passes) {
  const auto code = code_of(key, master.covers_options,
                            {.source = segment.tuple.remote,
                             .destination = segment.tuple.local,
                             .sequence_extension = extension,
                             .header = segment.header,
                             .payload = segment.payload.get()},
                            passes);
  if (are_equal(code, std::span(option.mac).first(option.mac_size))) return std::nullopt;
  return Discard::kAuthenticationFailed;
}

std::optional<Discard> check_segment(Core& core, Tcb& tcb, const Segment& segment) {
  Authentication& authentication = *tcb.authentication;
  const auto& option = segment.options.authentication;
  if (!option) return Discard::kAuthenticationMissing;
  const std::size_t index = find_key(
      authentication, [&](const MasterKey& key) { return key.receive_id == option->key_id; });
  if (index == kNone) return Discard::kAuthenticationUnknownKey;
  Authentication::Key& key = authentication.keys[index];
  if (option->mac_size != MessageCode::kSize) {
    ++key.refused;
    return Discard::kAuthenticationLength;
  }
  std::optional<Discard> wrong;
  if (is_syn(segment.flags) || tcb.state == State::kSynSent) {
    // Before both initial numbers are known, only what has SYN tells the peer's.
    if (!segment.has(wire::kTcpSyn)) return Discard::kAuthenticationFailed;
    const std::uint32_t iss = is_syn(segment.flags) ? 0 : tcb.iss.value();
    MessageCode code = make_code(key.master, incoming(tcb.tuple, segment.seq, iss));
    wrong = check_code(code, key.master, segment, *option, 0, core.passes);
  } else {
    wrong = check_code(key.receive, key.master, segment, *option,
                       received_extension(tcb, segment.seq), core.passes);
  }
  ++(wrong ? key.refused : key.authentic);
  if (wrong) return wrong;
  if (tcb.state == State::kSynSent) {
    tcb.irs = segment.seq;
    agree(tcb);
  }
  authentication.received_key_id = option->key_id;
  authentication.received_next_key_id = option->next_key_id;
  // §7.5, step 2e.
  const std::size_t wanted = find_key(
      authentication, [&](const MasterKey& each) { return each.send_id == option->next_key_id; });
  if (wanted != kNone) authentication.current = static_cast<std::uint8_t>(wanted);
  return std::nullopt;
}

std::optional<Discard> check_syn(Core& core, const Listener& listener, const Segment& segment) {
  const auto& option = segment.options.authentication;
  if (!option) return Discard::kAuthenticationMissing;
  const auto key = std::ranges::find_if(listener.keys, [&](const MasterKey& each) {
    return each.matches(segment.tuple) && each.receive_id == option->key_id;
  });
  // DEVIATES from §7.5, step 1: who needs a key does not come in without it by naming none of ours.
  if (key == listener.keys.end()) return Discard::kAuthenticationUnknownKey;
  if (option->mac_size != MessageCode::kSize) return Discard::kAuthenticationLength;
  MessageCode code = make_code(*key, incoming(segment.tuple, segment.seq, 0));
  return check_code(code, *key, segment, *option, 0, core.passes);
}

// §7.3: segments with the option that match no key.
bool accept_unknown(Core& core, const Segment& segment) {
  if (!segment.options.authentication || !core.config.drop_unexpected_authentication) return true;
  core.counters.count(Discard::kAuthenticationUnexpected);
  return false;
}

Authentication* make_authentication(Core& core, Tcb& tcb, std::span<const MasterKey> keys) {
  for (const MasterKey& key : keys) {
    if (!key.matches(tcb.tuple)) continue;
    if (tcb.authentication == nullptr) tcb.authentication = core.authentications.take();
    Authentication& authentication = *tcb.authentication;
    if (authentication.count == authentication.keys.size()) break;
    authentication.keys[authentication.count++].master = key;
  }
  return tcb.authentication;
}

}  // namespace

MessageCode::Code code_of(MessageCode& key, bool covers_options, const SignedSegment& segment,
                          packet::PassCounter& passes) {
  const std::size_t payload =
      segment.payload == nullptr ? 0 : segment.payload->size() - segment.offset;
  Head head;
  head.put_value(wire::be32(segment.sequence_extension));
  put_pseudo_header(head, segment, segment.header.size() + payload);
  constexpr std::size_t kChecksumAt = offsetof(wire::TcpHeader, checksum);
  head.put(segment.header.first(kChecksumAt));
  head.blank(sizeof(wire::be16));
  head.put(segment.header.first(sizeof(wire::TcpHeader)).subspan(kChecksumAt + sizeof(wire::be16)));
  put_options(head, covers_options, segment.header.subspan(sizeof(wire::TcpHeader)));
  key.add(head.bytes());
  if (payload > 0) {
    packet::for_each_piece(&segment.payload->first(), segment.offset, payload,
                           [&](const packet::Segment& piece, std::size_t begin, std::size_t size) {
                             key.add(piece.bytes().subspan(begin, size));
                           });
    passes.add(packet::Pass::kAuthentication, payload);
  }
  return key.take();
}

Status add_key(std::vector<MasterKey>& keys, const MasterKey& key) {
  if (Status good = check(key); !good) return good;
  std::size_t beside = 0;
  for (const MasterKey& other : keys) {
    if (!overlap(key, other)) continue;
    if (Status good = check_beside(key, other); !good) return good;
    ++beside;
  }
  // Whoever asks for them need not mean well.
  constexpr std::size_t kMost = 256;
  if (beside >= AuthenticationInfo::kMostKeys || keys.size() >= kMost) return fail(too_many());
  keys.push_back(key);
  return {};
}

Status remove_key(std::vector<MasterKey>& keys, std::uint8_t send_id, std::uint8_t receive_id) {
  const auto found = std::ranges::find_if(
      keys, [&](const MasterKey& key) { return has_ids(key, send_id, receive_id); });
  if (found == keys.end()) return no_such_key(send_id, receive_id);
  keys.erase(found);
  return {};
}

void begin_authentication(Core& core, Tcb& tcb, std::span<const MasterKey> keys) {
  make_authentication(core, tcb, keys);
}

void begin_authentication(Core& core, Tcb& tcb, const Listener& listener, const Segment& syn) {
  Authentication* authentication = make_authentication(core, tcb, listener.keys);
  if (authentication == nullptr || !syn.options.authentication) return;
  const wire::AuthenticationOption& option = *syn.options.authentication;
  const auto index_of = [&](const auto& is_it) {
    return static_cast<std::uint8_t>(find_key(*authentication, is_it));
  };
  authentication->next = authentication->current =
      index_of([&](const MasterKey& key) { return key.receive_id == option.key_id; });
  const auto is_wanted = [&](const MasterKey& key) { return key.send_id == option.next_key_id; };
  if (find_key(*authentication, is_wanted) != kNone) authentication->current = index_of(is_wanted);
  authentication->received_key_id = option.key_id;
  authentication->received_next_key_id = option.next_key_id;
  authentication->authentic = authentication->keys[authentication->next].authentic = 1;
  agree(tcb);
}

void forget_authentication(Core& core, Tcb& tcb) {
  if (tcb.authentication == nullptr) return;
  ::explicit_bzero(static_cast<void*>(tcb.authentication->keys.data()),
                   sizeof(tcb.authentication->keys));
  core.authentications.give(tcb.authentication);
  tcb.authentication = nullptr;
}

Status add_key(Tcb& tcb, const MasterKey& key) {
  if (tcb.authentication == nullptr || !key.matches(tcb.tuple)) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = tcb.authentication == nullptr ? "the connection is not authenticated"
                                                       : "the key is for others",
                 .remedy = "give keys before the connection begins"});
  }
  if (Status good = check(key); !good) return good;
  Authentication& authentication = *tcb.authentication;
  for (std::size_t i = 0; i < authentication.count; ++i) {
    if (Status good = check_beside(key, authentication.keys[i].master); !good) return good;
  }
  if (authentication.count == authentication.keys.size()) return fail(too_many());
  Authentication::Key& added = authentication.keys[authentication.count++];
  added.master = key;
  if (authentication.agreed) make_keys(tcb, added);
  return {};
}

Status remove_key(Tcb& tcb, std::uint8_t send_id, std::uint8_t receive_id) {
  if (tcb.authentication == nullptr) return no_such_key(send_id, receive_id);
  Authentication& authentication = *tcb.authentication;
  const std::size_t index = find_key(
      authentication, [&](const MasterKey& key) { return has_ids(key, send_id, receive_id); });
  if (index == kNone) return no_such_key(send_id, receive_id);
  if (index == authentication.current || index == authentication.next) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("key {}:{} is in use", send_id, receive_id),
                 .remedy = "change to another one first"});
  }
  const std::size_t last = --authentication.count;
  authentication.keys[index] = authentication.keys[last];
  if (authentication.current == last) authentication.current = static_cast<std::uint8_t>(index);
  if (authentication.next == last) authentication.next = static_cast<std::uint8_t>(index);
  ::explicit_bzero(static_cast<void*>(&authentication.keys[last]), sizeof(Authentication::Key));
  return {};
}

Status use_keys(Tcb& tcb, std::optional<std::uint8_t> send_id,
                std::optional<std::uint8_t> receive_id) {
  if (tcb.authentication == nullptr) {
    return fail({.kind = ErrorKind::kUsage, .what = "the connection is not authenticated"});
  }
  Authentication& authentication = *tcb.authentication;
  std::size_t current = authentication.current;
  std::size_t next = authentication.next;
  if (send_id) {
    current =
        find_key(authentication, [&](const MasterKey& key) { return key.send_id == *send_id; });
  }
  if (receive_id) {
    next = find_key(authentication,
                    [&](const MasterKey& key) { return key.receive_id == *receive_id; });
  }
  if (current == kNone || next == kNone) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("no key of the connection has the {} identifier {}",
                                     current == kNone ? "sending" : "receiving",
                                     (current == kNone ? send_id : receive_id).value_or(0))});
  }
  authentication.current = static_cast<std::uint8_t>(current);
  authentication.next = static_cast<std::uint8_t>(next);
  return {};
}

AuthenticationInfo authentication_of(const Tcb& tcb) {
  AuthenticationInfo info;
  if (tcb.authentication == nullptr) return info;
  const Authentication& authentication = *tcb.authentication;
  info.count = authentication.count;
  for (std::size_t i = 0; i < info.count; ++i) {
    info.keys[i] = authentication.keys[i].master;
    info.key_authentic[i] = authentication.keys[i].authentic;
    info.key_refused[i] = authentication.keys[i].refused;
  }
  info.current = authentication.current;
  info.next = authentication.next;
  info.received_key_id = authentication.received_key_id;
  info.received_next_key_id = authentication.received_next_key_id;
  info.authentic = authentication.authentic;
  info.refused = authentication.refused;
  info.unknown_key = authentication.unknown_key;
  info.missing = authentication.missing;
  info.path_errors = authentication.path_errors;
  return info;
}

std::uint32_t extension_of(Seq seq, std::uint64_t place) {
  const auto ahead = static_cast<std::int32_t>(seq.value() - static_cast<std::uint32_t>(place));
  return static_cast<std::uint32_t>((place + static_cast<std::uint64_t>(std::int64_t{ahead})) >>
                                    32);
}

bool wants_authentication(const Listener& listener, const Tuple& tuple) {
  return std::ranges::any_of(listener.keys,
                             [&](const MasterKey& key) { return key.matches(tuple); });
}

void add_authentication(const Tcb& tcb, wire::TcpOptions& options) {
  const Authentication& authentication = *tcb.authentication;
  options.authentication = {
      .key_id = authentication.keys[authentication.current].master.send_id,
      .next_key_id = authentication.keys[authentication.next].master.receive_id,
      .mac_size = MessageCode::kSize};
}

void sign(Core& core, Tcb& tcb, const wire::Tcp& header, packet::Packet& packet) {
  Authentication& authentication = *tcb.authentication;
  Authentication::Key& key = authentication.keys[authentication.current];
  const wire::MutableBytes bytes = packet.first().writable().first(header.header_size());
  const SignedSegment segment{
      .source = tcb.tuple.local,
      .destination = tcb.tuple.remote,
      .sequence_extension = sent_extension(tcb, Seq(header.sequence_number)),
      .header = bytes,
      .payload = &packet,
      .offset = bytes.size()};
  MessageCode::Code code;
  if (is_syn(header.flags)) {
    KeyContext context = outgoing(tcb);
    context.destination_isn = 0;
    MessageCode once = make_code(key.master, context);
    code = code_of(once, key.master.covers_options, segment, core.passes);
  } else {
    code = code_of(key.send, key.master.covers_options, segment, core.passes);
  }
  const std::size_t at =
      wire::find_authentication(wire::Bytes(bytes).subspan(sizeof(wire::TcpHeader)));
  std::ranges::copy(code, bytes.subspan(sizeof(wire::TcpHeader) + at + kOptionHead).begin());
}

bool check_authentication(Core& core, Tcb& tcb, const Segment& segment) {
  if (tcb.authentication == nullptr) return accept_unknown(core, segment);
  const std::optional<Discard> wrong = check_segment(core, tcb, segment);
  if (!wrong) {
    ++tcb.authentication->authentic;
    return true;
  }
  core.counters.count(*wrong);
  ++tcb.authentication->refused;
  if (wrong == Discard::kAuthenticationUnknownKey) ++tcb.authentication->unknown_key;
  if (wrong == Discard::kAuthenticationMissing) ++tcb.authentication->missing;
  return false;
}

bool check_authentication(Core& core, const Listener& listener, const Segment& segment) {
  if (!wants_authentication(listener, segment.tuple)) return accept_unknown(core, segment);
  // What is no SYN belongs to no connection, and finds none: §7.7.
  if (!is_syn(segment.flags)) return true;
  const std::optional<Discard> wrong = check_syn(core, listener, segment);
  if (wrong) core.counters.count(*wrong);
  return !wrong;
}

bool ignores(const Tcb& tcb, ip::PathErrorKind kind) {
  if (tcb.authentication == nullptr || tcb.options.heed_path_errors || !tcb.is_synchronized()) {
    return false;
  }
  const bool ipv4 = tcb.tuple.is_ipv4();
  switch (kind) {
    case ip::PathErrorKind::kPortUnreachable:
      return true;
    case ip::PathErrorKind::kProtocolUnreachable:
    case ip::PathErrorKind::kPacketTooBig:
      return ipv4;
    case ip::PathErrorKind::kNetworkUnreachable:
      return !ipv4;  // IPv6 means by it that administrators prohibit it, too
    case ip::PathErrorKind::kHostUnreachable:
    case ip::PathErrorKind::kTimeExceeded:
    case ip::PathErrorKind::kParameterProblem:
    case ip::PathErrorKind::kUnknown:
      return false;
  }
  return false;
}

}  // namespace tideline::tcp
