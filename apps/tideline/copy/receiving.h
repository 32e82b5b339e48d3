// SPDX-License-Identifier: Apache-2.0
// The listener's side of a copy: lends a client windows of memory for one file, and writes to the
// file what the client says it has put there. It trusts nothing that the client says: a client can
// spoil the file that it sends, and nothing else. Thread: the engine's.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/time.h"
#include "copy/disk.h"
#include "copy/hash.h"
#include "copy/incoming_file.h"
#include "copy/line.h"
#include "copy/windows.h"

namespace tideline::app::copy {

class Receiving {
 public:
  // `directory` outlives it. `has_room`: otherwise the client is told to come again.
  Receiving(Verbs& verbs, const Directory& directory, Stream stream, bool has_room, Instant now);
  ~Receiving();

  // Goes as far as it can; after every wait of the engine.
  void step(Instant now);
  // When step() has to be called again, at the latest.
  Instant next_deadline() const { return deadline_; }
  // Ends it; the client is told why.
  void refuse(const std::string& reason, Instant now);

  // There is nothing more to do: the client is gone, or was given time enough to read the end.
  bool is_over() const { return over_; }
  // What became of it is known; the client is being told.
  bool is_leaving() const { return leaving_; }

  // For people: whose it is, which file, and what became of it.
  std::string client() const { return client_; }
  const std::string& name() const { return offer_.name; }
  bool was_offered() const { return offered_; }
  bool is_kept() const { return kept_; }
  const std::string& reason() const { return reason_; }  // why it is not kept
  std::uint64_t size() const { return offer_.size; }
  const Checksum& checksum() const { return checksum_; }
  Duration taken() const { return taken_; }

 private:
  // Memory and a thread are taken.
  bool is_busy() const { return windows_ != nullptr; }
  void handle(const Message& message, Instant now);
  void offered(const Offer& offer, Instant now);
  Status prepare(const Offer& offer);
  void filled(const Filled& filled, Instant now);
  void take_written(Instant now);
  void finish(Instant now);
  void leave(Instant now);
  Result<Piece> write(Piece piece);  // on the disk's thread

  Verbs& verbs_;
  const Directory& directory_;
  Line line_;
  std::string client_;
  Offer offer_;
  bool offered_ = false;
  bool leaving_ = false;
  bool over_ = false;
  bool kept_ = false;
  std::string reason_;
  Instant deadline_;
  Instant begin_;
  Duration taken_{};
  std::unique_ptr<Windows> windows_;
  std::array<bool, kWindows> with_disk_{};
  std::uint64_t received_ = 0;  // bytes that the client has filled in
  bool ended_ = false;
  End end_;
  Checksum checksum_{};
  packet::PassCounter passes_before_;
  // The disk thread's while it has pieces.
  std::unique_ptr<IncomingFile> file_;
  Hash hash_;
  std::unique_ptr<Disk> disk_;  // last: it uses the others
};

}  // namespace tideline::app::copy
