// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/key_option.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <expected>
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
constexpr std::uint32_t kSetCurrent = 1;
constexpr std::uint32_t kSetNext = 2;
constexpr std::uint8_t kExcludeOptions = 2;

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

using Parsed = std::expected<KeyChange, int>;

// False if it is shorter than Linux's structure.
template <typename Option>
bool read(const void* value, socklen_t size, Option& option) {
  if (value == nullptr || size < sizeof(option)) return false;
  std::memcpy(&option, value, sizeof(option));
  return option.reserved == 0;
}

Parsed parse_add(const void* value, socklen_t size) {
  constexpr std::uint8_t kMacSize = 12;
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

}  // namespace

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
