// SPDX-License-Identifier: Apache-2.0
#include "proofs/segment/bystander.h"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/clock.h"
#include "common/process.h"

namespace proofs::segment {
namespace {

using tideline::Duration;
using tideline::Instant;
using tideline::monotonic_now;

constexpr Duration kPatience = std::chrono::seconds(10);
constexpr Duration kAskAgain = std::chrono::milliseconds(5);
constexpr std::uint64_t kChatterEvery = 64;

// NOLINTNEXTLINE(performance-enum-size): fills its word of the header
enum class Kind : std::uint32_t { kPair, kRequest, kReply, kChatter };

struct Header {
  Kind kind;
  std::uint32_t length;
  std::uint64_t number;
};

// Inline, by reference in both kinds of block; the large ones are rare, for they take longest.
std::uint32_t length_of(std::uint64_t number) {
  if (number % 256 == 255) return kMaxFrame;
  constexpr std::array<std::uint32_t, 4> kLengths = {64, 1400, 112, 120};
  return kLengths[number % kLengths.size()];
}

// Every word of the frame depends on its number and its place.
std::span<const std::byte> make_frame(std::span<std::byte> into, Kind kind, std::uint64_t number) {
  const std::uint32_t length = length_of(number);
  const Header header{kind, length, number};
  std::memcpy(into.data(), &header, sizeof(header));
  for (std::size_t at = sizeof(header); at + 8 <= length; at += 8) {
    const std::uint64_t word = (number + at) * 0x9e3779b97f4a7c15;
    std::memcpy(into.data() + at, &word, sizeof(word));
  }
  return into.first(length);
}

class Bystander {
 public:
  Bystander(Member& member, BystanderState& state)
      : member_(member), state_(state), other_(1 - member.slot()), heard_(monotonic_now()) {}

  void step(Instant now) {
    if (monitor(now)) return;
    if (member_.send(other_, make_frame(frame_, Kind::kPair, sent_)) == SendVerdict::kSent) ++sent_;
    if (++steps_ % kChatterEvery == 0) {
      for (unsigned slot = kBystanders; slot < kTortureSlots; ++slot) {
        send_chatter(member_, slot, steps_ / kChatterEvery);
      }
    }
    bool idle = true;
    for (int i = 0; i < 4; ++i) {
      const auto received = receive(member_, frame_);
      if (!received) break;
      idle = false;
      take(*received, now);
    }
    member_.service(now);
    if (idle) ::sched_yield();
  }

 private:
  // Answers the supervisor. True: it is being answered.
  bool monitor(Instant now) {
    const std::uint64_t silence = static_cast<std::uint64_t>((now - heard_).count());
    if (silence > state_.longest_silence_ns) state_.longest_silence_ns = silence;
    const std::uint32_t asked = state_.asked.load(std::memory_order_acquire);
    if (asked == state_.answered.load(std::memory_order_relaxed)) return false;
    state_.resources = bench::own_resources();
    state_.dropped_references = member_.counters()[Event::kDropBadReference];
    state_.refused_indices = member_.counters()[Event::kRefusedIndex];
    state_.answered.store(asked, std::memory_order_release);
    return true;
  }

  void take(const Received& received, Instant now) {
    const auto frame = std::span(frame_).first(received.length);
    Header header{};
    if (frame.size() >= sizeof(header)) std::memcpy(&header, frame.data(), sizeof(header));
    if (received.source == other_) {
      const auto right = make_frame(expected_, Kind::kPair, expected_number_);
      if (!std::ranges::equal(frame, right)) ++state_.wrong;
      ++expected_number_;
      ++state_.received;
      heard_ = now;
    } else if (frame.size() >= sizeof(header) && header.kind == Kind::kRequest) {
      header.kind = Kind::kReply;
      std::memcpy(frame_.data(), &header, sizeof(header));
      (void)member_.send(received.source, frame);  // it may be dead by now
    }
  }

  Member& member_;
  BystanderState& state_;
  unsigned other_;
  std::vector<std::byte> frame_ = std::vector<std::byte>(kMaxFrame);
  std::vector<std::byte> expected_ = std::vector<std::byte>(kMaxFrame);
  std::uint64_t sent_ = 0;
  std::uint64_t expected_number_ = 0;
  std::uint64_t steps_ = 0;
  Instant heard_;
};

}  // namespace

void pin_if_possible(int core) {
  if (bench::usable_cores() > core) bench::pin_to_core(core);
}

MemberConfig torture_config(const std::string& meeting_point) {
  // Small, for it is made thousands of times.
  return {.meeting_point = meeting_point,
          .slots = kTortureSlots,
          .ring_slots = 32,
          .arena = {.small_blocks = 64, .large_blocks = 4},
          .arena_pages = ArenaPages::kNormal,
          .index_lag = 8};
}

int run_bystander(const MemberConfig& config, unsigned self, Board& board) {
  pin_if_possible(kBystanderCore);
  auto member = Member::join(config, monotonic_now());
  if (!member || (*member)->slot() != self) return 1;
  Bystander bystander(**member, board.bystanders.at(self));
  board.bystanders.at(self).ready = true;
  while (!board.stop.load(std::memory_order_relaxed)) bystander.step(monotonic_now());
  return 0;
}

bool exchange_with_bystanders(Member& member) {
  std::vector<std::byte> frame(kMaxFrame);
  const Instant deadline = monotonic_now() + kPatience;
  std::array<bool, kBystanders> answered{};
  Instant ask_at = monotonic_now();
  for (Instant now = ask_at; now < deadline; now = monotonic_now()) {
    member.service(now);
    // Again and again: a segment may drop frames, and a bystander's ring to us may be full of
    // chatter.
    if (now >= ask_at) {
      ask_at = now + kAskAgain;
      for (unsigned slot = 0; slot < kBystanders; ++slot) {
        if (!answered.at(slot)) (void)member.send(slot, make_frame(frame, Kind::kRequest, slot));
      }
    }
    const auto received = receive(member, frame);
    if (!received) {
      ::sched_yield();
      continue;
    }
    Header header{};
    if (received->length < sizeof(header)) continue;
    std::memcpy(&header, frame.data(), sizeof(header));
    if (received->source < kBystanders && header.kind == Kind::kReply) {
      answered.at(received->source) = true;
    }
    if (answered[0] && answered[1]) return true;
  }
  return false;
}

void send_chatter(Member& member, unsigned destination, std::uint64_t number) {
  std::array<std::byte, 2048> frame{};
  if (length_of(number) > frame.size()) ++number;
  (void)member.send(destination, make_frame(frame, Kind::kChatter, number));
}

}  // namespace proofs::segment
