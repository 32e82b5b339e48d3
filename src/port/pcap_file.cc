// SPDX-License-Identifier: Apache-2.0
#include "port/pcap_file.h"

#include <fmt/core.h>

#include <array>
#include <bit>
#include <chrono>
#include <utility>

namespace tideline::port {
namespace {

constexpr std::uint32_t kMagicNano = 0xa1b23c4d;
constexpr std::uint32_t kMagicMicro = 0xa1b2c3d4;
// Longer than any frame that Ethernet or a segmentation offload makes.
constexpr std::uint32_t kMaxFrame = 262'144;
// A frame with its options, and any block that programs write beside frames.
constexpr std::uint32_t kMaxBlock = 1 << 20;

// In the byte order of the machine that writes; read in either.
struct FileHeader {
  std::uint32_t magic = kMagicNano;
  std::uint16_t version_major = 2;
  std::uint16_t version_minor = 4;
  std::uint32_t reserved1 = 0;
  std::uint32_t reserved2 = 0;
  std::uint32_t snap_length = kMaxFrame;
  std::uint32_t link_type = kPcapEthernet;
};
static_assert(sizeof(FileHeader) == 24);

struct RecordHeader {
  std::uint32_t seconds;
  std::uint32_t fraction;
  std::uint32_t captured;
  std::uint32_t original;
};
static_assert(sizeof(RecordHeader) == 16);

// Closed in children that run other programs.
UniqueFile open_file(const std::string& path, const char* mode) {
  return UniqueFile(std::fopen(path.c_str(), mode));
}

}  // namespace

Result<std::unique_ptr<PcapWriter>> PcapWriter::create(const std::string& path, Duration epoch,
                                                       std::uint64_t limit) {
  UniqueFile file = open_file(path, "wbe");
  if (file == nullptr) {
    return fail_errno(fmt::format("cannot create the capture file '{}'", path),
                      "choose a path that you may write to");
  }
  const FileHeader header;
  if (std::fwrite(&header, sizeof(header), 1, file.get()) != 1) {
    return fail_errno(fmt::format("cannot write the capture file '{}'", path));
  }
  return std::unique_ptr<PcapWriter>(new PcapWriter(std::move(file), path, epoch, limit));
}

void PcapWriter::write(Instant at, std::span<const std::byte> frame) {
  const auto time = static_cast<std::uint64_t>((at.time_since_epoch() + epoch_).count());
  const auto size = static_cast<std::uint32_t>(frame.size());
  const RecordHeader record{.seconds = static_cast<std::uint32_t>(time / kPcapNsPerSecond),
                            .fraction = static_cast<std::uint32_t>(time % kPcapNsPerSecond),
                            .captured = size,
                            .original = size};
  const std::lock_guard lock(mutex_);
  if (limit_ > 0 && frames() == limit_) return;
  frames_.store(frames() + 1, std::memory_order_relaxed);
  if (std::fwrite(&record, sizeof(record), 1, file_.get()) != 1 ||
      std::fwrite(frame.data(), 1, frame.size(), file_.get()) != frame.size()) {
    ++lost_;
  }
}

Status PcapWriter::flush() {
  const std::lock_guard lock(mutex_);
  const bool flushed = std::fflush(file_.get()) == 0;
  if (flushed && std::exchange(lost_, 0) == 0) return {};
  return fail_errno(fmt::format("frames are missing in the capture file '{}'", path_),
                    "free space there, and capture again");
}

Result<PcapReader> PcapReader::open(const std::string& path) {
  UniqueFile file = open_file(path, "rbe");
  if (file == nullptr) return fail_errno(fmt::format("cannot open the capture file '{}'", path));
  return read(std::move(file), path);
}

Result<PcapReader> PcapReader::read(UniqueFile file, std::string name) {
  PcapReader reader(std::move(file), std::move(name));
  std::uint32_t magic = 0;
  const bool long_enough = reader.read_bytes(&magic, sizeof(magic));
  if (long_enough && magic == PcapngDecoder::kSectionHeader) {
    reader.pcapng_.emplace();
    return reader;
  }
  if (Status s = reader.read_file_header(magic); !s) return fail(std::move(s.error()));
  return reader;
}

Status PcapReader::read_file_header(std::uint32_t magic) {
  FileHeader header{.magic = magic};
  const auto refuse = [this](std::string_view why) {
    return fail({.kind = ErrorKind::kUsage, .what = fmt::format("'{}' {}", path_, why)});
  };
  if (!read_bytes(&header.version_major, sizeof(header) - sizeof(magic))) {
    return refuse("is too short for a capture file");
  }
  swapped_ = magic == std::byteswap(kMagicNano) || magic == std::byteswap(kMagicMicro);
  nanoseconds_ = host(magic) == kMagicNano;
  if (!nanoseconds_ && host(magic) != kMagicMicro) return refuse("is no capture file");
  // The upper bits may tell the length of an FCS.
  if ((host(header.link_type) & 0xffff) != kPcapEthernet)
    return refuse("was not captured on Ethernet");
  return {};
}

std::unexpected<Error> PcapReader::damaged(const char* what) const {
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("'{}' is damaged at {} {}: {}", path_,
                                   pcapng_ ? "block" : "frame", number_, what)});
}

