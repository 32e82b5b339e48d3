// SPDX-License-Identifier: Apache-2.0
#include "proofs/segment/torture.h"

#include <fmt/core.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "common/process.h"
#include "common/test_directory.h"
#include "proofs/segment/bystander.h"

namespace proofs::segment {
namespace {

using bench::Child;
using tideline::Duration;
using tideline::Instant;
using tideline::monotonic_now;

constexpr Duration kPatience = std::chrono::seconds(10);
constexpr Duration kStopped = std::chrono::milliseconds(1);
constexpr unsigned kStopEvery = 4;   // of the stepped members, one in so many is stopped first
constexpr unsigned kProbeEvery = 8;  // after so many broken joins a whole one is tried

constexpr std::uint32_t kJoined = UINT32_MAX;  // Board::exchanged, when counting instructions

enum class Path : std::uint8_t { kSend, kReceive, kJoin };

void sleep_for(Duration duration) {
  const timespec time{0, duration.count()};
  ::nanosleep(&time, nullptr);
}

bool wait_until(const std::function<bool()>& condition) {
  const Instant deadline = monotonic_now() + kPatience;
  while (!condition()) {
    if (monotonic_now() > deadline) return false;
    sleep_for(std::chrono::microseconds(100));
  }
  return true;
}

// The bodies of tormented members. None returns but by failure; all end by SIGKILL.

int live(const MemberConfig& config, Board& board, std::uint64_t seed) {
  pin_if_possible(kTortureCore);
  auto member = Member::join(config, monotonic_now());
  if (!member || !exchange_with_bystanders(**member)) return 1;
  board.exchanged = (*member)->slot() + 1;
  tideline::Rng rng(seed);
  std::vector<std::byte> frame(kMaxFrame);
  for (;;) {
    send_chatter(**member, static_cast<unsigned>(rng.below(kBystanders)), rng());
    (void)receive(**member, frame);
    (*member)->service(monotonic_now());
  }
}

// Joins, meets the bystanders, and asks the tracer to count instructions from there.
int step_path(const MemberConfig& config, Board& board, Path path) {
  pin_if_possible(kTortureCore);
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) return 1;
  std::vector<std::byte> frame(kMaxFrame);
  if (path == Path::kJoin) ::raise(SIGSTOP);
  auto member = Member::join(config, monotonic_now());
  if (!member) return 1;
  if (path != Path::kJoin) {
    if (!exchange_with_bystanders(**member)) return 1;
    board.exchanged = (*member)->slot() + 1;
    ::raise(SIGSTOP);
  }
  for (std::uint64_t number = 0;; ++number) {
    // Joining includes the first frame to either bystander.
    if (path == Path::kJoin && number == kBystanders) board.exchanged = kJoined;
    if (path != Path::kReceive) send_chatter(**member, number % kBystanders, number);
    if (path != Path::kSend) (void)receive(**member, frame);
    if (path != Path::kSend) (*member)->service(monotonic_now());
  }
}

int scribble(const MemberConfig& config, Board& board, std::uint64_t seed) {
  pin_if_possible(kTortureCore);
  auto member = Member::join(config, monotonic_now());
  if (!member || !exchange_with_bystanders(**member)) return 1;
  const auto targets = bench::writable_memfds("tideline-");
  board.exchanged = (*member)->slot() + 1;
  tideline::Rng rng(seed);
  for (;;) {
    const std::span<std::byte> target = targets[rng.below(targets.size())];
    // Not only noise: small numbers pass for sequences, lengths, offsets and indices.
    std::uint64_t word = rng() >> rng.below(64);
    if (rng.below(2) == 0) word = rng.below(64) | rng.below(4 * kMaxFrame) << 32;
    auto* words = reinterpret_cast<std::uint64_t*>(target.data());
    const std::size_t count = target.size() / sizeof(word);
    // The first words are slots that are about to be read, hints and indices.
    const std::size_t at =
        rng.below(2) == 0 ? rng.below(count) : rng.below(count < 16 ? count : 16);
    std::atomic_ref(words[at]).store(word, std::memory_order_relaxed);
  }
}

class Supervisor {
 public:
  Supervisor(bench::Report& report, std::uint64_t seed)
      : report_(report),
        rng_(seed),
        config_(torture_config(directory_.path())),
        memory_(*tideline::Mapping::anonymous_shared(
            tideline::align_up(sizeof(Board), tideline::kPageSize))),
        board_(*new(memory_.data()) Board{}) {
    for (unsigned slot = 0; slot < kBystanders; ++slot) {
      bystanders_.push_back(
          Child::run([this, slot] { return run_bystander(config_, slot, board_); }));
      CHECK(wait_until([&] { return board_.bystanders.at(slot).ready.load(); }));
    }
    pin_if_possible(kTortureCore);
  }

