// SPDX-License-Identifier: Apache-2.0
#include "wire/tcp_options.h"

#include <algorithm>
#include <cstdint>

#include "wire/endian.h"

namespace tideline::wire {
namespace {

constexpr std::uint8_t kEnd = 0;
constexpr std::uint8_t kNop = 1;
constexpr std::uint8_t kMss = 2;
constexpr std::uint8_t kWindowScale = 3;
constexpr std::uint8_t kSackPermitted = 4;
constexpr std::uint8_t kSack = 5;
constexpr std::uint8_t kTimestamps = 8;
constexpr std::uint8_t kMd5 = 19;  // RFC 2385
constexpr std::uint8_t kUserTimeout = 28;
constexpr std::uint8_t kAuthentication = 29;
constexpr std::uint8_t kFastOpen = 34;

constexpr std::uint8_t kAccurateEcn0 = 172;
constexpr std::uint8_t kAccurateEcn1 = 174;

constexpr std::size_t kTimestampsSize = 10;
constexpr std::size_t kSackBlockSize = 8;

std::uint32_t read32(Bytes bytes, std::size_t at) {
  return view_as<be32>(bytes.subspan(at)).value();
}

std::uint16_t read16(Bytes bytes, std::size_t at) {
  return view_as<be16>(bytes.subspan(at)).value();
}

void parse_sack(Bytes option, TcpOptions& options) {
  if ((option.size() - 2) % kSackBlockSize != 0) return;
  if (option.size() > 2 + kMaxSackBlocks * kSackBlockSize) return;
  options.sack_count = 0;
  options.sack = {};
  for (std::size_t at = 2; at < option.size(); at += kSackBlockSize) {
    const SackBlock block{read32(option, at), read32(option, at + 4)};
    // Sequence numbers wrap; a block that is empty or reversed says nothing.
    if (static_cast<std::int32_t>(block.right - block.left) <= 0) continue;
    options.sack[options.sack_count++] = block;
  }
}

void parse_fast_open(Bytes option, TcpOptions& options) {
  const std::size_t size = option.size() - 2;
  const bool legal = size == 0 || (size >= FastOpenCookie::kMinSize &&
                                   size <= FastOpenCookie::kMaxSize && size % 2 == 0);
  if (!legal) return;
  FastOpenCookie& cookie = options.fast_open.emplace();
  cookie.size = static_cast<std::uint8_t>(size);
  std::ranges::copy(option.subspan(2), cookie.bytes.begin());
}

// RFC 9768 §3.2.3.1: counters beyond those that are known are for others to define.
void parse_accurate_ecn(Bytes option, TcpOptions& options) {
  constexpr std::size_t kCounterSize = 3;
  AccurateEcnOption& counters = options.accurate_ecn.emplace();
  counters.ect1_first = std::to_integer<std::uint8_t>(option[0]) == kAccurateEcn1;
  const std::size_t count = std::min((option.size() - 2) / kCounterSize, counters.values.size());
  counters.count = static_cast<std::uint8_t>(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Bytes bytes = option.subspan(2 + i * kCounterSize, kCounterSize);
    counters.values[i] = view_as<be24>(bytes).value();
  }
}

void parse_authentication(Bytes option, TcpOptions& options) {
  AuthenticationOption& value = options.authentication.emplace();
  value.key_id = std::to_integer<std::uint8_t>(option[2]);
  value.next_key_id = std::to_integer<std::uint8_t>(option[3]);
  const Bytes mac = option.subspan(AuthenticationOption::kMinSize);
  value.mac_size = static_cast<std::uint8_t>(mac.size());
  std::ranges::copy(mac, value.mac.begin());
}

// RFC 7323 §2.2, RFC 2018 §2, RFC 7413 §4.1.1: these mean something in a SYN only.
void parse_syn_option(Bytes option, TcpOptions& options) {
  switch (std::to_integer<std::uint8_t>(option[0])) {
    case kMss:
      if (option.size() == 4) options.mss = std::max(read16(option, 2), kMinimumMss);
      break;
    case kWindowScale:
      if (option.size() == 3) {
        options.window_scale = std::min(std::to_integer<std::uint8_t>(option[2]), kMaxWindowScale);
      }
      break;
    case kSackPermitted:
      if (option.size() == 2) options.sack_permitted = true;
      break;
    case kFastOpen:
      parse_fast_open(option, options);
      break;
    default:
      break;
  }
}

void parse_option(Bytes option, bool syn, TcpOptions& options) {
  switch (std::to_integer<std::uint8_t>(option[0])) {
    case kTimestamps:
      if (option.size() == kTimestampsSize) {
        options.timestamps = {.value = read32(option, 2), .echo = read32(option, 6)};
      }
      break;
    case kSack:
      parse_sack(option, options);
      break;
    case kAccurateEcn0:
    case kAccurateEcn1:
      parse_accurate_ecn(option, options);
      break;
    case kUserTimeout:
      if (option.size() == 4) options.user_timeout = read16(option, 2);
      break;
    default:
      if (syn) parse_syn_option(option, options);
      break;
  }
}

// Appends options to a header, each aligned by no-operations in front of it if `aligned_`. Without
// a place to write to it only counts.
class Writer {
 public:
  Writer(MutableBytes out, bool aligned) : out_(out), aligned_(aligned) {}

