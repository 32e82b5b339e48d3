// SPDX-License-Identifier: Apache-2.0
// The frames of a capture file of tests/data, pcap or pcapng, little-endian and trusted: for tests
// of rooms below the one that reads captures properly.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/check.h"
#include "wire/test_bytes.h"

namespace tideline::wire {

inline std::vector<ByteVector> read_capture(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  const auto bytes = std::as_bytes(std::span(text));
  const auto word = [&](std::size_t at) {
    std::uint32_t value = 0;
    CHECK(at + 4 <= bytes.size(), "{} ends at {}", path, at);
    std::memcpy(&value, bytes.data() + at, 4);
    return value;
  };
  std::vector<ByteVector> frames;
  const auto take = [&](std::size_t at, std::size_t size) {
    CHECK(at + size <= bytes.size(), "{} ends at {}", path, at);
    frames.emplace_back(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                        bytes.begin() + static_cast<std::ptrdiff_t>(at + size));
  };
  constexpr std::uint32_t kPcapng = 0x0a0d0d0a;
  constexpr std::uint32_t kEnhancedPacket = 6;
  if (word(0) == kPcapng) {
    for (std::size_t at = 0; at < bytes.size(); at += word(at + 4)) {
      if (word(at) == kEnhancedPacket) take(at + 28, word(at + 20));
    }
  } else {
    for (std::size_t at = 24; at < bytes.size(); at += 16 + word(at + 8)) {
      take(at + 16, word(at + 8));
    }
  }
  return frames;
}

}  // namespace tideline::wire
