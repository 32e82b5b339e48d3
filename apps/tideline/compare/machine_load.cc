// SPDX-License-Identifier: Apache-2.0
#include "compare/machine_load.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string>

#include "base/clock.h"

namespace tideline::app::compare {
namespace {

std::string read_at(int directory, const std::string& name) {
  const UniqueFd file(::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 1024> text{};
  const ssize_t size = ::read(file.get(), text.data(), text.size());
  return {text.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

double ticks() { return static_cast<double>(::sysconf(_SC_CLK_TCK)); }

// proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal. What the host of a virtual
// machine takes counts as busy with others.
double busy_seconds(const std::string& stat) {
  std::istringstream fields(stat.substr(0, stat.find('\n')));
  std::string cpu;
  std::array<double, 8> values{};
  fields >> cpu;
  for (double& value : values) fields >> value;
  return (values[0] + values[1] + values[2] + values[5] + values[6] + values[7]) / ticks();
}

}  // namespace

MachineLoad::MachineLoad()
    : proc_(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
      cores_(static_cast<unsigned>(::sysconf(_SC_NPROCESSORS_ONLN))) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename();
    int pid = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parsed.ec != std::errc()) continue;
    if (read_at(proc_.get(), name + "/comm").starts_with("ksoftirqd/")) softirqd_.push_back(pid);
  }
}

LoadSample MachineLoad::sample() const {
  LoadSample sample{.at = monotonic_now(), .busy_s = busy_seconds(read_at(proc_.get(), "stat"))};
  for (const int pid : softirqd_) {
    const std::string line = read_at(proc_.get(), fmt::format("{}/stat", pid));
    const std::size_t name_end = line.rfind(')');
    if (name_end == std::string::npos) continue;
    std::istringstream fields(line.substr(name_end + 1));
    std::string skipped;
    for (int i = 0; i < 12; ++i) fields >> skipped;  // utime is always 0
    double system = 0;
    if (fields >> system) sample.softirqd_s += system / ticks();
  }
  return sample;
}

}  // namespace tideline::app::compare
