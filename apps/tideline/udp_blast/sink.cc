// SPDX-License-Identifier: Apache-2.0
#include "udp_blast/sink.h"

#include <algorithm>
#include <chrono>

namespace tideline::app::blast {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostRuns = 64;
// When nothing has come for so long, what is missing is lost.
constexpr Duration kSettled = 100ms;
// So long the last sender may ask again for its report.
constexpr Duration kLinger = 300ms;

}  // namespace

void Sink::receive(const ip::UdpEndpoint& from, wire::Bytes front, std::size_t size, Instant now) {
  const auto kind = kind_of(front);
  if (kind == Kind::kBegin) {
    begin(from, wire::view_as<Header>(front), now);
    return;
  }
  Run* run = find(from);
  if (run == nullptr) {
    ++strays_;
    return;
  }
  if (!kind) {
    // Only what is too short for a header may lack it.
    if (run->size < sizeof(Header) && size == run->size && !run->reported) {
      run->flow.unnumbered(size, now);
    } else {
      ++strays_;
    }
    return;
  }
  const auto& header = wire::view_as<Header>(front);
  const bool of_run = header.run == wire::be32(run->number);
  if (of_run && kind == Kind::kData && !run->reported) {
    const Instant sent_at{Duration(static_cast<std::int64_t>(header.sent_at.value()))};
    run->flow.numbered(header.sequence.value(), size, sent_at, now);
  } else if (of_run && kind == Kind::kEnd) {
    end(*run, header, now);
  } else {
    ++strays_;
  }
}

// The latest run of a sender.
Sink::Run* Sink::find(const ip::UdpEndpoint& from) {
  if (last_ != nullptr && last_->sender == from) [[likely]]
    return last_;
  const auto found = std::ranges::find_if(runs_.rbegin(), runs_.rend(),
                                          [&](const auto& run) { return run->sender == from; });
  return found == runs_.rend() ? nullptr : last_ = found->get();
}

void Sink::begin(const ip::UdpEndpoint& from, const Header& header, Instant now) {
  const Run* known = find(from);
  if (known == nullptr || header.run != wire::be32(known->number)) {
    if (runs_.size() == kMostRuns) {
      // The oldest that has its report goes; if none has, this one is not served.
      const auto old = std::ranges::find_if(runs_, [](const auto& run) { return run->reported; });
      if (old == runs_.end()) return;
      runs_.erase(old);
      last_ = nullptr;
    }
    runs_.push_back(std::make_unique<Run>());
    Run& run = *runs_.back();
    run.sender = from;
    run.number = header.run.value();
    run.size = header.sequence.value();
    run.began = io_.effort();
    last_ = &run;
  }
  const Header ready = make_header(Kind::kReady, header.run.value(), 0, 0);
  io_.answer(from, std::as_bytes(std::span(&ready, 1)), now);
}

void Sink::end(Run& run, const Header& header, Instant now) {
  if (!run.reported) {
    const std::uint64_t sent = header.sequence.value();
    if (run.flow.datagrams() < sent && now - run.flow.last() < kSettled) return;
    const Effort effort = io_.effort() - run.began;
    run.report = run.flow.report(sent);
    run.report.cpu_ns = effort.cpu_ns;
    run.report.passed = effort.passed;
    run.report.copied = effort.copied;
    run.reported = true;
    ++reports_;
  }
  const auto message = emit_report(run.number, run.report);
  io_.answer(run.sender, message, now);
  if (count_ > 0 && reports_ >= count_) done_at_ = now + kLinger;
}

std::uint64_t Sink::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& run : runs_) sum += run->flow.bytes();
  return sum;
}

std::uint64_t Sink::datagrams() const {
  std::uint64_t sum = 0;
  for (const auto& run : runs_) sum += run->flow.datagrams();
  return sum;
}

}  // namespace tideline::app::blast
