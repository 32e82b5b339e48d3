// SPDX-License-Identifier: Apache-2.0
#include "port/pcap_port.h"

#include <fmt/core.h>

#include <algorithm>
#include <span>
#include <utility>

#include "packet/checksum.h"
#include "packet/copy.h"

namespace tideline::port {

Result<PcapSpec> PcapSpec::parse(std::string_view text) {
  const auto wrong = [&text](const char* what) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("'pcap:{}' {}", text, what),
                 .remedy = "write it like pcap:in.pcap,out.pcap or pcap:in.pcap,fast"});
  };
  PcapSpec spec;
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  if (parts.size() > 1 && parts.back() == "fast") {
    spec.fast = true;
    parts.pop_back();
  }
  if (parts.size() > 2) return wrong("names more than two files");
  if (std::ranges::any_of(parts, &std::string::empty)) return wrong("names no file");
  spec.in = parts.front();
  if (parts.size() == 2) spec.out = parts.back();
  return spec;
}

Result<std::unique_ptr<PcapPort>> PcapPort::open(const PcapSpec& spec, Pool* pool,
                                                 const PcapPortOptions& options) {
  auto in = PcapReader::open(spec.in);
  if (!in) return fail(std::move(in.error()));
  std::shared_ptr<PcapWriter> out;
  if (!spec.out.empty()) {
    auto created = PcapWriter::create(spec.out, options.epoch);
    if (!created) return fail(std::move(created.error()));
    out = std::move(*created);
  }
  auto bell = ring::EventBell::create();
  if (!bell) return fail(std::move(bell.error()));
  // The copy into the file sums and gathers.
  PortInfo info{.name = "pcap:" + spec.in,
                .mac = options.mac,
                .mtu = options.mtu,
                .capabilities = {.tx_checksum = true,
                                 .scatter_gather = true,
                                 .max_frame = options.mtu + kEthernetHeader + 4}};
  std::unique_ptr<PcapPort> port(new PcapPort(std::move(info), std::move(*in), std::move(out),
                                              std::move(*bell), spec.fast, pool));
  port->read_next();
  return port;
}

// Keeps the next frame of the file, and computes when it is due.
void PcapPort::read_next() {
  auto frame = in_.next();
  if (!frame) counters(0).drop(Drop::kRxTruncated);
  next_ = frame.value_or(std::nullopt);
  if (!next_) {
    due_ = kNever;
  } else if (!fast_ && offset_) {
    due_ = Instant(next_->time + *offset_);
  }
}

std::size_t PcapPort::rx_burst(unsigned queue, Burst& burst, Instant now) {
  QueueStats& stats = counters(queue);
  if (next_ && !offset_) offset_ = now.time_since_epoch() - next_->time;
  std::size_t count = 0;
  for (; next_ && due_ <= now && !burst.full(); read_next()) {
    const auto bytes = next_->bytes;
    if (bytes.size() < kMinFrame || bytes.size() < next_->wire_size ||
        bytes.size() > kMaxGsoFrame) {
      stats.drop(bytes.size() < kMinFrame ? Drop::kRxShort : Drop::kRxTruncated);
      continue;
    }
    PacketPtr frame = packet::copy_of(bytes, *pool_, stats.passes);
    if (frame == nullptr) {
      stats.drop(Drop::kRxPool);
      continue;
    }
    frame->meta().timestamp = now;
    stats.received(bytes.size());
    burst.push(std::move(frame));
    ++count;
  }
  return count;
}

std::size_t PcapPort::tx_burst(unsigned queue, Burst& burst, Instant now) {
  QueueStats& stats = counters(queue);
  std::size_t taken = 0;
  for (const PacketPtr& frame : burst) {
    if (frame == nullptr || !admit(queue, *frame)) continue;
    if (out_ != nullptr) {
      const std::span<std::byte> copy = std::span(copy_).first(frame->size());
      // admit() has seen to it that the metadata makes sense.
      (void)packet::copy_completed(*frame, copy, stats.passes);
      out_->write(now, copy);
    }
    stats.sent(frame->size());
    ++taken;
  }
  burst.clear();
  return taken;
}

}  // namespace tideline::port
