// SPDX-License-Identifier: Apache-2.0
// The client's side of a copy: reads the file into windows, writes each into the listener's memory,
// and tells it so. WRITE and not READ: so the client grants nothing to anybody, the listener's
// memory is reached through keys that it gives out for one file, and its processor is left to the
// file, whose writing costs more than reading.
//
//   disk:    read, checksum   --->   engine:  WRITE   --->   Filled
//                 ^                                            |
//                 '------------------  Freed  <----------------'
//
// Thread: the engine's.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/fd.h"
#include "base/time.h"
#include "copy/disk.h"
#include "copy/hash.h"
#include "copy/line.h"
#include "copy/windows.h"

namespace tideline::app::copy {

struct OutgoingFile {
  UniqueFd fd;
  std::uint64_t size = 0;
  std::uint32_t mode = 0;
};
// An ordinary file.
Result<OutgoingFile> open_outgoing(const std::string& path);

class Sending {
 public:
  // `stream` is being connected to a listener.
  Sending(Verbs& verbs, Stream stream, OutgoingFile file, std::string name, Instant now);
  ~Sending();

  // Goes as far as it can; after every wait of the engine. Fails with kPeer if the listener does
  // not want the file or is gone, otherwise with what this side lacks.
  Status step(Instant now);
  // When step() has to be called again, at the latest.
  Instant next_deadline() const { return alive_at_; }
  // Nothing more is to be said. Then the listener hangs up, too: has_parted(), after which nothing
  // else may be called.
  void hang_up() { line_.hang_up(); }
  bool has_parted();
  // The same, and tells the listener why.
  void give_up(const std::string& reason);

  bool is_done() const { return is_done_; }
  std::uint64_t size() const { return file_.size; }
  // Of the file, how much has arrived in the listener's memory.
  std::uint64_t arrived() const { return arrived_; }
  // Once it is done: the two sides'.
  const Checksum& checksum() const { return checksum_; }
  const Done& done() const { return done_; }

 private:
  enum class Window : std::uint8_t { kUnused, kReading, kWriting, kWithListener };

  Status handle(const Message& message);
  Status begin(const Accept& accept);
  Status freed(const Freed& freed);
  Status take_read();
  Status take_written();
  // Whatever can be read.
  void read_on(std::uint32_t window);
  Result<Piece> read(Piece piece);  // on the disk's thread

  Verbs& verbs_;
  Line line_;
  OutgoingFile file_;
  std::string name_;
  std::unique_ptr<Windows> windows_;
  std::array<Window, kWindows> states_{};
  std::array<std::uint32_t, kWindows> lengths_{};
  bool offered_ = false;
  bool ended_ = false;
  bool accepted_ = false;
  Accept listener_;
  std::uint32_t piece_size_ = 0;
  std::uint64_t asked_ = 0;    // bytes that the disk was asked for
  std::uint64_t arrived_ = 0;  // that the listener has acknowledged
  Checksum checksum_{};
  bool is_done_ = false;
  Done done_;
  Instant alive_at_;
  Hash hash_;                   // the disk thread's, until everything was read
  std::unique_ptr<Disk> disk_;  // last: it uses the others
};

}  // namespace tideline::app::copy
