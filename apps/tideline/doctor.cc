// SPDX-License-Identifier: Apache-2.0
// `tideline doctor`: what of this machine serves tideline, what does not, and how to mend it.
// Nothing is changed, but the directory where members of a segment meet is made.
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/fd.h"
#include "commands.h"
#include "libraries.h"
#include "machine.h"
#include "report.h"

namespace tideline::app {
namespace {

enum class Finding { kGood, kLimited, kMissing };

struct Check {
  std::string name;
  Finding finding = Finding::kGood;
  std::string found;
  std::string remedy{};
};

const char* name_of(Finding finding) {
  switch (finding) {
    case Finding::kGood:
      return "good";
    case Finding::kLimited:
      return "limited";
    case Finding::kMissing:
      return "missing";
  }
  return "";
}

std::string line_of(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

Check wire(const char* name, const char* works, const std::string& lacks) {
  if (lacks.empty()) return {.name = name, .found = works};
  const bool is_default = std::string(name) == "wire shm";
  return {
      .name = name, .finding = is_default ? Finding::kMissing : Finding::kLimited, .found = lacks};
}

Check kernel() {
  constexpr unsigned kPidfdThread = O_EXCL;  // PIDFD_THREAD; linux/pidfd.h disagrees with fcntl.h
  const UniqueFd thread(
      static_cast<int>(::syscall(SYS_pidfd_open, ::syscall(SYS_gettid), kPidfdThread)));
  if (thread) return {.name = "kernel", .found = "gives handles of threads (6.9 and later)"};
  return {.name = "kernel",
          .finding = Finding::kLimited,
          .found =
              "gives no handles of threads: descriptors of an engine inside a program that the "
              "program closes cannot be fetched again",
          .remedy = "Linux 6.9 or later"};
}

Check libraries() {
  const std::vector<std::string> refused = refused_libraries();
  if (refused.empty()) {
    return {.name = "libraries", .found = "programs can load all that `tideline run` gives them"};
  }
  return {.name = "libraries",
          .finding = Finding::kLimited,
          .found = fmt::format("`tideline run` does not work: {}", fmt::join(refused, "; ")),
          .remedy =
              "install what the loader names; tideline's own libraries, beside this program's "
              "folder: cmake --build --preset release"};
}

Check cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int count = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  if (count > 1) return {.name = "cores", .found = fmt::format("{} may be used", count)};
  return {.name = "cores",
          .finding = Finding::kLimited,
          .found = "one may be used: two programs that poll take turns of milliseconds",
          .remedy = "a wider cpuset (taskset, cgroup)"};
}

Check huge_pages() {
  if (has_huge_pages()) return {.name = "huge pages", .found = "2 MiB pages on demand"};
  return {
      .name = "huge pages",
      .finding = Finding::kLimited,
      .found = "shared memory has pages of 4 KiB",
      .remedy = "echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled, and free memory"};
}

Check descriptors() {
  constexpr rlim_t kWanted = 4096;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  Check check{
      .name = "descriptors",
      .found = fmt::format("{} of a process now, {} at most", limit.rlim_cur, limit.rlim_max)};
  if (limit.rlim_max < kWanted) {
    check.finding = Finding::kLimited;
    check.remedy = fmt::format("ulimit -Hn {}, or LimitNOFILE= of the service", kWanted);
  }
  return check;
}

Check locked_memory() {
  constexpr rlim_t kWanted = rlim_t{64} << 20;
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_cur == RLIM_INFINITY || ::geteuid() == 0) {
    return {.name = "locked memory", .found = "without limit"};
  }
  Check check{.name = "locked memory",
              .found = fmt::format("{} KiB of a process", limit.rlim_cur >> 10)};
  if (limit.rlim_cur < kWanted) {
    check.finding = Finding::kLimited;
    check.found += ": AF_XDP on kernels before 5.11 needs more";
    check.remedy = "ulimit -l unlimited";
  }
  return check;
}

// What process_vm_readv and writev are allowed: RDMA into memory that is not shared.
Check other_processes() {
  const std::string scope = line_of("/proc/sys/kernel/yama/ptrace_scope");
  if (scope.empty() || scope == "0" || ::geteuid() == 0) {
    return {.name = "memory of peers",
            .found = "programs of one user may reach each other's: RDMA copies once"};
  }
  return {.name = "memory of peers",
          .finding = Finding::kLimited,
          .found = fmt::format("Yama forbids it (ptrace_scope {}): RDMA into private memory goes "
                               "by frames",
                               scope),
          .remedy = "sysctl kernel.yama.ptrace_scope=0, if you trust your programs"};
}

bool is_bound(const char* table, unsigned wanted) {
  std::ifstream file(table);
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    const std::size_t address = line.find(':', line.find(':') + 1);  // behind "sl:" and the address
    if (address == std::string::npos) continue;
    unsigned port = 0;
    const char* text = line.data() + address + 1;
    std::from_chars(text, line.data() + line.size(), port, 16);
    if (port == wanted) return true;
  }
  return false;
}

Check rdma_of_the_kernel() {
  constexpr unsigned kRoce = 4791;
  std::vector<std::string> devices;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/class/infiniband", ignored)) {
    devices.push_back(entry.path().filename());
  }
  std::ranges::sort(devices);
  const bool held = is_bound("/proc/net/udp", kRoce) || is_bound("/proc/net/udp6", kRoce);
  Check check{.name = "the kernel's RDMA", .found = "no devices; nobody holds UDP port 4791"};
  if (!devices.empty()) {
    check.found = fmt::format("devices: {}; `tideline run` hides them from its program",
                              fmt::join(devices, ", "));
  }
  if (held) {
    check.finding = Finding::kLimited;
    check.found = fmt::format("{}UDP port 4791 of the kernel is held, by rdma_rxe or a program",
                              devices.empty() ? "" : check.found + "; ");
    check.remedy =
        "none is needed while tideline has addresses of its own, as it must on packet: "
        "and xdp:; else: rdma link delete NAME";
  }
  return check;
}

}  // namespace

int doctor(bool json) {
  const std::vector<Check> checks{
      wire("wire shm", "programs of this user meet in shared memory", shm_lacks()),
      wire("wire tap", "a cable to this machine's kernel", tap_lacks()),
      wire("wire packet", "interfaces, by AF_PACKET", packet_lacks()),
      wire("wire xdp", "interfaces, by AF_XDP", xdp_lacks()),
      libraries(),
      kernel(),
      cores(),
      huge_pages(),
      descriptors(),
      locked_memory(),
      other_processes(),
      rdma_of_the_kernel(),
  };
  const bool works = std::ranges::none_of(
      checks, [](const Check& check) { return check.finding == Finding::kMissing; });
  if (json) {
    auto object = begin_json("doctor", works);
    for (const Check& check : checks) {
      object["checks"].push_back({{"name", check.name},
                                  {"finding", name_of(check.finding)},
                                  {"found", check.found},
                                  {"remedy", check.remedy}});
    }
    print_json(object);
    return works ? kDone : kEnvironment;
  }
  for (const Check& check : checks) {
    fmt::print("{:18} {:8} {}\n", check.name, name_of(check.finding), check.found);
    if (!check.remedy.empty()) fmt::print("{:27} to mend it: {}\n", "", check.remedy);
  }
  fmt::print("{}\n",
             works ? "tideline works here." : "tideline's default wire does not work here.");
  return works ? kDone : kEnvironment;
}

}  // namespace tideline::app
