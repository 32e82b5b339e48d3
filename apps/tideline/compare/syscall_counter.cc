// SPDX-License-Identifier: Apache-2.0
#include "compare/syscall_counter.h"

#include <fmt/format.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>

namespace tideline::app::compare {
namespace {

namespace fs = std::filesystem;

Result<std::uint64_t> tracepoint() {
  std::ifstream file("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id");
  std::uint64_t id = 0;
  if (file >> id) return id;
  return fail({.what = "the kernel shows no tracepoint raw_syscalls:sys_enter"});
}

Result<UniqueFd> open_event(std::uint64_t id, pid_t thread) {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_TRACEPOINT;
  attributes.config = id;
  attributes.inherit = 1;
  UniqueFd event(static_cast<int>(
      ::syscall(SYS_perf_event_open, &attributes, thread, -1, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event) return fail_errno("cannot count system calls");
  return event;
}

}  // namespace

Status SyscallCounter::available() {
  const auto id = tracepoint();
  if (!id) return fail(id.error());
  const auto event = open_event(*id, 0);
  if (!event) return fail(event.error());
  return {};
}

Status SyscallCounter::add(pid_t pid) {
  const auto id = tracepoint();
  if (!id) return fail(id.error());
  std::error_code gone;
  for (const auto& task : fs::directory_iterator(fmt::format("/proc/{}/task", pid), gone)) {
    const std::string name = task.path().filename();
    pid_t thread = 0;
    std::from_chars(name.data(), name.data() + name.size(), thread);
    auto event = open_event(*id, thread);
    if (!event) return fail(std::move(event.error()));
    events_.push_back(std::move(*event));
  }
  return {};
}

std::uint64_t SyscallCounter::count() const {
  std::uint64_t total = 0;
  for (const UniqueFd& event : events_) {
    std::uint64_t value = 0;
    if (::read(event.get(), &value, sizeof value) == sizeof value) total += value;
  }
  return total;
}

}  // namespace tideline::app::compare
