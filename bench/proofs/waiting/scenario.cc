// SPDX-License-Identifier: Apache-2.0
#include "proofs/waiting/scenario.h"

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "base/clock.h"
#include "common/latency.h"
#include "common/process.h"
#include "proofs/waiting/station.h"

namespace proofs::waiting {
namespace {

using bench::Child;
using tideline::Duration;
using tideline::Mapping;
using tideline::Result;
using tideline::tsc_now;

constexpr std::size_t kA = 0;
constexpr std::size_t kB = 1;
constexpr std::size_t kF = 2;
constexpr std::size_t kMaxSamples = std::size_t{1} << 21;
constexpr std::size_t kBurst = 32;

// What the processes tell the parent.
struct Results {
  std::array<double, kStations> cpu_s{};
  std::array<std::uint64_t, kStations> sleeps{};
  std::uint64_t messages = 0;
  std::uint64_t ticks = 0;  // that the messages took
  bool in_order = false;
  std::uint64_t samples = 0;
  std::array<std::uint64_t, kMaxSamples> sample_ticks;
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void send_all(Station& self, std::size_t peer, std::span<const Message> messages) {
  while (!messages.empty()) {
    const std::size_t sent = self.send(peer, messages);
    messages = messages.subspan(sent);
    if (sent == 0) self.wait([&] { return self.has_room(peer); });
  }
}

Message receive_one(Station& self, std::size_t peer) {
  Message message = 0;
  while (self.receive(peer, {&message, 1}) == 0) {
    self.wait([&] { return self.has_input(peer); });
  }
  return message;
}

// A in all patterns but the stream.
void ping(Station& self, std::size_t peer, Duration pause, std::uint64_t run_ticks,
          Results& results) {
  const std::uint64_t begin = tsc_now();
  bool in_order = true;
  Message next = 0;
  for (std::uint64_t before = begin; before - begin < run_ticks; ++next) {
    before = tsc_now();
    send_all(self, peer, {&next, 1});
    in_order = in_order && receive_one(self, peer) == next;
    if (next < kMaxSamples) results.sample_ticks[next] = tsc_now() - before;
    if (pause > Duration{}) {
      const timespec time{0, pause.count()};
      ::nanosleep(&time, nullptr);
    }
  }
  results.ticks = tsc_now() - begin;
  send_all(self, peer, {&kStop, 1});
  results.messages = next;
  results.samples = std::min<std::uint64_t>(next, kMaxSamples);
  results.in_order = in_order;
}

// B in all patterns but the stream.
void pong(Station& self, std::size_t peer) {
  for (;;) {
    const Message message = receive_one(self, peer);
    if (message == kStop) return;
    send_all(self, peer, {&message, 1});
  }
}

void stream_out(Station& self, std::size_t peer, std::uint64_t run_ticks) {
  const std::uint64_t begin = tsc_now();
  for (Message next = 0; next % kBurst != 0 || tsc_now() - begin < run_ticks; ++next) {
    send_all(self, peer, {&next, 1});
  }
  send_all(self, peer, {&kStop, 1});
}

void stream_in(Station& self, std::size_t peer, Results& results) {
  std::array<Message, kBurst> burst{};
  Message expected = 0;
  bool in_order = true;
  std::uint64_t begin = 0;
  for (bool stop = false; !stop;) {
    const std::size_t count = self.receive(peer, burst);
    if (count == 0) self.wait([&] { return self.has_input(peer); });
    if (begin == 0) begin = tsc_now();
    for (std::size_t i = 0; i < count && !stop; ++i) {
      stop = burst[i] == kStop;
      if (!stop) in_order = in_order && burst[i] == expected++;
    }
  }
  results.ticks = tsc_now() - begin;
  results.messages = expected;
  results.in_order = in_order;
}

// F: passes bursts on, both ways, until the stop has gone through.
void forward(Station& self) {
  std::array<Message, kBurst> burst{};
  const auto movable = [&](std::size_t from, std::size_t to) {
    return self.has_input(from) && self.has_room(to);
  };
  const auto pass = [&](std::size_t from, std::size_t to) {
    if (!self.has_room(to)) return false;
    const std::size_t count = self.receive(from, burst);
    send_all(self, to, {burst.data(), count});
    return count > 0 && burst[count - 1] == kStop;
  };
  for (;;) {
    self.wait([&] { return movable(kA, kB) || movable(kB, kA); });
    if (pass(kA, kB)) return;
    pass(kB, kA);
  }
}

// The body of one process.
int play(const Scenario& scenario, const Exchange& exchange, std::size_t role,
         std::uint64_t run_ticks, Results& results) {
  if (scenario.cores[role] >= 0) bench::pin_to_core(scenario.cores[role]);
  std::vector<std::size_t> peers{kA, kB};
  if (role != kF) peers = {scenario.frontend ? kF : 1 - role};
  Station self(exchange, role, peers, scenario.rules[role]);
  const bool streams = scenario.pattern == Pattern::kStream;
  const double cpu_before = cpu_seconds();
  switch (role) {
    case kA:
      if (streams) {
        stream_out(self, peers[0], run_ticks);
      } else {
        ping(self, peers[0], scenario.pattern == Pattern::kPaced ? scenario.pause : Duration{},
             run_ticks, results);
      }
      break;
    case kB:
      streams ? stream_in(self, peers[0], results) : pong(self, peers[0]);
      break;
    default:
      forward(self);
      break;
  }
  results.cpu_s[role] = cpu_seconds() - cpu_before;
  results.sleeps[role] = self.sleeps();
  return 0;
}

int compute_forever(int core) {
  bench::pin_to_core(core);
  for (;;) tideline::cpu_relax();
}

Measured summarise(const Results& results, bool ended) {
  Measured measured;
  measured.complete = ended && results.in_order && results.messages > 0;
  if (!measured.complete) return measured;
  const auto messages = static_cast<double>(results.messages);
  measured.per_s = messages * tideline::tsc_hz() / static_cast<double>(results.ticks);
  for (std::size_t role = 0; role < kStations; ++role) {
    measured.cpu_us += results.cpu_s[role] * 1e6 / messages;
    measured.sleeps += static_cast<double>(results.sleeps[role]) / messages;
  }
  bench::LatencySamples samples(results.samples);
  for (std::uint64_t i = 0; i < results.samples; ++i) samples.add_ticks(results.sample_ticks[i]);
  measured.p50_ns = samples.quantile_ns(0.5);
  measured.p99_ns = samples.quantile_ns(0.99);
  measured.p999_ns = samples.quantile_ns(0.999);
  return measured;
}

struct RuleSet {
  std::string_view name;
  std::array<Rule, 3> rules;  // A, B, F
};

std::vector<RuleSet> rule_sets() {
  std::vector<RuleSet> sets;
  for (const Rule& rule : all_rules()) sets.push_back({rule.name, {rule, rule, rule}});
  sets.push_back({"A spins, B, F sleep", {always_spin(), never_spin(), never_spin()}});
  sets.push_back({"F spins, A, B sleep", {never_spin(), never_spin(), always_spin()}});
  return sets;
}

struct Placement {
  bool frontend;
  std::array<int, 3> cores;
  std::string_view name;
};

constexpr std::array<Placement, 6> kPlacements{{
    {false, {0, 1, -1}, "app, a core each"},
    {false, {0, 0, -1}, "app, on one core"},
    {false, {-1, -1, -1}, "app, unpinned"},
    {true, {0, 0, 1}, "frontend, F alone"},
    {true, {0, 1, 0}, "frontend, F with A"},
    {true, {-1, -1, -1}, "frontend, unpinned"},
}};

}  // namespace

std::string_view name_of(Pattern pattern) {
  switch (pattern) {
    case Pattern::kPingPong:
      return "ping-pong";
    case Pattern::kPaced:
      return "paced";
    case Pattern::kCrowded:
      return "crowded";
    case Pattern::kStream:
      return "stream";
  }
  CHECK(false, "pattern {}", static_cast<int>(pattern));
}

std::vector<Scenario> all_scenarios() {
  std::vector<Scenario> scenarios;
  for (const Placement& placement : kPlacements) {
    for (const Pattern pattern :
         {Pattern::kPingPong, Pattern::kPaced, Pattern::kCrowded, Pattern::kStream}) {
      for (const RuleSet& set : rule_sets()) {
        if (!placement.frontend && set.name.starts_with("F spins")) continue;
        scenarios.push_back({.frontend = placement.frontend,
                             .cores = placement.cores,
                             .placement = std::string(placement.name),
                             .pattern = pattern,
                             .rules = set.rules,
                             .rules_name = std::string(set.name)});
      }
    }
  }
  return scenarios;
}

Result<Measured> run(const Scenario& scenario, Duration duration) {
  auto exchange = Exchange::create();
  if (!exchange) return tideline::fail(exchange.error());
  auto memory = Mapping::anonymous_shared(sizeof(Results));
  if (!memory) return tideline::fail(memory.error());
  if (auto populated = memory->populate(); !populated) return tideline::fail(populated.error());
  Results& results = *memory->at<Results>(0);
  const std::uint64_t run_ticks = tideline::tsc_ticks(duration);

  std::vector<Child> hogs;
  if (scenario.pattern == Pattern::kCrowded) {
    for (int core = 0; core < 2; ++core) {
      hogs.push_back(Child::run([core] { return compute_forever(core); }));
    }
  }
  std::vector<Child> children;
  const std::size_t roles = scenario.frontend ? 3 : 2;
  children.reserve(roles);
  for (std::size_t role = 0; role < roles; ++role) {
    children.push_back(
        Child::run([&, role] { return play(scenario, *exchange, role, run_ticks, results); }));
  }
  bool ended = true;
  for (Child& child : children) ended = child.succeeded() && ended;
  return summarise(results, ended);
}

}  // namespace proofs::waiting
