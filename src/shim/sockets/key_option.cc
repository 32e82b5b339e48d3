// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/key_option.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <expected>
#include <limits>
#include <string_view>

#include "shim/sockets/address.h"
#include "shim/sockets/calls.h"
#include "shim/sockets/errors.h"
#include "shim/sockets/libc.h"
#include "shim/sockets/process.h"

namespace tideline::shim::sockets {
namespace {

using client::KeyChange;

// include/uapi/linux/tcp.h of Linux 6.7 and later, which Debian's headers do not have yet. The bits
// of `flags` are the lowest: set_current, set_rnext, and what else is of each option.
constexpr int kAddKey = 38;
constexpr int kDeleteKey = 39;
constexpr int kInfo = 40;
constexpr int kGetKeys = 41;
constexpr std::uint32_t kSetCurrent = 1;
constexpr std::uint32_t kSetNext = 2;
constexpr std::uint8_t kExcludeOptions = 2;
constexpr std::uint8_t kMacSize = 12;

struct AddKey {
  sockaddr_storage address;
  char algorithm[64];
  std::int32_t interface;
  std::uint32_t flags;
  std::uint16_t reserved;
  std::uint8_t prefix;
  std::uint8_t send_id;
  std::uint8_t receive_id;
  std::uint8_t mac_size;
  std::uint8_t key_flags;
  std::uint8_t key_size;
  std::uint8_t key[80];
};
static_assert(sizeof(AddKey) == 288);

struct DeleteKey {
  sockaddr_storage address;
  std::int32_t interface;
  std::uint32_t flags;
  std::uint16_t reserved;
  std::uint8_t prefix;
  std::uint8_t send_id;
  std::uint8_t receive_id;
  std::uint8_t current;
  std::uint8_t next;
  std::uint8_t key_flags;
};
static_assert(sizeof(DeleteKey) == 144);

struct KeyInfo {
  std::uint32_t flags;
  std::uint16_t reserved;
  std::uint8_t current;
  std::uint8_t next;
  std::uint64_t counters[5];
};
static_assert(sizeof(KeyInfo) == 48);

struct GetKeys {
  sockaddr_storage address;
  char algorithm[64];
  std::uint8_t key[80];
  std::uint32_t count;
  std::uint16_t flags;
  std::uint8_t send_id;
  std::uint8_t receive_id;
  std::uint8_t prefix;
  std::uint8_t mac_size;
  std::uint8_t key_flags;
  std::uint8_t key_size;
  std::int32_t interface;
  std::uint64_t good;
  std::uint64_t bad;
};
static_assert(sizeof(GetKeys) == 304);

using Parsed = std::expected<KeyChange, int>;

// False if it is shorter than Linux's structure.
template <typename Option>
bool read(const void* value, socklen_t size, Option& option) {
  if (value == nullptr || size < sizeof(option)) return false;
  std::memcpy(&option, value, sizeof(option));
  return option.reserved == 0;
}

Parsed parse_add(const void* value, socklen_t size) {
  AddKey option;
  if (!read(value, size, option) || (option.flags & ~(kSetCurrent | kSetNext)) != 0) {
    return std::unexpected(EINVAL);
  }
  const auto peer =
      to_endpoint(reinterpret_cast<const sockaddr*>(&option.address), sizeof(option.address));
  const unsigned shift = option.address.ss_family == AF_INET ? 96 : 0;
  const unsigned bits = option.prefix + shift;
  const bool odd = option.interface != 0 || (option.key_flags & ~kExcludeOptions) != 0 ||
                   option.key_size == 0 || option.key_size > sizeof(option.key) ||
                   (option.mac_size != 0 && option.mac_size != kMacSize);
  if (!peer || peer->port != 0 || bits > wire::Ipv6Address::kBits || odd ||
      peer->address.masked(bits) != peer->address) {
    return std::unexpected(EINVAL);
  }
  const std::string_view algorithm(option.algorithm,
                                   ::strnlen(option.algorithm, sizeof(option.algorithm)));
  const bool aes = algorithm == "cmac(aes128)";
  if (!aes && algorithm != "hmac(sha1)") return std::unexpected(ENOENT);
  KeyChange change{.is_current = (option.flags & kSetCurrent) != 0,
                   .is_next = (option.flags & kSetNext) != 0,
                   .aes = aes,
                   .covers_options = (option.key_flags & kExcludeOptions) == 0,
                   .send_id = option.send_id,
                   .receive_id = option.receive_id,
                   .peer = peer->address,
                   .peer_bits = static_cast<std::uint8_t>(bits),
                   .size = option.key_size};
  std::memcpy(change.key.data(), option.key, option.key_size);
  return change;
}

Parsed parse_delete(const void* value, socklen_t size) {
  DeleteKey option;
  if (!read(value, size, option) || option.flags != 0) return std::unexpected(EINVAL);
  return KeyChange{
      .kind = KeyChange::Kind::kRemove, .send_id = option.send_id, .receive_id = option.receive_id};
}

Parsed parse_use(const void* value, socklen_t size) {
  KeyInfo option;
  if (!read(value, size, option) || (option.flags & ~(kSetCurrent | kSetNext)) != 0) {
    return std::unexpected(EINVAL);
  }
  return KeyChange{.kind = KeyChange::Kind::kUse,
                   .is_current = (option.flags & kSetCurrent) != 0,
                   .is_next = (option.flags & kSetNext) != 0,
                   .send_id = option.current,
                   .receive_id = option.next};
}

// As copy_struct_from_user() of Linux: what a shorter structure lacks is 0, and what a longer one
// has beside must be.
template <typename Option>
int read_question(const void* value, const socklen_t* size, Option& option) {
  if (value == nullptr || size == nullptr) return -EFAULT;
  if (*size == 0 || *size > std::numeric_limits<int>::max()) return -EINVAL;
  option = {};
  std::memcpy(&option, value, std::min<std::size_t>(*size, sizeof(option)));
  if (*size <= sizeof(option)) return 0;
  const auto* bytes = static_cast<const std::byte*>(value);
  const bool blank = std::all_of(bytes + sizeof(option), bytes + *size,
                                 [](std::byte each) { return each == std::byte{}; });
  return blank ? 0 : -E2BIG;
}

int get_info(const client::KeyState& state, void* value, const socklen_t* size) {
  constexpr std::uint32_t kKnownFlags = 31;
  KeyInfo asked;
  if (const int error = read_question(value, size, asked); error != 0) return error;
  if ((asked.flags & ~kKnownFlags) != 0 || asked.reserved != 0) return -EINVAL;
  if (state.count == 0) return -ENOENT;
  const KeyInfo info{.flags = state.has_choice ? kSetCurrent | kSetNext : 0,
                     .reserved = 0,
                     .current = state.current,
                     .next = state.next,
                     .counters = {state.authentic, state.refused, state.unknown_key, state.missing,
                                  state.path_errors}};
  std::memcpy(value, &info, std::min<std::size_t>(*size, sizeof(info)));
  return 0;
}

// Which keys are wanted.
struct Question {
  bool all = false;
  bool current = false;
  bool next = false;
  std::uint8_t send_id = 0;
  std::uint8_t receive_id = 0;
  wire::Ipv6Address peer{};

