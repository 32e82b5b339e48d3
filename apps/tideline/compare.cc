// SPDX-License-Identifier: Apache-2.0
// `tideline compare`: the same unmodified programs in every placement, in turn, in a network of
// their own. Placements: compare/placements; workloads: compare/workloads.
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "commands.h"
#include "compare/comparison_output.h"
#include "compare/contained.h"
#include "compare/progress.h"
#include "compare/runner.h"
#include "compare/syscall_counter.h"
#include "report.h"
#include "session.h"

namespace tideline::app {
namespace {

using namespace compare;  // NOLINT(google-build-using-namespace): its command

// So that --quick keeps its word, also where a program hangs.
constexpr auto kQuickLimit = std::chrono::seconds(270);

using Placements = std::vector<std::unique_ptr<Placement>>;

[[noreturn]] void fail_unknown(const char* what, const std::string& name,
                               const std::vector<std::string>& known) {
  throw Failure({.kind = ErrorKind::kUsage,
                 .what = fmt::format("there is no {} '{}'", what, name),
                 .remedy = fmt::format("there are {}", fmt::join(known, ", "))});
}

std::vector<std::string> names_of(const Placements& all) {
  std::vector<std::string> names;
  names.reserve(all.size());
  for (const auto& each : all) names.emplace_back(each->about().name);
  return names;
}

std::vector<std::string> names_of(const std::vector<Workload>& all) {
  std::vector<std::string> names;
  names.reserve(all.size());
  for (const Workload& each : all) names.push_back(each.name);
  return names;
}

std::vector<Workload> choose_workloads(const CompareOptions& options) {
  std::vector<Workload> all;
  for (const std::string& file : options.files) all.push_back(value_or_throw(load_workload(file)));
  if (options.names.empty() && !all.empty()) return all;
  std::ranges::move(builtin_workloads(), std::back_inserter(all));
  if (options.names.empty()) return all;
  std::vector<Workload> chosen;
  for (const std::string& name : options.names) {
    const auto found = std::ranges::find(all, name, &Workload::name);
    if (found == all.end()) fail_unknown("workload", name, names_of(all));
    chosen.push_back(*found);
  }
  return chosen;
}

Placements choose_placements(const CompareOptions& options) {
  Placements all = all_placements();
  const std::vector<std::string> known = names_of(all);
  for (const std::string& name : options.placements) {
    if (std::ranges::find(known, name) == known.end()) fail_unknown("placement", name, known);
  }
  std::erase_if(all, [&](const auto& each) {
    const About& about = each->about();
    if (options.placements.empty()) return options.quick && !about.quick;
    return std::ranges::find(options.placements, about.name) == options.placements.end();
  });
  return all;
}

class Comparing {
 public:
  Comparing(const CompareOptions& options, std::vector<Workload> workloads, Placements placements,
            const MachineLoad& load)
      : placements_(std::move(placements)), runner_(load, "/run/tideline-compare") {
    comparison_.machine = this_machine();
    comparison_.quick = options.quick;
    comparison_.seconds = options.seconds != 0 ? options.seconds : options.quick ? 1 : 2;
    wanted_rounds_ = options.rounds != 0 ? options.rounds : options.quick ? 2 : 3;
    comparison_.workloads = std::move(workloads);
    for (const auto& each : placements_) comparison_.placements.push_back(&each->about());
  }

  Comparison compare();

 private:
  struct Row {  // of a workload
    std::vector<std::string> left_out;
    Rounds rounds;
    std::vector<std::optional<Run>> counted;
  };

  void look_what_is_there();
  void run_round(std::size_t round, Progress& progress);
  void count_syscalls(Progress& progress);
  bool is_time_up() const {
    return comparison_.quick && monotonic_now() - begin_ > Duration(kQuickLimit);
  }
  std::string label(const Row& row, std::size_t placement) const {
    return fmt::format("{}: {}", comparison_.workloads[index_of(row)].name,
                       comparison_.placements[placement]->title);
  }
  std::size_t index_of(const Row& row) const {
    return static_cast<std::size_t>(&row - rows_.data());
  }
  Run run(const Row& row, std::size_t placement, bool count) {
    return runner_.run(*placements_[placement], comparison_.workloads[index_of(row)],
                       comparison_.seconds, count);
  }

