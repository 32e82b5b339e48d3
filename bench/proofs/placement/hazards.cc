// SPDX-License-Identifier: Apache-2.0
#include "proofs/placement/hazards.h"

#include <fmt/core.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/bits.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "proofs/placement/meeting.h"

namespace proofs::placement {

using tideline::kPageSize;
using tideline::Mapping;

namespace {

constexpr std::size_t kRegionSize = std::size_t{256} * 1024;

// Counts expectations, and keeps the first that failed.
class Expectations {
 public:
  void expect(bool holds, std::string_view what) {
    ++tried_;
    if (!holds && first_failure_.empty()) first_failure_ = what;
  }
  void outcome(Outcome actual, Outcome wanted, std::string_view what) {
    ++tried_;
    if (actual == wanted || !first_failure_.empty()) return;
    first_failure_ =
        fmt::format("{}: {}, not {}", what, outcome_name(actual), outcome_name(wanted));
  }
  Finding finding() const {
    if (!first_failure_.empty()) return {.holds = false, .detail = first_failure_};
    return {.holds = tried_ > 0, .detail = fmt::format("{} cases", tried_)};
  }

 private:
  std::uint64_t tried_ = 0;
  std::string first_failure_;
};

// A region as the target wrote it on the board.
struct Known {
  std::uint32_t rkey;
  std::uint64_t base;
};

void publish(Board& board, std::size_t index, std::uint32_t rkey, const void* base) {
  board.values.at(2 * index) = rkey;
  board.values.at(2 * index + 1) = reinterpret_cast<std::uint64_t>(base);
}

Known known(const Board& board, std::size_t index) {
  return {.rkey = static_cast<std::uint32_t>(board.values.at(2 * index).load()),
          .base = board.values.at(2 * index + 1).load()};
}

Request request_for(const Known& region, std::uint64_t offset, std::uint64_t length) {
  return {.rkey = region.rkey,
          .address = region.base + offset,
          .length = length,
          .access = kRemoteWrite,
          .domain = kDomain};
}

void* plain_memory(std::size_t size) {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED, "errno {}", errno);
  return memory;
}

// Regions 0 (in a memfd) and 1 (plain), both of kRegionSize, for reading and writing.
void prepare_two_regions(Target& target, Board& board) {
  const std::uint32_t index = target.add_memory(kRegionSize).value();
  publish(board, 0, target.register_memory(index, kRemoteRead | kRemoteWrite).value(),
          target.memory(index).data());
  void* plain = plain_memory(kRegionSize);
  publish(board, 1, target.register_plain(plain, kRegionSize, kRemoteRead | kRemoteWrite).value(),
          plain);
}

}  // namespace

Finding check_permissions() {
  enum : std::uint8_t { kMemfd, kPlain, kReadOnly, kOtherDomain, kRevoked };
  Meeting meeting(
      [](Target& target, Board& board) {
        prepare_two_regions(target, board);
        const void* base = target.memory(0).data();
        publish(board, kReadOnly, target.register_memory(0, kRemoteRead).value(), base);
        publish(board, kOtherDomain, target.register_memory(0, kRemoteWrite, kDomain + 1).value(),
                base);
        publish(board, kRevoked, target.register_memory(0, kRemoteWrite).value(), base);
      },
      [](Target& target, Board& board) {
        CHECK(target.deregister(known(board, kRevoked).rkey));
        board.step = 1;
        return wait_for_stop(target, board);
      });
  const Board& board = meeting.board();
  board.wait_for_step(1);
  Expectations expect;
  DirectPath& direct = meeting.initiator().direct();
  const std::array<std::byte, 64> source{};
  const auto both_paths = [&](const Request& request, Outcome wanted, std::string_view what) {
    expect.outcome(direct.write(request, source.data()), wanted, what);
    expect.outcome(meeting.initiator().frames().write(request, source.data()), wanted, what);
  };
  for (const std::size_t region : {kMemfd, kPlain}) {
    const Known good = known(board, region);
    both_paths(request_for(good, 0, 64), Outcome::kPlaced, "the start");
    both_paths(request_for(good, kRegionSize - 64, 64), Outcome::kPlaced, "the end");
    both_paths(request_for(good, kRegionSize, 0), Outcome::kPlaced, "nothing at the end");
    both_paths(request_for(good, kRegionSize - 63, 64), Outcome::kOutOfBounds, "over the end");
    both_paths(request_for(good, 0 - std::uint64_t{1}, 64), Outcome::kOutOfBounds, "too low");
    both_paths(request_for({.rkey = good.rkey, .base = UINT64_MAX - 8}, 0, 64),
               Outcome::kOutOfBounds, "around the end of the address space");
    both_paths(request_for({.rkey = good.rkey ^ 1U << 20, .base = good.base}, 0, 64),
               Outcome::kUnknownKey, "another generation");
  }
  expect.outcome(direct.write(request_for(known(board, kMemfd), 0, UINT64_MAX), source.data()),
                 Outcome::kOutOfBounds, "a length beyond everything");
  both_paths(request_for(known(board, kReadOnly), 0, 64), Outcome::kAccessDenied, "read-only");
  both_paths(request_for(known(board, kOtherDomain), 0, 64), Outcome::kWrongDomain, "domain");
  both_paths(request_for(known(board, kRevoked), 0, 64), Outcome::kUnknownKey, "revoked");
  both_paths(request_for({.rkey = 0, .base = 0}, 0, 1), Outcome::kUnknownKey, "key 0");
  const OutcomeCounts& counts = direct.counts();
  expect.expect(counts[static_cast<std::size_t>(Outcome::kOutOfBounds)] == 7 &&
                    counts[static_cast<std::size_t>(Outcome::kUnknownKey)] == 4,
                "refusals are counted");
  expect.expect(meeting.stop(), "the target lives");
  return expect.finding();
}

