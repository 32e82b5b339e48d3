// SPDX-License-Identifier: Apache-2.0
#include "proofs/segment/traffic.h"

#include <atomic>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/mapping.h"
#include "common/process.h"
#include "common/test_directory.h"

namespace proofs::segment {
namespace {

using tideline::Duration;
using tideline::Instant;
using tideline::monotonic_now;

constexpr unsigned kServer = 0;         // the slot of the receiver of a stream: it joins first
constexpr unsigned kServiceEvery = 64;  // calls between two looks at the clock

std::unique_ptr<Member> join_or_die(const MemberConfig& config) {
  auto member = Member::join(config, monotonic_now());
  CHECK(member.has_value(), "{}", member.error().message());
  return std::move(*member);
}

// Calls service() now and then, so that reading the clock does not show in the figures.
class Ticker {
 public:
  explicit Ticker(Member& member) : member_(member) {}
  void tick() {
    if (++calls_ % kServiceEvery == 0) member_.service(monotonic_now());
  }

 private:
  Member& member_;
  unsigned calls_ = 0;
};

bool produce(Member& member, std::span<const std::byte> source, Production production) {
  if (production == Production::kCopied || source.size() <= kInlineBytes) {
    return member.send(kServer, source) == SendVerdict::kSent;
  }
  const auto place = member.prepare(kServer, source.size());
  if (!place) return false;
  const std::size_t written = production == Production::kHeader ? 64 : source.size();
  std::memset(place->bytes.data(), 1, written);
  member.commit(kServer, *place);
  member.flush();
  return true;
}

struct Shared {
  std::atomic<bool> stop;
};

int run_producer(const MemberConfig& config, std::size_t length, Production production,
                 const std::atomic<bool>& stop) {
  bench::pin_to_core(0);
  const auto member = join_or_die(config);
  Ticker ticker(*member);
  const std::vector<std::byte> source(length, std::byte{1});
  while (!stop.load(std::memory_order_relaxed)) {
    if (!produce(*member, source, production)) tideline::cpu_relax();
    ticker.tick();
  }
  return 0;
}

int run_echo(const MemberConfig& config, const std::atomic<bool>& stop) {
  bench::pin_to_core(1);
  const auto member = join_or_die(config);
  Ticker ticker(*member);
  std::vector<std::byte> frame(kMaxFrame);
  for (; !stop.load(std::memory_order_relaxed); ticker.tick()) {
    const auto received = receive(*member, frame);
    if (!received) continue;
    const auto answer = std::span(frame).first(received->length);
    while (member->send(received->source, answer) != SendVerdict::kSent) ticker.tick();
  }
  return 0;
}

}  // namespace

StreamRate stream(MemberConfig config, std::size_t length, Production production, Duration duration,
                  CopyRoutine copy_out) {
  const bench::TestDirectory directory;
  config.meeting_point = directory.path();
  const auto memory = tideline::Mapping::anonymous_shared(tideline::kPageSize);
  CHECK(memory.has_value());
  Shared& shared = *new (memory->data()) Shared{};
  const auto member = join_or_die(config);
  bench::Child producer =
      bench::Child::run([&] { return run_producer(config, length, production, shared.stop); });
  bench::pin_to_core(1);
  Ticker ticker(*member);
  std::vector<std::byte> target(kMaxFrame);
  const auto receive_until = [&](std::uint64_t deadline) {
    std::uint64_t frames = 0;
    while (tideline::tsc_now() < deadline) {
      for (unsigned i = 0; i < kServiceEvery; ++i) {
        frames += receive(*member, target, copy_out).has_value() ? 1 : 0;
        ticker.tick();
      }
    }
    return frames;
  };
  while (!receive(*member, target)) ticker.tick();
  const std::uint64_t ticks = tideline::tsc_ticks(duration);
  receive_until(tideline::tsc_now() + ticks / 4);
  const std::uint64_t start = tideline::tsc_now();
  const std::uint64_t frames = receive_until(start + ticks);
  const double seconds = static_cast<double>(tideline::tsc_now() - start) / tideline::tsc_hz();
  shared.stop = true;
  bench::unpin();
  CHECK(producer.succeeded());
  const double rate = static_cast<double>(frames) / seconds;
  return {rate, rate * static_cast<double>(length) * 8 / 1e9, member->arena_is_huge()};
}

bench::LatencySamples ping_pong(MemberConfig config, std::size_t length, std::uint64_t count,
                                Duration at_most) {
  const bench::TestDirectory directory;
  config.meeting_point = directory.path();
  const auto memory = tideline::Mapping::anonymous_shared(tideline::kPageSize);
  CHECK(memory.has_value());
  Shared& shared = *new (memory->data()) Shared{};
  bench::Child echo = bench::Child::run([&] { return run_echo(config, shared.stop); });
  bench::pin_to_core(0);
  const auto member = join_or_die(config);
  const unsigned peer = member->slot() == 0 ? 1 : 0;
  Ticker ticker(*member);
  std::vector<std::byte> frame(kMaxFrame);
  const std::uint64_t warm_up = count / 10 + 1;
  const std::uint64_t deadline = tideline::tsc_now() + tideline::tsc_ticks(at_most);
  bench::LatencySamples samples(count);
  for (std::uint64_t i = 0; i < count + warm_up; ++i) {
    const std::uint64_t start = tideline::tsc_now();
    if (start > deadline) break;
    // The echo may not have joined yet.
    while (member->send(peer, std::span(frame).first(length)) != SendVerdict::kSent) ticker.tick();
    while (!receive(*member, frame)) ticker.tick();
    if (i >= warm_up) samples.add_ticks(tideline::tsc_now() - start);
  }
  shared.stop = true;
  bench::unpin();
  CHECK(echo.succeeded());
  return samples;
}

}  // namespace proofs::segment