  Comparison comparison_;
  Placements placements_;
  Runner runner_;
  std::size_t wanted_rounds_ = 1;
  std::vector<Row> rows_;
  Instant begin_ = monotonic_now();
};

void Comparing::look_what_is_there() {
  std::vector<std::string> lacks;
  for (const auto& each : placements_) lacks.push_back(each->lacks());
  for (const Workload& workload : comparison_.workloads) {
    Row row{.left_out = lacks, .rounds = {}, .counted = {}};
    row.counted.resize(placements_.size());
    for (const std::string& program : {workload.server.front(), workload.client.front()}) {
      if (is_installed(program)) continue;
      row.left_out.assign(placements_.size(), fmt::format("there is no program {}", program));
    }
    for (std::size_t i = 0; i < placements_.size(); ++i) {
      const char* no_rdma = placements_[i]->about().no_rdma;
      if (workload.rdma && no_rdma != nullptr) row.left_out[i] = no_rdma;
    }
    rows_.push_back(std::move(row));
    runner_.prepare(workload);
  }
}

// Each round the other way round, so that what changes slowly hits all alike.
void Comparing::run_round(std::size_t round, Progress& progress) {
  const std::size_t count = placements_.size();
  for (Row& row : rows_) {
    row.rounds.emplace_back(count);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t placement = round % 2 == 0 ? i : count - 1 - i;
      if (!row.left_out[placement].empty()) continue;
      progress.step(label(row, placement));
      // What does not work does not begin to.
      const auto& first = row.rounds.front()[placement];
      const bool failed = first.has_value() && !first->failure.empty();
      if (failed || is_time_up()) continue;
      row.rounds.back()[placement] = run(row, placement, false);
    }
  }
}

void Comparing::count_syscalls(Progress& progress) {
  const Status available = SyscallCounter::available();
  if (!available) {
    comparison_.no_syscalls = available.error().what;
    return;
  }
  for (Row& row : rows_) {
    for (std::size_t placement = 0; placement < placements_.size(); ++placement) {
      const auto& first = row.rounds.front()[placement];
      if (!row.left_out[placement].empty()) continue;
      progress.step(label(row, placement) + ", system calls");
      if (!first || !first->failure.empty()) continue;
      if (is_time_up()) {
        comparison_.no_syscalls = "of some runs, as the time was up";
        continue;
      }
      row.counted[placement] = run(row, placement, true);
    }
  }
}

Comparison Comparing::compare() {
  look_what_is_there();
  std::size_t runs = 0;
  for (const Row& row : rows_) {
    runs += static_cast<std::size_t>(std::ranges::count(row.left_out, std::string()));
  }
  {
    Progress progress(runs * (wanted_rounds_ + 1));
    for (std::size_t round = 0; round < wanted_rounds_; ++round) {
      if (round > 0 && is_time_up()) break;
      run_round(round, progress);
      comparison_.rounds = round + 1;
    }
    count_syscalls(progress);
  }
  std::vector<double> others;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    Row& row = rows_[i];
    for (std::size_t placement = 0; placement < placements_.size(); ++placement) {
      const bool tried = std::ranges::any_of(
          row.rounds, [placement](const auto& round) { return round[placement].has_value(); });
      if (!tried && row.left_out[placement].empty()) {
        row.left_out[placement] = "there was no time";
      }
    }
    for (const auto& round : row.rounds) {
      for (const auto& run : round) {
        if (run && run->failure.empty()) others.push_back(run->others_share);
      }
    }
    comparison_.cells.push_back(
        make_cells(comparison_.workloads[i], row.rounds, row.counted, row.left_out));
  }
  comparison_.others_share = spread_of(std::move(others)).median;
  comparison_.took_s = std::chrono::duration<double>(monotonic_now() - begin_).count();
  return std::move(comparison_);
}

// Before the long part, so that a wrong name is told at once; and the folder is not ours later.
UniqueFd open_report(const std::string& path) {
  if (path.empty()) return UniqueFd();
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!file) throw Failure(fail_errno(fmt::format("cannot write {}", path)).error());
  return file;
}

void write_report(int file, const std::string& text, const std::string& path) {
  std::size_t done = 0;
  bool written = ::ftruncate(file, 0) == 0;
  while (written && done < text.size()) {
    const ssize_t size = ::write(file, text.data() + done, text.size() - done);
    written = size > 0;
    if (written) done += static_cast<std::size_t>(size);
  }
  if (!written) throw Failure(fail_errno(fmt::format("cannot write {}", path)).error());
}

// What the user has set for other programs would tell in these.
void clean_environment() {
  for (const char* name :
       {"XDG_RUNTIME_DIR", "LD_PRELOAD", "TIDELINE_WIRE", "TIDELINE_IP", "TIDELINE_IP6",
        "TIDELINE_GATEWAY", "TIDELINE_MTU", "TIDELINE_IMPAIR", "TIDELINE_PLACEMENT",
        "TIDELINE_FRONT_END", "TIDELINE_DIRECT", "TIDELINE_HEAP"}) {
    ::unsetenv(name);
  }
  ::setenv("LC_ALL", "C", 1);
}

}  // namespace

std::vector<std::string> placement_names() { return names_of(all_placements()); }

std::vector<std::string> workload_names() { return names_of(builtin_workloads()); }

int compare_placements(const CompareOptions& options) {
  std::vector<Workload> workloads = choose_workloads(options);
  Placements placements = choose_placements(options);
  if (::geteuid() != 0) {
    throw Failure(
        {.kind = ErrorKind::kEnvironment,
         .what = "comparing needs root: it makes network namespaces, in which it runs",
         .remedy = "sudo tideline compare; nothing of this machine's network is touched"});
  }
  const UniqueFd report = open_report(options.html);
  clean_environment();
  const MachineLoad load;
  return value_or_throw(run_contained([&] {
    try {
      const Comparison comparison =
          Comparing(options, std::move(workloads), std::move(placements), load).compare();
      if (options.json) {
        print_json(to_json(comparison));
      } else {
        fmt::print("{}", to_table(comparison));
      }
      if (report) {
        write_report(report.get(), to_html(comparison), options.html);
        if (!options.json) fmt::print("The report with plots: {}\n", options.html);
      }
      return static_cast<int>(comparison.ok() ? kDone : kNegative);
    } catch (const Failure& failure) {
      fmt::print(stderr, "tideline: {}\n", failure.what());
      return exit_status(failure.kind);
    } catch (const std::exception& error) {
      fmt::print(stderr, "tideline: {}\n", error.what());
      return static_cast<int>(kEnvironment);
    }
  }));
}

}  // namespace tideline::app