Finding check_bad_target_memory() {
  enum : std::uint8_t { kTruncated, kUnmapped, kProtected, kReadOnly, kHoled, kGood };
  Meeting meeting(
      [](Target& target, Board& board) {
        const std::uint32_t index = target.add_memory(kRegionSize).value();
        publish(board, kTruncated, target.register_memory(index, kRemoteWrite).value(),
                target.memory(index).data());
        for (const std::size_t region : {kUnmapped, kProtected, kReadOnly, kHoled, kGood}) {
          void* plain = plain_memory(kRegionSize);
          publish(board, region, target.register_plain(plain, kRegionSize, kRemoteWrite).value(),
                  plain);
        }
      },
      [](Target& target, Board& board) {
        const auto memory = [&](std::size_t region) {
          return reinterpret_cast<std::byte*>(known(board, region).base);  // NOLINT
        };
        CHECK(::ftruncate(target.memory_fd(0), 0) == 0);
        CHECK(::munmap(memory(kUnmapped), kRegionSize) == 0);
        CHECK(::mprotect(memory(kProtected), kRegionSize, PROT_NONE) == 0);
        CHECK(::mprotect(memory(kReadOnly), kRegionSize, PROT_READ) == 0);
        CHECK(::munmap(memory(kHoled) + kRegionSize / 2, kPageSize) == 0);
        board.step = 1;
        return wait_for_stop(target, board);
      });
  meeting.board().wait_for_step(1);
  Expectations expect;
  const std::vector<std::byte> source(kRegionSize);
  for (const std::size_t region : {kTruncated, kUnmapped, kProtected, kReadOnly, kHoled, kGood}) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{8}, kPageSize, kRegionSize}) {
      const bool good = region == kGood || (region == kHoled && size != kRegionSize);
      const Outcome wanted = good ? Outcome::kPlaced : Outcome::kRemoteFault;
      const Request request = request_for(known(meeting.board(), region), 0, size);
      expect.outcome(meeting.initiator().direct().write(request, source.data()), wanted,
                     fmt::format("direct, memory {}, {} B", region, size));
      expect.outcome(meeting.initiator().frames().write(request, source.data()), wanted,
                     fmt::format("frames, memory {}, {} B", region, size));
    }
  }
  expect.expect(meeting.stop(), "the target lives");
  return expect.finding();
}

