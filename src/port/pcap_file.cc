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
constexpr std::uint32_t kMagicNg = 0x0a0d0d0a;
constexpr std::uint32_t kEthernet = 1;
// Longer than any frame that Ethernet or a segmentation offload makes.
constexpr std::uint32_t kMaxFrame = 262'144;
constexpr std::uint32_t kNsPerSecond = 1'000'000'000;

// In the byte order of the machine that writes; read in either.
struct FileHeader {
  std::uint32_t magic = kMagicNano;
  std::uint16_t version_major = 2;
  std::uint16_t version_minor = 4;
  std::uint32_t reserved1 = 0;
  std::uint32_t reserved2 = 0;
  std::uint32_t snap_length = kMaxFrame;
  std::uint32_t link_type = kEthernet;
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

Result<std::unique_ptr<PcapWriter>> PcapWriter::create(const std::string& path, Duration epoch) {
  UniqueFile file = open_file(path, "wbe");
  if (file == nullptr) {
    return fail_errno(fmt::format("cannot create the capture file '{}'", path),
                      "choose a path that you may write to");
  }
  const FileHeader header;
  if (std::fwrite(&header, sizeof(header), 1, file.get()) != 1) {
    return fail_errno(fmt::format("cannot write the capture file '{}'", path));
  }
  return std::unique_ptr<PcapWriter>(new PcapWriter(std::move(file), path, epoch));
}

void PcapWriter::write(Instant at, std::span<const std::byte> frame) {
  const auto time = static_cast<std::uint64_t>((at.time_since_epoch() + epoch_).count());
  const auto size = static_cast<std::uint32_t>(frame.size());
  const RecordHeader record{.seconds = static_cast<std::uint32_t>(time / kNsPerSecond),
                            .fraction = static_cast<std::uint32_t>(time % kNsPerSecond),
                            .captured = size,
                            .original = size};
  const std::lock_guard lock(mutex_);
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
  FileHeader header;
  const auto refuse = [&path](std::string_view why, std::string remedy) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("'{}' {}", path, why),
                 .remedy = std::move(remedy)});
  };
  if (std::fread(&header, sizeof(header), 1, file.get()) != 1) {
    return refuse("is too short for a capture file", {});
  }
  const bool swapped =
      header.magic == std::byteswap(kMagicNano) || header.magic == std::byteswap(kMagicMicro);
  const std::uint32_t magic = swapped ? std::byteswap(header.magic) : header.magic;
  if (magic == kMagicNg) {
    return refuse("is a pcapng file", "convert it: editcap -F nsecpcap IN OUT");
  }
  if (magic != kMagicNano && magic != kMagicMicro) return refuse("is no capture file", {});
  const std::uint32_t link = swapped ? std::byteswap(header.link_type) : header.link_type;
  // The upper bits may tell the length of an FCS.
  if ((link & 0xffff) != kEthernet) return refuse("was not captured on Ethernet", {});
  return PcapReader(std::move(file), path, swapped, magic == kMagicNano);
}

std::unexpected<Error> PcapReader::damaged(const char* what) const {
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("'{}' is damaged at frame {}: {}", path_, number_, what)});
}

std::uint32_t PcapReader::host(std::uint32_t value) const {
  return swapped_ ? std::byteswap(value) : value;
}

Result<std::optional<PcapFrame>> PcapReader::next() {
  RecordHeader record{};
  const std::size_t read = std::fread(&record, 1, sizeof(record), file_.get());
  if (read == 0) return std::nullopt;
  ++number_;
  if (read != sizeof(record)) return damaged("it ends within a header");
  const std::uint32_t captured = host(record.captured);
  const std::uint32_t original = host(record.original);
  const std::uint64_t fraction = host(record.fraction) * (nanoseconds_ ? 1ULL : 1000ULL);
  if (captured > kMaxFrame || captured > original) return damaged("its length makes no sense");
  if (fraction >= kNsPerSecond) return damaged("its time makes no sense");
  frame_.resize(captured);
  if (std::fread(frame_.data(), 1, captured, file_.get()) != captured) {
    return damaged("it ends within a frame");
  }
  const std::uint64_t time = host(record.seconds) * std::uint64_t{kNsPerSecond} + fraction;
  return PcapFrame{
      .time = Duration(static_cast<std::int64_t>(time)), .bytes = frame_, .wire_size = original};
}

}  // namespace tideline::port