  void run(const TortureScale& scale) {
    const bool begun = bystanders_go_on() && fill_slots();
    const std::optional<std::vector<bench::Resources>> before = settled_resources({});
    const std::size_t files = directory_.files();
    report_.check("two bystanders exchange frames before the torture", begun && before, "");
    if (!begun || !before) return;

    kill_at_random(scale.random_kills);
    step(Path::kSend, "sending", scale.steps, scale.steps);
    step(Path::kReceive, "receiving", scale.steps, scale.steps);
    step(Path::kJoin, "joining", scale.joins, instructions_of_joining());
    be_hostile(scale.hostile_rounds);

    const bool refilled = fill_slots();
    const auto after = settled_resources(*before);
    const bool same = after && *after == *before;
    std::string detail = fmt::format("{} files", directory_.files());
    for (std::size_t i = 0; after && i < after->size(); ++i) {
      detail +=
          fmt::format(", bystander {}: {} to {} descriptors, {} to {} mappings, {} to {} KiB", i,
                      (*before)[i].descriptors, (*after)[i].descriptors, (*before)[i].mappings,
                      (*after)[i].mappings, (*before)[i].shared_kib, (*after)[i].shared_kib);
    }
    report_.check("nothing leaks", same && refilled && directory_.files() == files, detail);
    judge_bystanders();
  }

 private:
  Child start(const std::function<int()>& body) {
    board_.exchanged = 0;
    return Child::run(body);
  }

  // Both bystanders get a frame of each other from now.
  bool bystanders_go_on() {
    std::array<std::uint64_t, kBystanders> before{};
    for (unsigned i = 0; i < kBystanders; ++i) before.at(i) = board_.bystanders.at(i).received;
    return wait_until([&] {
      for (unsigned i = 0; i < kBystanders; ++i) {
        if (board_.bystanders.at(i).received == before.at(i)) return false;
      }
      return true;
    });
  }

  // Every other slot is taken, used and left in good order, so that all files are there that belong
  // there, and none that does not.
  bool fill_slots() {
    Child child = Child::run([this] {
      pin_if_possible(kTortureCore);
      auto first = Member::join(config_, monotonic_now());
      auto second = Member::join(config_, monotonic_now());
      const bool good = first && second && exchange_with_bystanders(**first) &&
                        exchange_with_bystanders(**second);
      return good ? 0 : 1;
    });
    return child.succeeded();
  }

  // What the bystanders hold, when it is `expected`, or does not become so in time.
  std::optional<std::vector<bench::Resources>> settled_resources(
      const std::vector<bench::Resources>& expected) {
    std::vector<bench::Resources> held;
    for (int tries = 0; tries < 100; ++tries) {
      sleep_for(std::chrono::milliseconds(20));
      held.clear();
      for (BystanderState& state : board_.bystanders) {
        const std::uint32_t question = ++state.asked;
        if (!wait_until([&] { return state.answered.load() == question; })) return std::nullopt;
        held.push_back(state.resources);
      }
      if (held == expected) return held;
      if (expected.empty() && tries >= 10) return held;
    }
    return held;
  }

  void kill_at_random(unsigned rounds) {
    unsigned met = 0;
    unsigned expected = 0;
    bool went_on = true;
    for (unsigned round = 0; round < rounds && went_on; ++round) {
      Child child = start([&, seed = rng_()] { return live(config_, board_, seed); });
      if (round % 2 == 0) {
        ++expected;
        if (wait_until([&] { return board_.exchanged != 0; })) met += board_.exchanged == 3;
      }
      sleep_for(Duration(static_cast<std::int64_t>(rng_.below(2'000'000))));
      child.signal(SIGKILL);
      child.wait();
      if (round % 16 == 0) went_on = bystanders_go_on();
    }
    report_.check("SIGKILL at a random instant: others go on, the slot serves the next",
                  went_on && met == expected,
                  fmt::format("{} killed, {} of {} successors met all in the same slot", rounds,
                              met, expected));
  }

  // Waits until the tracee stops. False: it ended; its Child is left to reap it.
  static bool stops(pid_t pid) {
    siginfo_t seen{};
    int status = 0;
    return ::waitid(P_PID, static_cast<id_t>(pid), &seen, WEXITED | WSTOPPED | WNOWAIT) == 0 &&
           (seen.si_code == CLD_TRAPPED || seen.si_code == CLD_STOPPED) &&
           ::waitpid(pid, &status, 0) == pid && WIFSTOPPED(status);
  }

  // Lets the tracee execute up to `count` instructions. False: it ended.
  static bool single_step(pid_t pid, std::uint64_t count) {
    if (!stops(pid)) return false;
    for (std::uint64_t i = 0; i < count; ++i) {
      if (::ptrace(PTRACE_SINGLESTEP, pid, nullptr, nullptr) != 0 || !stops(pid)) return false;
    }
    return true;
  }

