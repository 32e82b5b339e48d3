// SPDX-License-Identifier: Apache-2.0
#include "compare/runner.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <utility>

#include "base/clock.h"
#include "compare/syscall_counter.h"
#include "processes.h"
#include "session.h"

namespace tideline::app::compare {
namespace {

namespace fs = std::filesystem;

constexpr auto kPatience = std::chrono::seconds(20);  // beyond what a run takes

Cores choose_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> all;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(static_cast<std::size_t>(core), &set)) all.push_back(core);
    }
  }
  if (all.size() < 2) return {};
  Cores cores{.client = all[0], .server = all[1], .daemon = all[1], .second_daemon = all[0]};
  if (all.size() >= 4) {
    cores.daemon = all[2];
    cores.second_daemon = all[3];
  }
  return cores;
}

Words filled_in(const Words& words, const Placeholders& values) {
  Words filled;
  filled.reserve(words.size());
  for (const std::string& word : words) filled.push_back(fill_in(word, values));
  return filled;
}

// Noise, so that no layer finds pages that are all alike.
void write_noise(const std::string& path, std::size_t size) {
  std::ofstream file(path, std::ios::binary);
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> piece(8192);
  for (std::size_t done = 0; done < size;) {
    std::ranges::generate(piece, [&] { return random(); });
    const std::size_t count = std::min(size - done, piece.size() * sizeof(piece[0]));
    file.write(reinterpret_cast<const char*>(piece.data()), static_cast<std::streamsize>(count));
    done += count;
  }
}

// proc_net(5): the second word is the local address and port, the fourth the state, 0A of
// listeners.
bool is_listening(std::uint16_t port) {
  const std::string wanted = fmt::format(":{:04X}", port);
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file(table);
    for (std::string line; std::getline(file, line);) {
      std::istringstream fields(line);
      std::string number;
      std::string local;
      std::string remote;
      std::string state;
      fields >> number >> local >> remote >> state;
      if (state == "0A" && local.ends_with(wanted)) return true;
    }
  }
  return false;
}

bool is_ready(const Ready& ready, const Child& server, const std::string& folder) {
  if (ready.port != 0) return is_listening(ready.port);
  if (!ready.file.empty()) return fs::exists(folder + "/" + ready.file);
  return server.said().find(ready.words) != std::string::npos ||
         server.errors().find(ready.words) != std::string::npos;
}

std::string tail_of(const Child& child) {
  constexpr std::size_t kMost = 400;
  std::string text = child.errors() + child.said();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.size() > kMost ? "... " + text.substr(text.size() - kMost) : text;
}

void wait_until_ready(const Ready& ready, Child& server, const std::string& folder) {
  const Instant limit = monotonic_now() + kPatience;
  while (!is_ready(ready, server, folder)) {
    if (server.has_ended() || monotonic_now() > limit) {
      throw Failure({.kind = ErrorKind::kPeer,
                     .what = fmt::format("the server does not get ready: {}", tail_of(server))});
    }
    ::usleep(2000);
  }
}

Usage usage_of_all(const std::vector<pid_t>& pids) {
  Usage total;
  for (const pid_t pid : pids) total += usage_of(pid).value_or(Usage{});
  return total;
}

// What daemons have counted so far.
double passed_by_daemons(const Placement& placement) {
  if (placement.daemons().empty()) return 0;
  double total = 0;
  for (Process& process : find_processes()) {
    const auto answer = ask(process);
    if (answer) total += static_cast<double>(number_in(member(*answer, "passes"), "bytes"));
  }
  return total;
}

// A number that tideline has told on a program's standard error at its end, under --stats.
std::optional<double> told_by(const Child& program, std::string_view key) {
  const std::string text = program.errors();
  const std::size_t at = text.rfind(key);
  if (at == std::string::npos) return std::nullopt;
  return std::atof(text.c_str() + at + key.size());
}

// What both have counted: each its engine's passes, or its copies to and from a daemon. One that
// does not use tideline has none; nothing if one that does has not told.
std::optional<double> passed_by_programs(const Child& server, const Child& client, bool at_daemon,
                                         const Words& server_words, const Words& client_words) {
  const std::string tideline = own_program("tideline");
  double total = 0;
  bool any = false;
  for (const auto& [program, words] :
       {std::pair(&server, &server_words), std::pair(&client, &client_words)}) {
    if (words->front() != tideline) continue;
    const auto told = told_by(*program, at_daemon ? " copied_bytes=" : " passed_bytes=");
    if (!told) return std::nullopt;
    total += *told;
    any = true;
  }
  return any ? std::optional(total) : std::nullopt;
}

}  // namespace

