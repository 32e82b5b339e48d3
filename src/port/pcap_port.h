// SPDX-License-Identifier: Apache-2.0
// A wire made of files: the frames of one capture file arrive, at the pace at which they were
// captured or as fast as they are taken; what is sent is written to another. When the first is at
// its end nothing arrives any more. One queue.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "port/pcap_file.h"
#include "port/port.h"
#include "ring/bell.h"

namespace tideline::port {

// `pcap:IN[,OUT][,fast]`, without the `pcap:`.
struct PcapSpec {
  std::string in;
  std::string out;  // empty: what is sent is forgotten
  bool fast = false;

  static Result<PcapSpec> parse(std::string_view text);
};

struct PcapPortOptions {
  std::size_t mtu = 1500;
  wire::MacAddress mac{{0x02, 0, 0, 0, 0, 1}};
  Duration epoch{};  // what to add to an Instant to get the time since 1970, for what is written
};

class PcapPort final : public Port {
 public:
  static Result<std::unique_ptr<PcapPort>> open(const PcapSpec& spec, Pool* pool,
                                                const PcapPortOptions& options = {});

  // The first call starts the clock. A damaged file ends where it is damaged, as kRxTruncated.
  std::size_t rx_burst(unsigned queue, Burst& burst, Instant now) override;
  std::size_t tx_burst(unsigned queue, Burst& burst, Instant now) override;
  // Never readable: the time of the next frame is the deadline.
  int fd(unsigned /*queue*/) const override { return bell_.fd(); }
  Instant next_deadline(unsigned /*queue*/) const override { return due_; }
  // The file for what is sent; null if it is forgotten. Who opens the port flushes it, for a
  // port that ends has nobody to tell that frames are missing.
  const std::shared_ptr<PcapWriter>& output() const { return out_; }

 private:
  PcapPort(PortInfo info, PcapReader in, std::shared_ptr<PcapWriter> out, ring::EventBell bell,
           bool fast, Pool* pool)
      : Port(std::move(info)),
        in_(std::move(in)),
        out_(std::move(out)),
        bell_(std::move(bell)),
        fast_(fast),
        pool_(pool),
        copy_(capabilities().max_frame) {}

  void read_next();

  PcapReader in_;
  std::shared_ptr<PcapWriter> out_;
  ring::EventBell bell_;
  bool fast_;
  Pool* pool_;
  std::vector<std::byte> copy_;     // of a frame that is sent
  std::optional<PcapFrame> next_;   // to arrive, at due_
  std::optional<Duration> offset_;  // from the times of the file to ours, once the clock runs
  Instant due_{};                   // kNever at the end
};

}  // namespace tideline::port