  // From nothing to the first frames sent: the length of a path that changes with every build.
  std::uint64_t instructions_of_joining() {
    Child child = start([&] { return step_path(config_, board_, Path::kJoin); });
    std::uint64_t count = 0;
    if (!single_step(child.pid(), 0)) return 0;
    for (; board_.exchanged != kJoined; ++count) {
      if (::ptrace(PTRACE_SINGLESTEP, child.pid(), nullptr, nullptr) != 0 || !stops(child.pid())) {
        return 0;
      }
    }
    return count;
  }

  // Kills a member in each round, spread over the first `length` instructions of the path.
  void step(Path path, const char* doing, unsigned rounds, std::uint64_t length) {
    const std::uint64_t stride = std::max<std::uint64_t>(1, length / rounds);
    unsigned broken = 0;
    unsigned stopped = 0;
    std::uint64_t instructions = 0;
    std::string failure;
    for (unsigned round = 0; round < rounds && failure.empty(); ++round) {
      // Within a stride at random: repeated runs see other instructions.
      instructions = round * stride + rng_.below(stride);
      Child child = start([&] { return step_path(config_, board_, path); });
      if (!single_step(child.pid(), instructions)) {
        failure = "a member ended by itself";
      } else if (path != Path::kJoin && board_.exchanged != kBystanders + 1) {
        failure = "a member got another slot";
      }
      if (round % kStopEvery == 0) {
        ::ptrace(PTRACE_DETACH, child.pid(), nullptr, SIGSTOP);
        sleep_for(kStopped);
        if (!bystanders_go_on()) failure = "bystanders waited for a stopped member";
        child.signal(SIGCONT);
        sleep_for(kStopped);
        ++stopped;
      }
      child.signal(SIGKILL);
      child.wait();
      ++broken;
      if (path == Path::kJoin && round % kProbeEvery == 0 && !fill_slots()) {
        failure = "no slot for the next member";
      }
      if (round % 16 == 0 && !bystanders_go_on()) failure = "bystanders stand still";
      if (!failure.empty()) failure += fmt::format(", after {} instructions", instructions);
    }
    report_.check(fmt::format("SIGKILL and SIGSTOP after any instruction of {}", doing),
                  failure.empty() && broken == rounds && length > 0,
                  failure.empty() ? fmt::format("{} killed, {} of them stopped before, up to {} "
                                                "instructions in",
                                                broken, stopped, instructions)
                                  : failure);
  }

  void be_hostile(unsigned rounds) {
    bool went_on = true;
    unsigned met = 0;
    for (unsigned round = 0; round < rounds && went_on; ++round) {
      Child hostile = start([&, seed = rng_()] { return scribble(config_, board_, seed); });
      went_on = wait_until([&] { return board_.exchanged != 0; });
      // Meanwhile others come and go.
      for (int i = 0; i < 10 && went_on; ++i) {
        Child child = start([&, seed = rng_()] { return live(config_, board_, seed); });
        if (wait_until([&] { return board_.exchanged != 0; })) ++met;
        child.signal(SIGKILL);
        child.wait();
        went_on = bystanders_go_on();
      }
    }
    (void)settled_resources({});  // brings the counters up to date
    std::uint64_t references = 0;
    std::uint64_t indices = 0;
    for (const BystanderState& state : board_.bystanders) {
      references += state.dropped_references;
      indices += state.refused_indices;
    }
    report_.check("a member scribbles over all it can write: others go on, newcomers join",
                  went_on && met == rounds * 10,
                  fmt::format("{} scribblers, {} newcomers; false references dropped {}, false "
                              "indices refused {}",
                              rounds, met, references, indices));
  }

  void judge_bystanders() {
    board_.stop = true;
    bool ended_well = true;
    for (Child& child : bystanders_) ended_well = child.succeeded() && ended_well;
    std::uint64_t received = 0;
    std::uint64_t wrong = 0;
    std::uint64_t silence = 0;
    for (const BystanderState& state : board_.bystanders) {
      received += state.received;
      wrong += state.wrong;
      silence = std::max(silence, state.longest_silence_ns.load());
    }
    report_.check("the bystanders lose, repeat and damage no frame of each other",
                  ended_well && wrong == 0, fmt::format("{} frames, {} wrong", received, wrong));
    report_.figure("longest silence between the bystanders", static_cast<double>(silence) / 1e6,
                   "ms");
  }

  bench::Report& report_;
  tideline::Rng rng_;
  bench::TestDirectory directory_;
  MemberConfig config_;
  tideline::Mapping memory_;
  Board& board_;
  std::vector<Child> bystanders_;
};

}  // namespace

void torture(bench::Report& report, const TortureScale& scale, std::uint64_t seed) {
  Supervisor(report, seed).run(scale);
  bench::unpin();
}

}  // namespace proofs::segment