Finding check_bad_source_memory() {
  Meeting meeting(prepare_two_regions, wait_for_stop);
  tideline::UniqueFd file(::memfd_create("short", MFD_CLOEXEC));
  CHECK(::ftruncate(file.get(), kRegionSize) == 0);
  const Mapping truncated =
      Mapping::map(file.get(), kRegionSize, tideline::Access::kReadWrite).value();
  CHECK(::ftruncate(file.get(), 0) == 0);
  void* unmapped = plain_memory(kRegionSize);
  CHECK(::munmap(unmapped, kRegionSize) == 0);
  void* protected_memory = plain_memory(kRegionSize);
  CHECK(::mprotect(protected_memory, kRegionSize, PROT_NONE) == 0);
  auto* half = static_cast<std::byte*>(plain_memory(kRegionSize));
  CHECK(::mprotect(half + kRegionSize / 2, kRegionSize / 2, PROT_NONE) == 0);
  void* good = plain_memory(kRegionSize);

  Expectations expect;
  const auto try_source = [&](void* source, std::size_t size, Outcome wanted) {
    for (const std::size_t region : {std::size_t{0}, std::size_t{1}}) {
      Request request = request_for(known(meeting.board(), region), 0, size);
      DirectPath& direct = meeting.initiator().direct();
      expect.outcome(direct.write(request, source), wanted, "direct write");
      expect.outcome(meeting.initiator().frames().write(request, source), wanted, "frames");
      request.access = kRemoteRead;
      expect.outcome(direct.read(request, source), wanted, "direct read");
    }
  };
  for (const std::size_t size : {std::size_t{1}, std::size_t{8}, kPageSize, kRegionSize}) {
    for (void* bad : {static_cast<void*>(truncated.data()), unmapped, protected_memory,
                      static_cast<void*>(nullptr)}) {
      try_source(bad, size, Outcome::kLocalFault);
    }
    try_source(half, size, size == kRegionSize ? Outcome::kLocalFault : Outcome::kPlaced);
    try_source(good, size, Outcome::kPlaced);
  }
  ::munmap(protected_memory, kRegionSize);
  ::munmap(half, kRegionSize);
  ::munmap(good, kRegionSize);
  expect.expect(meeting.stop(), "the target lives");
  return expect.finding();
}

Finding check_dying_target(std::uint64_t rounds, std::uint64_t seed) {
  Expectations expect;
  tideline::Rng rng(seed);
  const std::vector<std::byte> source(65536);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    const bool execs = round % 8 == 7;
    Meeting meeting(prepare_two_regions, [execs](Target& target, Board& board) {
      if (!execs) return wait_for_stop(target, board);
      while (!board.stop.load()) tideline::cpu_relax();
      ::execl("/bin/sleep", "sleep", "60", nullptr);
      return 1;
    });
    const std::size_t path = round % 3;  // direct in a memfd, direct in plain memory, frames
    const Request request = request_for(known(meeting.board(), path == 0 ? 0 : 1), 0, 65536);
    const auto place = [&] {
      return path == 2 ? meeting.initiator().frames().write(request, source.data())
                       : meeting.initiator().direct().write(request, source.data());
    };
    const tideline::Instant start = tideline::monotonic_now();
    const tideline::Instant moment =
        start + std::chrono::microseconds(static_cast<std::int64_t>(rng.below(300)));
    const tideline::Instant deadline = start + std::chrono::seconds(5);
    bool ended = false;
    Outcome outcome = Outcome::kPlaced;
    while (outcome == Outcome::kPlaced && tideline::monotonic_now() < deadline) {
      outcome = place();
      if (ended || tideline::monotonic_now() < moment) continue;
      ended = true;
      if (execs) {
        meeting.board().stop.store(true);
      } else {
        meeting.child().signal(SIGKILL);
      }
    }
    expect.outcome(outcome, Outcome::kTargetGone,
                   fmt::format("round {}, path {}{}", round, path, execs ? ", exec" : ""));
  }
  return expect.finding();
}

namespace {

// Whether nobody writes to memory that is the program's again.
bool stays_untouched(std::byte* memory, std::size_t size) {
  constexpr std::byte kOurs{0xee};
  std::memset(memory, static_cast<int>(kOurs), size);
  const std::uint64_t until =
      tideline::tsc_now() + tideline::tsc_ticks(std::chrono::microseconds(5));
  while (tideline::tsc_now() < until) tideline::cpu_relax();
  return std::all_of(memory, memory + size, [](std::byte byte) { return byte == kOurs; });
}

}  // namespace

Finding check_deregistration(std::uint64_t rounds) {
  constexpr std::uint32_t kStop = 1U << 31;
  constexpr std::size_t kSize = 16384;
  // values: 0 and 1 the current region, 2 the placements so far, 3 late writes, 4 failed waits
  Meeting meeting([](Target& target, Board& /*board*/) { CHECK(target.add_memory(kSize)); },
                  [rounds](Target& target, Board& board) {
                    void* plain = plain_memory(kSize);
                    for (std::uint64_t round = 0; round < rounds; ++round) {
                      const bool in_memfd = round % 2 == 0;
                      std::byte* memory =
                          in_memfd ? target.memory(0).data() : static_cast<std::byte*>(plain);
                      const std::uint32_t rkey =
                          in_memfd ? target.register_memory(0, kRemoteWrite).value()
                                   : target.register_plain(plain, kSize, kRemoteWrite).value();
                      publish(board, 0, rkey, memory);
                      const std::uint64_t seen = board.values[2].load();
                      while (board.values[2].load() < seen + 1 + round % 3) tideline::cpu_relax();
                      if (!target.deregister(rkey)) board.values[4].fetch_add(1);
                      if (!stays_untouched(memory, kSize)) board.values[3].fetch_add(1);
                    }
                    board.step = kStop;
                    return 0;
                  });
  Board& board = meeting.board();
  const std::vector<std::byte> source(kSize, std::byte{1});
  std::uint64_t refused = 0;
  Expectations expect;
  while (board.step.load() != kStop) {
    const Known region = known(board, 0);
    const Outcome outcome =
        meeting.initiator().direct().write(request_for(region, 0, kSize), source.data());
    if (outcome == Outcome::kPlaced) {
      board.values[2].fetch_add(1);
    } else if (outcome == Outcome::kUnknownKey || outcome == Outcome::kOutOfBounds) {
      ++refused;  // out of bounds: the new base with the old key, or the reverse
    } else {
      expect.outcome(outcome, Outcome::kPlaced, "a placement");
    }
  }
  expect.expect(board.values[3].load() == 0, "writes after deregistration");
  expect.expect(board.values[4].load() == 0, "a deregistration that waited in vain");
  Finding finding = expect.finding();
  if (finding.holds) {
    finding.detail = fmt::format("{} deregistrations, {} placements, {} came too late", rounds,
                                 board.values[2].load(), refused);
  }
  return finding;
}

