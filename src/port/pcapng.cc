// SPDX-License-Identifier: Apache-2.0
#include "port/pcapng.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"

namespace tideline::port {
namespace {

constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr std::uint32_t kInterfaceBlock = 1;
constexpr std::uint32_t kSimplePacketBlock = 3;
constexpr std::uint32_t kEnhancedPacketBlock = 6;
constexpr std::uint16_t kOptionEnd = 0;
constexpr std::uint16_t kOptionResolution = 9;
constexpr std::uint16_t kOptionOffset = 14;
// What a Duration can hold.
constexpr std::int64_t kMaxSeconds = 9'000'000'000;

// Bits 0 to 6: the negative exponent; bit 7: of 2, else of 10. Zero if it makes no sense.
std::uint64_t units_of(std::uint8_t resolution) {
  const unsigned exponent = resolution & 0x7fU;
  if ((resolution & 0x80) != 0) return exponent < 64 ? std::uint64_t{1} << exponent : 0;
  if (exponent > 19) return 0;
  std::uint64_t units = 1;
  for (unsigned i = 0; i < exponent; ++i) units *= 10;
  return units;
}

}  // namespace

template <typename T>
T PcapngDecoder::load(std::span<const std::byte> body, std::size_t offset) const {
  T value;
  std::memcpy(&value, body.data() + offset, sizeof(value));
  return swapped_ ? std::byteswap(value) : value;
}

bool PcapngDecoder::start_section(std::uint32_t magic) {
  swapped_ = magic == std::byteswap(kByteOrderMagic);
  interfaces_.clear();
  return swapped_ || magic == kByteOrderMagic;
}

PcapngDecoder::Decoded PcapngDecoder::decode(std::uint32_t type, std::span<const std::byte> body) {
  switch (type) {
    case kInterfaceBlock:
      if (const char* wrong = add_interface(body); wrong != nullptr) return std::unexpected(wrong);
      return std::nullopt;
    case kEnhancedPacketBlock:
      return enhanced_packet(body);
    case kSimplePacketBlock:
      return simple_packet(body);
    default:
      return std::nullopt;
  }
}

const char* PcapngDecoder::add_interface(std::span<const std::byte> body) {
  constexpr std::size_t kFixed = 8;
  if (body.size() < kFixed) return "an interface is cut short";
  if (load<std::uint16_t>(body, 0) != kPcapEthernet) return "an interface is no Ethernet";
  Interface interface{.snap_length = load<std::uint32_t>(body, 4)};
  for (std::size_t at = kFixed; at + 4 <= body.size();) {
    const auto code = load<std::uint16_t>(body, at);
    const std::size_t size = load<std::uint16_t>(body, at + 2);
    if (code == kOptionEnd) break;
    at += 4;
    if (size > body.size() - at) return "an option is longer than its block";
    if (const char* wrong = read_option(interface, code, body.subspan(at, size));
        wrong != nullptr) {
      return wrong;
    }
    at += align_up<std::size_t>(size, 4);
  }
  interfaces_.push_back(interface);
  return nullptr;
}

const char* PcapngDecoder::read_option(Interface& interface, std::uint16_t code,
                                       std::span<const std::byte> value) const {
  if (code == kOptionResolution) {
    interface.units = value.empty() ? 0 : units_of(std::to_integer<std::uint8_t>(value[0]));
    if (interface.units == 0) return "an interface's clock makes no sense";
  } else if (code == kOptionOffset) {
    if (value.size() < sizeof(std::int64_t)) return "an option is cut short";
    interface.offset = static_cast<std::int64_t>(load<std::uint64_t>(value, 0));
  }
  return nullptr;
}

PcapngDecoder::Decoded PcapngDecoder::enhanced_packet(std::span<const std::byte> body) const {
  constexpr std::size_t kFixed = 20;
  if (body.size() < kFixed) return std::unexpected("a frame's header is cut short");
  const auto index = load<std::uint32_t>(body, 0);
  if (index >= interfaces_.size()) return std::unexpected("it is of no known interface");
  const Interface& interface = interfaces_[index];
  const auto captured = load<std::uint32_t>(body, 12);
  const auto original = load<std::uint32_t>(body, 16);
  if (captured > body.size() - kFixed || captured > original) {
    return std::unexpected("its length makes no sense");
  }
  const std::uint64_t ticks =
      std::uint64_t{load<std::uint32_t>(body, 4)} << 32 | load<std::uint32_t>(body, 8);
  const std::uint64_t seconds = ticks / interface.units;
  if (seconds > kMaxSeconds / 2 || interface.offset > kMaxSeconds / 2 ||
      interface.offset < -static_cast<std::int64_t>(seconds)) {
    return std::unexpected("its time makes no sense");
  }
  // The product of both may exceed 64 bits where a clock is finer than a nanosecond.
  const auto rest = static_cast<unsigned __int128>(ticks % interface.units) * kPcapNsPerSecond;
  const auto whole =
      static_cast<std::uint64_t>(static_cast<std::int64_t>(seconds) + interface.offset);
  const std::uint64_t ns =
      whole * kPcapNsPerSecond + static_cast<std::uint64_t>(rest / interface.units);
  return PcapFrame{.time = Duration(static_cast<std::int64_t>(ns)),
                   .bytes = body.subspan(kFixed, captured),
                   .wire_size = original};
}

PcapngDecoder::Decoded PcapngDecoder::simple_packet(std::span<const std::byte> body) const {
  constexpr std::size_t kFixed = 4;
  if (body.size() < kFixed) return std::unexpected("a frame's header is cut short");
  if (interfaces_.empty()) return std::unexpected("it is of no known interface");
  const auto original = load<std::uint32_t>(body, 0);
  const std::uint32_t limit = interfaces_.front().snap_length;
  const std::size_t captured = limit == 0 ? original : std::min(original, limit);
  if (captured > body.size() - kFixed) return std::unexpected("its length makes no sense");
  return PcapFrame{.bytes = body.subspan(kFixed, captured), .wire_size = original};
}

}  // namespace tideline::port