Runner::Runner(const MachineLoad& load, std::string folder)
    : load_(load), folder_(std::move(folder)), cores_(choose_cores()) {}

Placeholders Runner::placeholders(const Workload& workload, unsigned seconds) const {
  return {.server = kServer,
          .folder = folder_of(workload),
          .seconds = seconds,
          .count = static_cast<std::uint64_t>(std::ceil(workload.count_per_second * seconds))};
}

void Runner::prepare(const Workload& workload) const {
  const std::string folder = folder_of(workload);
  fs::create_directories(folder);
  for (const WorkloadFile& file : workload.files) {
    const std::string path = folder + "/" + file.name;
    if (file.size > 0) {
      write_noise(path, file.size);
    } else {
      std::ofstream(path) << fill_in(file.text, placeholders(workload, 1));
    }
    if (!fs::exists(path)) throw Failure(fail_errno("cannot write " + path).error());
  }
}

Run Runner::run(Placement& placement, const Workload& workload, unsigned seconds,
                bool count_syscalls) {
  Run run;
  try {
    placement.begin(cores_);
    run = measure(placement, workload, seconds, count_syscalls);
  } catch (const Failure& failure) {
    run.failure = failure.what();
  }
  placement.end();
  return run;
}

Run Runner::measure(Placement& placement, const Workload& workload, unsigned seconds,
                    bool count_syscalls) const {
  const Placeholders values = placeholders(workload, seconds);
  std::error_code none;
  if (!workload.ready.file.empty()) fs::remove(values.folder + "/" + workload.ready.file, none);
  const Words server_words = placement.server(filled_in(workload.server, values));
  const Words client_words = placement.client(filled_in(workload.client, values));
  Child server(server_words, cores_.server);
  wait_until_ready(workload.ready, server, values.folder);

  SyscallCounter syscalls;
  const std::vector<pid_t> daemons = placement.daemons();
  if (count_syscalls) {
    value_or_throw(syscalls.add(server.pid()));
    for (const pid_t daemon : daemons) value_or_throw(syscalls.add(daemon));
    // The client inherits this process's counter.
    value_or_throw(syscalls.add(::getpid()));
  }
  const double passed_before = passed_by_daemons(placement);
  const Usage server_before = usage_of(server.pid()).value_or(Usage{});
  const Usage daemons_before = usage_of_all(daemons);
  const LoadSample before = load_.sample();

  Child client(client_words, cores_.client);
  const bool done = client.wait_until(before.at + std::chrono::seconds(6 * seconds) + kPatience);

  Run run;
  if (count_syscalls) run.syscalls = syscalls.count();
  const LoadSample after = load_.sample();
  run.engine = usage_of_all(daemons) - daemons_before;
  const double passed_after = passed_by_daemons(placement);
  if (workload.server_ends && done) server.wait_until(monotonic_now() + kPatience);
  server.end(monotonic_now() + kPatience);
  if (!done) {
    throw Failure({.kind = ErrorKind::kPeer,
                   .what = fmt::format("{} failed, {}: {}", workload.client.front(),
                                       client.how_it_ended(), tail_of(client))});
  }
  run.programs = server.usage() - server_before;
  run.programs += client.usage();
  run.softirqd_s = after.softirqd_s - before.softirqd_s;
  const double ours = run.programs.cpu_s() + run.engine.cpu_s() + run.softirqd_s;
  const double all = std::chrono::duration<double>(after.at - before.at).count() * load_.cores();
  run.others_share = std::clamp((after.busy_s - before.busy_s - ours) / all, 0.0, 1.0);
  run.passed_bytes =
      passed_by_programs(server, client, !daemons.empty(), server_words, client_words);
  if (run.passed_bytes) *run.passed_bytes += passed_after - passed_before;
  run.reading = value_or_throw(read_output(workload.sources, client.said()));
  return run;
}

}  // namespace tideline::app::compare
