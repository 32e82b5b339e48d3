// SPDX-License-Identifier: Apache-2.0
// What the two sides of `tideline copy` tell each other on a TCP connection (port 5003); the file's
// bytes go beside it, by RDMA WRITE into windows of the listener's. Sans-I/O; nothing here trusts
// what has come. Any thread.
//
//   client                                    listener
//   Offer   name, size, queue pair     --->
//                                      <---   Accept   queue pair, windows, their key
//   (WRITE into window 0)
//   Filled  window 0, length           --->   (checksum, file)
//                                      <---   Freed    window 0
//   ...
//   End     size, checksum             --->
//                                      <---   Done     the listener's checksum: the file has its
//                                      name
//   Failure from either side, at any time: why it goes no further
//   Alive   every two seconds          --->
//
// A message is a head (type, three zero bytes, length of the body in network byte order) and a body
// of a struct below; Offer and Failure end with a text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tideline::app::copy {

inline constexpr std::uint16_t kPort = 5003;
inline constexpr std::uint16_t kVersion = 1;
inline constexpr std::size_t kMaxBody = 1024;
inline constexpr std::size_t kMaxName = 255;  // NAME_MAX
inline constexpr std::size_t kMaxReason = 500;

using Checksum = std::array<std::uint8_t, 16>;  // XXH3, 128 bits, in its canonical form

struct QueuePairAddress {
  std::uint32_t number = 0;
  std::uint32_t psn = 0;        // of its first packet
  std::uint32_t mtu_bytes = 0;  // the largest path MTU that its side can have
};

struct Offer {
  std::uint16_t version = kVersion;
  std::uint64_t size = 0;  // of the file
  std::uint32_t mode = 0;  // permissions, rwxrwxrwx
  QueuePairAddress qp;
  std::string name;
};

struct Accept {
  QueuePairAddress qp;
  std::uint64_t address = 0;  // of window 0; the others follow
  std::uint32_t rkey = 0;
  std::uint32_t window_size = 0;  // bytes
  std::uint32_t windows = 0;
};

struct Filled {
  std::uint32_t window = 0;
  std::uint32_t length = 0;
};

struct Freed {
  std::uint32_t window = 0;
};

struct End {
  std::uint64_t size = 0;
  Checksum checksum{};
};

struct Done {
  Checksum checksum{};
  // What it cost the listener: bytes that its code, and the kernel for it, has traversed.
  std::uint64_t passed = 0;
  std::uint64_t kernel_copied = 0;
};

struct Failure {
  std::string reason;  // printable
};

struct Alive {};

using Message = std::variant<Offer, Accept, Filled, Freed, End, Done, Failure, Alive>;

// The message as it goes on the wire. Texts that are too long are cut.
std::vector<std::byte> encode(const Message& message);

// Cuts a stream into messages.
class Inbox {
 public:
  void add(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  // How much add() may be given now; the rest stays in the stream.
  std::size_t room() const { return kCapacity - bytes_.size(); }
  // The next message; nothing if it is not whole yet. The error says what makes no sense: nothing
  // that follows does.
  std::expected<std::optional<Message>, std::string> next();

 private:
  static constexpr std::size_t kCapacity = 4096;  // more than one message

  std::vector<std::byte> bytes_;
};

// Without control characters, which a terminal would obey.
std::string printable(std::string_view text);

}  // namespace tideline::app::copy
