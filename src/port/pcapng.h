// SPDX-License-Identifier: Apache-2.0
// Blocks of pcapng files (draft-ietf-opsawg-pcapng): sections of either byte order, interfaces with
// their clocks, enhanced and simple packet blocks; other blocks are passed over. Pure, for
// PcapReader (pcap_file.h), which reads the file. Trusts nothing. One thread.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <vector>

#include "base/time.h"

namespace tideline::port {

// Of both kinds of files.
inline constexpr std::uint16_t kPcapEthernet = 1;  // LINKTYPE_ETHERNET
inline constexpr std::uint32_t kPcapNsPerSecond = 1'000'000'000;

struct PcapFrame {
  Duration time{};                   // since 1970; zero if the file does not tell
  std::span<const std::byte> bytes;  // until the next call of next()
  std::size_t wire_size = 0;         // bytes.size(), or more if the capture was cut
};

class PcapngDecoder {
 public:
  static constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a;  // the same in both byte orders

  // The first word in the body of a section header: tells the byte order of what follows. False if
  // it is none.
  bool start_section(std::uint32_t magic);
  std::uint32_t host(std::uint32_t value) const { return swapped_ ? std::byteswap(value) : value; }

  // A block's body. A frame, whose bytes lie in `body`, or nothing if it is a block of another
  // kind; or what is wrong with it.
  using Decoded = std::expected<std::optional<PcapFrame>, const char*>;
  Decoded decode(std::uint32_t type, std::span<const std::byte> body);

 private:
  struct Interface {
    std::uint32_t snap_length = 0;
    std::uint64_t units = 1'000'000;  // of its timestamps, per second
    std::int64_t offset = 0;          // seconds to add
  };

  template <typename T>
  T load(std::span<const std::byte> body, std::size_t offset) const;
  const char* add_interface(std::span<const std::byte> body);
  const char* read_option(Interface& interface, std::uint16_t code,
                          std::span<const std::byte> value) const;
  Decoded enhanced_packet(std::span<const std::byte> body) const;
  Decoded simple_packet(std::span<const std::byte> body) const;

  bool swapped_ = false;
  std::vector<Interface> interfaces_;  // of this section
};

}  // namespace tideline::port