  // Starts an option of `size` bytes whose value should lie `skew` bytes behind a multiple of 4.
  void begin(std::uint8_t kind, std::size_t size, std::size_t skew) {
    while (aligned_ && size_ % 4 != skew) put(kNop);
    put(kind);
    put(static_cast<std::uint8_t>(size));
  }
  void put(std::uint8_t byte) {
    if (!out_.empty()) out_[size_] = std::byte{byte};
    ++size_;
  }
  void put16(std::uint16_t value) {
    put(static_cast<std::uint8_t>(value >> 8));
    put(static_cast<std::uint8_t>(value));
  }
  void put24(std::uint32_t value) {
    put(static_cast<std::uint8_t>(value >> 16));
    put16(static_cast<std::uint16_t>(value));
  }
  void put32(std::uint32_t value) {
    put16(static_cast<std::uint16_t>(value >> 16));
    put16(static_cast<std::uint16_t>(value));
  }
  void pad() {
    while (size_ % 4 != 0) put(kNop);
  }
  std::size_t size() const { return size_; }

 private:
  MutableBytes out_;
  bool aligned_;
  std::size_t size_ = 0;
};

std::size_t write(const TcpOptions& options, Writer writer) {
  if (options.mss) {
    writer.begin(kMss, 4, 0);
    writer.put16(*options.mss);
  }
  // In front of timestamps, whose value it aligns; alone behind two no-operations, as Linux has it.
  if (options.sack_permitted) writer.begin(kSackPermitted, 2, options.timestamps ? 0 : 2);
  if (options.timestamps) {
    writer.begin(kTimestamps, kTimestampsSize, 2);
    writer.put32(options.timestamps->value);
    writer.put32(options.timestamps->echo);
  }
  if (options.window_scale) {
    writer.begin(kWindowScale, 3, 1);
    writer.put(*options.window_scale);
  }
  if (options.fast_open) {
    writer.begin(kFastOpen, 2U + options.fast_open->size, 0);
    for (std::size_t i = 0; i < options.fast_open->size; ++i) {
      writer.put(std::to_integer<std::uint8_t>(options.fast_open->bytes[i]));
    }
  }
  if (options.user_timeout) {
    writer.begin(kUserTimeout, 4, 0);
    writer.put16(*options.user_timeout);
  }
  if (const auto& ecn = options.accurate_ecn) {
    writer.begin(ecn->ect1_first ? kAccurateEcn1 : kAccurateEcn0, 2U + 3U * ecn->count, 0);
    for (std::size_t i = 0; i < ecn->count; ++i) writer.put24(ecn->values[i]);
  }
  if (options.sack_count != 0) {
    writer.begin(kSack, 2 + kSackBlockSize * options.sack_count, 2);
    for (std::size_t i = 0; i < options.sack_count; ++i) {
      writer.put32(options.sack[i].left);
      writer.put32(options.sack[i].right);
    }
  }
  // Last, as RFC 5925 §7.4 has it.
  if (const auto& value = options.authentication) {
    writer.begin(kAuthentication, AuthenticationOption::kMinSize + value->mac_size, 0);
    writer.put(value->key_id);
    writer.put(value->next_key_id);
    for (std::size_t i = 0; i < value->mac_size; ++i) {
      writer.put(std::to_integer<std::uint8_t>(value->mac[i]));
    }
  }
  writer.pad();
  return writer.size();
}

// Alignment gives way where every byte is needed.
bool fits_aligned(const TcpOptions& options) {
  return write(options, Writer({}, true)) <= kMaxTcpOptions;
}

// What nearly every segment carries, and nothing else: NOP, NOP, timestamps (RFC 7323 appendix A).
constexpr std::uint32_t kAlignedTimestamps = kNop << 24 | kNop << 16 | kTimestamps << 8 | 10;
constexpr std::size_t kAlignedTimestampsSize = 12;

const TcpTimestamps* only_timestamps(const TcpOptions& options) {
  const bool others = options.mss || options.sack_permitted || options.window_scale ||
                      options.fast_open || options.user_timeout || options.sack_count != 0 ||
                      options.accurate_ecn || options.authentication;
  return options.timestamps && !others ? &*options.timestamps : nullptr;
}

}  // namespace

Parsed<void> parse_tcp_options(Bytes bytes, bool syn, TcpOptions& options) {
  if (bytes.size() == kAlignedTimestampsSize && read32(bytes, 0) == kAlignedTimestamps) {
    options.timestamps = {.value = read32(bytes, 4), .echo = read32(bytes, 8)};
    return {};
  }
  bool has_md5 = false;
  while (!bytes.empty()) {
    const auto kind = std::to_integer<std::uint8_t>(bytes[0]);
    if (kind == kEnd) break;
    if (kind == kNop) {
      bytes = bytes.subspan(1);
      continue;
    }
    const bool authenticates = kind == kAuthentication;
    const std::size_t length = bytes.size() < 2 ? SIZE_MAX : std::to_integer<std::size_t>(bytes[1]);
    if (length < 2) return drop(DropReason::kTcpOptionLength);
    if (length > bytes.size()) {
      if (authenticates) return drop(DropReason::kTcpAuthentication);
      break;
    }
    if (authenticates) {
      // RFC 5925 §2.2.
      const bool bad = length < AuthenticationOption::kMinSize || options.authentication;
      if (bad) return drop(DropReason::kTcpAuthentication);
      parse_authentication(bytes.first(length), options);
    } else {
      has_md5 |= kind == kMd5;
      parse_option(bytes.first(length), syn, options);
    }
    bytes = bytes.subspan(length);
  }
  if (has_md5 && options.authentication) return drop(DropReason::kTcpAuthentication);
  return {};
}

std::size_t find_authentication(Bytes options) {
  std::size_t at = 0;
  while (at < options.size()) {
    const auto kind = std::to_integer<std::uint8_t>(options[at]);
    if (kind == kAuthentication) return at;
    if (kind == kEnd) break;
    const bool single = kind == kNop || at + 1 == options.size();
    at += single ? 1 : std::max<std::size_t>(std::to_integer<std::size_t>(options[at + 1]), 2);
  }
  return options.size();
}

std::size_t emitted_size(const TcpOptions& options) {
  if (only_timestamps(options) != nullptr) return kAlignedTimestampsSize;
  const std::size_t aligned = write(options, Writer({}, true));
  if (aligned <= kMaxTcpOptions) return aligned;
  const std::size_t packed = write(options, Writer({}, false));
  CHECK(packed <= kMaxTcpOptions, "{} bytes of TCP options", packed);
  return packed;
}

std::size_t emit(const TcpOptions& options, MutableBytes out) {
  CHECK(out.size() >= emitted_size(options), "{} bytes for TCP options", out.size());
  if (const TcpTimestamps* timestamps = only_timestamps(options); timestamps != nullptr) {
    view_as<be32>(out) = be32(kAlignedTimestamps);
    view_as<be32>(out.subspan(4)) = be32(timestamps->value);
    view_as<be32>(out.subspan(8)) = be32(timestamps->echo);
    return kAlignedTimestampsSize;
  }
  return write(options, Writer(out, fits_aligned(options)));
}

}  // namespace tideline::wire
