// SPDX-License-Identifier: Apache-2.0
#include "proofs/inline_engine/behaviours.h"

#include <dirent.h>
#include <fmt/core.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/memfd.h"
#include "base/random.h"
#include "common/latency.h"
#include "common/process.h"
#include "proofs/inline_engine/peer.h"
#include "proofs/inline_engine/score.h"

namespace proofs::inline_engine {
namespace {

constexpr int kPatienceMs = 10'000;

template <typename T>
T must(tideline::Result<T> result) {
  CHECK(result, "{}", result.error().message());
  return std::move(*result);
}

void sleep_us(long microseconds) {
  const timespec time{microseconds / 1'000'000, (microseconds % 1'000'000) * 1000};
  ::nanosleep(&time, nullptr);
}

// A program with the engine preloaded.
bench::Child launch(const Binaries& binaries, const std::string& meeting_point,
                    std::vector<std::string> arguments) {
  return bench::Child::run([&]() -> int {
    ::setenv("LD_PRELOAD", binaries.preload.c_str(), 1);
    ::setenv("TIDELINE_PROOF_ENGINE", meeting_point.c_str(), 1);
    std::vector<char*> pointers;
    pointers.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    ::execvp(pointers[0], pointers.data());
    return 126;
  });
}

int open_descriptors() {
  int count = 0;
  DIR* directory = ::opendir("/proc/self/fd");
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

// Sends frames at random intervals and counts what comes back.
class Traffic {
 public:
  Traffic(Member& member, std::uint64_t seed) : member_(member), rng_(seed) {}

  void step() {
    if (member_.send(sent_)) ++sent_;
    sleep_us(static_cast<long>(100 + rng_.below(400)));
    collect();
  }

  // Whether all frames were answered, once each and in order, by now or within the patience.
  bool complete() {
    const std::uint64_t until =
        tideline::tsc_now() + tideline::tsc_ticks(std::chrono::milliseconds(kPatienceMs));
    while (answered_ < sent_ && tideline::tsc_now() < until) {
      member_.wait(10);
      collect();
    }
    return in_order_ && answered_ == sent_;
  }

  std::string summary() const {
    return fmt::format("{} frames answered of {}, {} by the program, {} by the helper", answered_,
                       sent_, by_program_, answered_ - by_program_);
  }
  std::uint64_t by_program() const { return by_program_; }
  std::uint64_t by_helper() const { return answered_ - by_program_; }

 private:
  void collect() {
    while (const std::optional<Frame> frame = member_.receive()) {
      in_order_ = in_order_ && frame->id == answered_;
      ++answered_;
      if (frame->server == Server::kProgram) ++by_program_;
    }
  }

  Member& member_;
  tideline::Rng rng_;
  std::uint64_t sent_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t by_program_ = 0;
  bool in_order_ = true;
};

// The score's memory under a path that another process can open.
struct ScoreFile {
  ScoreFile() : fd(must(tideline::create_memfd("score", sizeof(Score), {}))) {
    memory = must(tideline::Mapping::map(fd.get(), sizeof(Score), tideline::Access::kReadWrite));
    path = fmt::format("/proc/{}/fd/{}", ::getpid(), fd.get());
  }
  const Score& score() const { return *memory.at<Score>(0); }

  tideline::UniqueFd fd;
  tideline::Mapping memory;
  std::string path;
};

struct Behaviour {
  const char* name;
  const char* what;
};

void check_behaviour(const Behaviour& behaviour, const bench::Options& options,
                     const Binaries& binaries, MeetingPoint& point, bench::Report& report) {
  const ScoreFile file;
  bench::Child child = launch(binaries, point.path(), {binaries.victim, behaviour.name, file.path});
  tideline::Result<Member> member = point.accept(kPatienceMs);
  if (!member) {
    report.check(behaviour.what, false, member.error().message());
    return;
  }
  Traffic traffic(*member, options.seed);
  const std::uint64_t until = tideline::tsc_now() + tideline::tsc_ticks(std::chrono::seconds(20));
  while (file.score().finished.load() == 0 && !member->hung_up(0) && tideline::tsc_now() < until) {
    traffic.step();
  }
  const bool alive = !member->hung_up(0) && file.score().finished.load() == 1;
  const bool complete = traffic.complete();
  const bool good = file.score().good.load() == 1;
  report.check(behaviour.what, alive && complete && good,
               traffic.summary() + (alive ? "" : "; it died") +
                   (good ? "" : "; it did not get what it asked for"));
}

}  // namespace

void check_behaviours(const bench::Options& options, const Binaries& binaries,
                      bench::Report& report) {
  constexpr Behaviour kBehaviours[] = {
      {"compute", "computes for 0.8 s"},
      {"sleep", "sleeps in nanosleep and poll"},
      {"poll", "polls epoll without waiting"},
      {"fork", "forks 50 times, children call in"},
      {"fork-threads", "forks while two threads are in the engine"},
      {"spawn", "system, posix_spawn, vfork and exec"},
      {"close-loop", "closes 3 to 19,999 one by one"},
      {"close-range", "close_range(3, ~0)"},
      {"closefrom", "closefrom(3)"},
      {"close-raw", "closes everything by raw system calls"},
      {"dup-over", "dup2 and dup3 onto 3 to 19,999"},
      {"replace-raw", "5,000 files of its own on raw-closed numbers"},
      {"signals", "SIGALRM every 2 ms, then all signals blocked"},
      {"limits", "lowers and raises RLIMIT_NOFILE"},
      {"user", "changes user and group"},
  };
  MeetingPoint point = must(MeetingPoint::create());
  for (const Behaviour& behaviour : kBehaviours) {
    check_behaviour(behaviour, options, binaries, point, report);
  }
}

void check_ends(const bench::Options& options, const Binaries& binaries, bench::Report& report) {
  MeetingPoint point = must(MeetingPoint::create());
  const int rounds = options.quick ? 5 : 60;
  const int before = open_descriptors();
  bench::LatencySamples by_socket;
  bench::LatencySamples by_process;
  for (const char* way : {"exit", "_exit", "abort", "kill", "exec"}) {
    int noticed = 0;
    for (int round = 0; round < rounds; ++round) {
      const ScoreFile file;
      bench::Child child =
          launch(binaries, point.path(), {binaries.victim, fmt::format("end:{}", way), file.path});
      Member member = must(point.accept(kPatienceMs));
      std::uint64_t id = 0;
      while (!member.hung_up(0)) {
        member.send(id++);
        while (const auto frame = member.receive()) CHECK(frame->id < id);
        sleep_us(50);
      }
      ++noticed;
      if (std::string(way) != "exec") child.wait();
    }
    report.check(fmt::format("{}: the peer notices by the socket", way), noticed == rounds,
                 fmt::format("{} of {}, at a random moment of polling", noticed, rounds));
  }
  // How soon: the peer sleeps on the one or the other; from the signal to its return.
  for (int round = 0; round < 2 * rounds; ++round) {
    const ScoreFile file;
    bench::Child child = launch(binaries, point.path(), {binaries.victim, "compute", file.path});
    Member member = must(point.accept(kPatienceMs));
    sleep_us(3000);
    const std::uint64_t start = tideline::tsc_now();
    child.signal(SIGKILL);
    const bool socket_first = round % 2 == 0;
    CHECK(socket_first ? member.hung_up(kPatienceMs) : member.exited(kPatienceMs));
    (socket_first ? by_socket : by_process).add_ticks(tideline::tsc_now() - start);
    child.wait();
  }
  report.figure("kill -9 until the peer knows, p50", by_socket.quantile_ns(0.5) / 1000, "us",
                "by pidfd", by_process.quantile_ns(0.5) / 1000);
  report.figure("kill -9 until the peer knows, max", by_socket.quantile_ns(1) / 1000, "us",
                "by pidfd", by_process.quantile_ns(1) / 1000);
  const int after = open_descriptors();
  report.check("the peer's descriptors are as before", before == after,
               fmt::format("{} before, {} after {} programs", before, after, 7 * rounds));
}

void check_installed_programs(const Binaries& binaries, bench::Report& report) {
  struct Installed {
    const char* name;
    std::vector<std::string> arguments;
  };
  const char* const python = R"(
import os, select, socket, subprocess, sys, time
s = socket.socket()
for i in range(10):
    r = subprocess.run(['/bin/echo', 'x'], close_fds=True, stdout=subprocess.PIPE)
    assert r.stdout == b'x\n', r
for i in range(10):
    pid = os.fork()
    if pid == 0:
        try:
            socket.socket()
            os._exit(1)
        except OSError as e:
            os._exit(0 if e.errno == 95 else 2)
    assert os.waitpid(pid, 0)[1] == 0
s.close()
os.closerange(3, 20000)
e = select.epoll()
t = time.time()
while time.time() - t < 0.2: e.poll(0)
sum(range(3000000))
socket.socket().close()
)";
  const char* const shell = R"(
{ :; } 2>/dev/null 4<>/dev/tcp/127.0.0.1/1
for i in 1 2 3 4 5 6 7 8 9; do x=$(echo $i | /bin/cat); [ "$x" = $i ] || exit 1; done
exec 200>/dev/null 19999>/dev/null 4100>/dev/null; echo y >&19999; echo y >&4100
exec 200>&- 19999>&- 4100>&-
/bin/sleep 0.1
)";
  for (const auto& [name, arguments] : {Installed{"python3", {"python3", "-c", python}},
                                        Installed{"bash", {"bash", "-c", shell}}}) {
    MeetingPoint point = must(MeetingPoint::create());
    bench::Child child = launch(binaries, point.path(), arguments);
    tideline::Result<Member> member = point.accept(kPatienceMs);
    if (!member) {
      report.check(name, false, member.error().message());
      continue;
    }
    Traffic traffic(*member, 1);
    std::optional<int> status;
    const std::uint64_t until = tideline::tsc_now() + tideline::tsc_ticks(std::chrono::seconds(30));
    while (!(status = child.poll()) && tideline::tsc_now() < until) traffic.step();
    report.check(
        fmt::format("{} as installed, unmodified", name),
        status && WIFEXITED(*status) && WEXITSTATUS(*status) == 0 && member->hung_up(kPatienceMs),
        fmt::format("wait status {:#x}; {}", status.value_or(-1), traffic.summary()));
  }
}

}  // namespace proofs::inline_engine
