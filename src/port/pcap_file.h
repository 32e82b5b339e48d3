// SPDX-License-Identifier: Apache-2.0
// Capture files, pcap format (draft-ietf-opsawg-pcap): written with nanoseconds, read in either
// resolution and either byte order. Ethernet only. The `capture` command and capture.h write them;
// tests and replay read them.
#pragma once

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

namespace tideline::port {

struct FileCloser {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using UniqueFile = std::unique_ptr<std::FILE, FileCloser>;

// Thread: any; frames of several queues go into one file.
class PcapWriter {
 public:
  // `epoch` is what to add to an Instant to get the time since 1970: no clock is read here.
  static Result<std::unique_ptr<PcapWriter>> create(const std::string& path, Duration epoch);

  void write(Instant at, std::span<const std::byte> frame);
  // Everything to the file system. An error says that frames were lost since the last time.
  Status flush();

 private:
  PcapWriter(UniqueFile file, std::string path, Duration epoch)
      : file_(std::move(file)), path_(std::move(path)), epoch_(epoch) {}

  std::mutex mutex_;
  UniqueFile file_;
  std::string path_;
  Duration epoch_;
  std::uint64_t lost_ = 0;
};

struct PcapFrame {
  Duration time{};                   // since 1970
  std::span<const std::byte> bytes;  // until the next call of next()
  std::size_t wire_size = 0;         // bytes.size(), or more if the capture was cut
};

// Does not trust the file. One thread.
class PcapReader {
 public:
  static Result<PcapReader> open(const std::string& path);

  // The next frame; nothing at the end of the file; an error if the file is damaged.
  Result<std::optional<PcapFrame>> next();

 private:
  PcapReader(UniqueFile file, std::string path, bool swapped, bool nanoseconds)
      : file_(std::move(file)),
        path_(std::move(path)),
        swapped_(swapped),
        nanoseconds_(nanoseconds) {}

  std::unexpected<Error> damaged(const char* what) const;
  std::uint32_t host(std::uint32_t value) const;

  UniqueFile file_;
  std::string path_;
  bool swapped_;
  bool nanoseconds_;
  std::vector<std::byte> frame_;
  std::uint64_t number_ = 0;  // of the frame, from 1
};

}  // namespace tideline::port