  bool matches(const KeyChange& key) const {
    if (all) return true;
    if (current || next) return (current && key.is_current) || (next && key.is_next);
    if (key.send_id != send_id || key.receive_id != receive_id) return false;
    if (key.peer.is_mapped() != peer.is_mapped()) return false;
    return is_any(key.peer) || is_any(peer) || peer.masked(key.peer_bits) == key.peer;
  }
};

std::expected<Question, int> parse_question(const GetKeys& asked) {
  constexpr std::uint16_t kCurrent = 1;
  constexpr std::uint16_t kNext = 2;
  constexpr std::uint16_t kAll = 4;
  const bool odd = (asked.flags & ~(kCurrent | kNext | kAll)) != 0 || asked.key_flags != 0 ||
                   asked.interface != 0 || asked.good != 0 || asked.bad != 0;
  Question question{.all = (asked.flags & kAll) != 0,
                    .current = (asked.flags & kCurrent) != 0,
                    .next = (asked.flags & kNext) != 0,
                    .send_id = asked.send_id,
                    .receive_id = asked.receive_id};
  if (odd || (question.all && (question.current || question.next))) return std::unexpected(EINVAL);
  if (question.all || question.current || question.next) {
    const bool more = asked.address.ss_family != 0 || asked.prefix != 0 || asked.send_id != 0 ||
                      asked.receive_id != 0;
    if (more) return std::unexpected(EINVAL);
    return question;
  }
  const auto peer =
      to_endpoint(reinterpret_cast<const sockaddr*>(&asked.address), sizeof(asked.address));
  if (!peer) return std::unexpected(EAFNOSUPPORT);
  const unsigned bits = asked.prefix + (peer->address.is_mapped() ? 96U : 0U);
  // Any address has no prefix, and no other is without.
  if (bits > wire::Ipv6Address::kBits || is_any(peer->address) != (asked.prefix == 0) ||
      peer->address.masked(bits) != peer->address) {
    return std::unexpected(EINVAL);
  }
  question.peer = peer->address;
  return question;
}

GetKeys describe(const client::KeyState& state) {
  const KeyChange& key = state.key;
  const bool ipv4 = key.peer.is_mapped();
  GetKeys out{.flags = static_cast<std::uint16_t>((key.is_current ? kSetCurrent : 0) |
                                                  (key.is_next ? kSetNext : 0)),
              .send_id = key.send_id,
              .receive_id = key.receive_id,
              .prefix = static_cast<std::uint8_t>(key.peer_bits - (ipv4 ? 96 : 0)),
              .mac_size = kMacSize,
              .key_flags = key.covers_options ? std::uint8_t{0} : kExcludeOptions,
              .key_size = key.size,
              .good = state.key_authentic,
              .bad = state.key_refused};
  socklen_t size = sizeof(out.address);
  to_sockaddr({.address = key.peer}, ipv4 ? AF_INET : AF_INET6,
              reinterpret_cast<sockaddr*>(&out.address), &size);
  std::memcpy(out.key, key.key.data(), key.size);
  const std::string_view algorithm = key.aes ? "cmac(aes128)" : "hmac(sha1)";
  std::ranges::copy(algorithm, out.algorithm);
  return out;
}

// An array, of which the first is the question; its elements are as long as the program says.
int get_keys(client::Socket& socket, void* value, socklen_t* size) {
  GetKeys asked;
  if (const int error = read_question(value, size, asked); error != 0) return error;
  const auto question = parse_question(asked);
  if (!question) return -question.error();
  const std::size_t stride = *size;
  std::uint32_t matched = 0;
  for (std::uint32_t index = 0;; ++index) {
    const auto state = socket.read_key(index);
    if (!state) return -errno_of(state.error());
    if (state->count == 0) return -ENOENT;
    if (index >= state->count) break;
    if (!question->matches(state->key) || ++matched > asked.count) continue;
    GetKeys out = describe(*state);
    std::memcpy(static_cast<std::byte*>(value) + (matched - 1) * stride, &out,
                std::min(stride, sizeof(out)));
    ::explicit_bzero(&out, sizeof(out));
  }
  if (stride >= offsetof(GetKeys, count) + sizeof(matched)) {
    std::memcpy(static_cast<std::byte*>(value) + offsetof(GetKeys, count), &matched,
                sizeof(matched));
  }
  *size = sizeof(GetKeys);
  return 0;
}

}  // namespace

bool is_key_question(int level, int name) {
  return level == IPPROTO_TCP && (name == kInfo || name == kGetKeys);
}

int get_key_option(File& file, int name, void* value, socklen_t* size) {
  const auto state = file.socket().read_key(0);
  if (!state) return -errno_of(state.error());
  if (name == kInfo) return get_info(*state, value, size);
  return get_keys(file.socket(), value, size);
}

bool is_key_option(int level, int name) {
  return level == IPPROTO_TCP && name >= kAddKey && name <= kInfo;
}

int set_key_option(int fd, File& file, int name, const void* value, socklen_t size) {
  const int refusal = libc().setsockopt(fd, IPPROTO_TCP, name, value, size) == 0 ? 0 : -errno;
  if (process.sockets() == nullptr) return refusal;
  const Parsed change = name == kAddKey      ? parse_add(value, size)
                        : name == kDeleteKey ? parse_delete(value, size)
                                             : parse_use(value, size);
  if (!change) return -change.error();
  if (const int error = open_ours(file); error < 0) return error;
  const auto changed = file.socket().change_keys(*change);
  if (changed && refusal != 0) file.keys_are_ours.store(true);
  return result_of(changed);
}

}  // namespace tideline::shim::sockets
