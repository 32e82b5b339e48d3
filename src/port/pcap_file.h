// SPDX-License-Identifier: Apache-2.0
// Capture files. Written as pcap (draft-ietf-opsawg-pcap) with nanoseconds; read as pcap of either
// resolution and byte order, or as pcapng (pcapng.h). Ethernet only. The `capture` command and
// capture.h write them; tests and replay read them.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "port/pcapng.h"

namespace tideline::port {

struct FileCloser {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using UniqueFile = std::unique_ptr<std::FILE, FileCloser>;

// Thread: any; frames of several queues go into one file.
class PcapWriter {
 public:
  // `epoch` is what to add to an Instant to get the time since 1970: no clock is read here.
  // Frames beyond `limit` are not written; 0 is without limit.
  static Result<std::unique_ptr<PcapWriter>> create(const std::string& path, Duration epoch,
                                                    std::uint64_t limit = 0);

  void write(Instant at, std::span<const std::byte> frame);
  // Frames written so far.
  std::uint64_t frames() const { return frames_.load(std::memory_order_relaxed); }
  // Everything to the file system. An error says that frames were lost since the last time.
  Status flush();

 private:
  PcapWriter(UniqueFile file, std::string path, Duration epoch, std::uint64_t limit)
      : file_(std::move(file)), path_(std::move(path)), epoch_(epoch), limit_(limit) {}

  std::mutex mutex_;
  UniqueFile file_;
  std::string path_;
  Duration epoch_;
  std::uint64_t limit_;
  std::atomic<std::uint64_t> frames_{0};
  std::uint64_t lost_ = 0;
};

// Does not trust the file. One thread.
class PcapReader {
 public:
  static Result<PcapReader> open(const std::string& path);
  // Of a file that is open already; `name` is for errors.
  static Result<PcapReader> read(UniqueFile file, std::string name);

  // The next frame; nothing at the end of the file; an error if the file is damaged.
  Result<std::optional<PcapFrame>> next();

 private:
  PcapReader(UniqueFile file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

  Status read_file_header(std::uint32_t magic);
  Result<std::optional<PcapFrame>> next_record();
  Result<std::optional<PcapFrame>> next_block(PcapngDecoder& decoder);
  std::unexpected<Error> damaged(const char* what) const;
  std::uint32_t host(std::uint32_t value) const { return swapped_ ? std::byteswap(value) : value; }
  bool read_bytes(void* to, std::size_t size) {
    return std::fread(to, 1, size, file_.get()) == size;
  }

  UniqueFile file_;
  std::string path_;
  bool swapped_ = false;
  bool nanoseconds_ = false;
  std::optional<PcapngDecoder> pcapng_;  // instead of the two
  bool at_start_ = true;                 // of pcapng: the first block's type has been read
  std::vector<std::byte> frame_;
  std::uint64_t number_ = 0;  // of the frame, or of the block, from 1
};

}  // namespace tideline::port