Finding check_integrity(std::uint64_t rounds, std::uint64_t seed) {
  Meeting meeting(prepare_two_regions, wait_for_stop);
  tideline::Rng rng(seed);
  Expectations expect;
  std::array<std::vector<std::byte>, 2> mirrors;
  for (auto& mirror : mirrors) mirror.assign(kRegionSize, std::byte{0});
  std::vector<std::byte> source(kRegionSize);
  for (std::byte& byte : source) byte = static_cast<std::byte>(rng());
  std::vector<std::byte> back(kRegionSize);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    const std::size_t region = rng.below(2);
    // Sizes of all magnitudes, at any alignment of either side.
    const std::size_t size = rng.below((std::size_t{1} << rng.below(18)) + 1);
    const std::size_t to = rng.below(kRegionSize - size + 1);
    const std::size_t from = rng.below(kRegionSize - size + 1);
    Request request = request_for(known(meeting.board(), region), to, size);
    const Outcome outcome = rng.below(2) == 0
                                ? meeting.initiator().direct().write(request, source.data() + from)
                                : meeting.initiator().frames().write(request, source.data() + from);
    expect.outcome(outcome, Outcome::kPlaced, "a write");
    std::memcpy(mirrors.at(region).data() + to, source.data() + from, size);
    if (round % 16 != 15) continue;
    request = request_for(known(meeting.board(), region), 0, kRegionSize);
    request.access = kRemoteRead;
    expect.outcome(meeting.initiator().direct().read(request, back.data()), Outcome::kPlaced,
                   "a read");
    expect.expect(back == mirrors.at(region), "the region reads as it was written");
  }
  expect.expect(meeting.stop(), "the target lives");
  return expect.finding();
}

Finding check_kernel_permission() {
  constexpr uid_t kUser = 65534;
  struct Case {
    uid_t target;
    bool dumpable;
    Outcome direct;
  };
  Expectations expect;
  for (const Case& c :
       {Case{kUser, true, Outcome::kPlaced}, Case{kUser, false, Outcome::kNotPermitted},
        Case{kUser - 1, true, Outcome::kNotPermitted}}) {
    bench::Child initiator = bench::Child::run([&c] {
      const auto become = [&c](bool is_target) {
        const uid_t uid = is_target ? c.target : kUser;
        CHECK(::setresuid(uid, uid, uid) == 0, "errno {}", errno);
        // A change of user makes a process not dumpable.
        CHECK(::prctl(PR_SET_DUMPABLE, is_target && !c.dumpable ? 0 : 1) == 0);
      };
      Meeting meeting(prepare_two_regions, wait_for_stop, become);
      const std::array<std::byte, 64> source{};
      const Request plain = request_for(known(meeting.board(), 1), 0, 64);
      const Request memfd = request_for(known(meeting.board(), 0), 0, 64);
      Initiator& us = meeting.initiator();
      if (us.direct().write(plain, source.data()) != c.direct) return 1;
      if (us.direct().write(memfd, source.data()) != Outcome::kPlaced) return 2;
      if (us.frames().write(plain, source.data()) != Outcome::kPlaced) return 3;
      meeting.board().stop.store(true);  // another user's child cannot be killed by us
      return meeting.child().succeeded() ? 0 : 4;
    });
    const int status = initiator.wait();
    expect.expect(status == 0,
                  fmt::format("user {}, dumpable {}: status {:#x}", c.target, c.dumpable, status));
  }
  return expect.finding();
}

}  // namespace proofs::placement