Result<std::optional<PcapFrame>> PcapReader::next() {
  if (!pcapng_) return next_record();
  for (;;) {
    auto frame = next_block(*pcapng_);
    if (!frame || *frame || std::feof(file_.get()) != 0) return frame;
  }
}

Result<std::optional<PcapFrame>> PcapReader::next_record() {
  RecordHeader record{};
  const std::size_t read = std::fread(&record, 1, sizeof(record), file_.get());
  if (read == 0) return std::nullopt;
  ++number_;
  if (read != sizeof(record)) return damaged("it ends within a header");
  const std::uint32_t captured = host(record.captured);
  const std::uint32_t original = host(record.original);
  const std::uint64_t fraction = host(record.fraction) * (nanoseconds_ ? 1ULL : 1000ULL);
  if (captured > kMaxFrame || captured > original) return damaged("its length makes no sense");
  if (fraction >= kPcapNsPerSecond) return damaged("its time makes no sense");
  frame_.resize(captured);
  if (!read_bytes(frame_.data(), captured)) return damaged("it ends within a frame");
  const std::uint64_t time = host(record.seconds) * std::uint64_t{kPcapNsPerSecond} + fraction;
  return PcapFrame{
      .time = Duration(static_cast<std::int64_t>(time)), .bytes = frame_, .wire_size = original};
}

// Nothing if the block has no frame, and at the end of the file.
//
//   | type | length | body, padded to 4 bytes | length |
Result<std::optional<PcapFrame>> PcapReader::next_block(PcapngDecoder& decoder) {
  std::uint32_t type = PcapngDecoder::kSectionHeader;
  if (!std::exchange(at_start_, false)) {
    const std::size_t read = std::fread(&type, 1, sizeof(type), file_.get());
    if (read == 0) return std::nullopt;
    if (read != sizeof(type)) return damaged("it ends within a header");
  }
  ++number_;
  std::uint32_t length = 0;
  if (!read_bytes(&length, sizeof(length))) return damaged("it ends within a header");
  std::size_t outside = 3 * sizeof(std::uint32_t);  // of the body
  if (type == PcapngDecoder::kSectionHeader) {
    std::uint32_t magic = 0;
    if (!read_bytes(&magic, sizeof(magic)) || !decoder.start_section(magic)) {
      return damaged("a section without its byte order");
    }
    outside += sizeof(magic);
  }
  const std::uint32_t size = decoder.host(length);
  if (size < outside || size > kMaxBlock || size % 4 != 0) {
    return damaged("its length makes no sense");
  }
  frame_.resize(size - outside);
  std::uint32_t again = 0;
  if (!read_bytes(frame_.data(), frame_.size()) || !read_bytes(&again, sizeof(again))) {
    return damaged("it ends within a block");
  }
  if (again != length) return damaged("its two lengths differ");
  const auto decoded = decoder.decode(decoder.host(type), frame_);
  if (!decoded) return damaged(decoded.error());
  const std::optional<PcapFrame>& frame = *decoded;
  if (frame && frame->bytes.size() > kMaxFrame) return damaged("its length makes no sense");
  return frame;
}

}  // namespace tideline::port
