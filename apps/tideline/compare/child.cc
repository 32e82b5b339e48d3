// SPDX-License-Identifier: Apache-2.0
#include "compare/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/clock.h"
#include "session.h"

namespace tideline::app::compare {
namespace {

namespace fs = std::filesystem;

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

[[noreturn]] void become(char* const* words, int core, int output, int errors) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setsid();
  if (core >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(core), &set);
    ::sched_setaffinity(0, sizeof set, &set);
  }
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(errors, STDERR_FILENO);
  ::execvp(words[0], words);
  ::dprintf(STDERR_FILENO, "cannot run %s: %s\n", words[0],
            std::strerror(errno));  // NOLINT(concurrency-mt-unsafe): one thread
  ::_exit(127);
}

std::string text_of(int fd) {
  std::string text;
  std::array<char, 65536> piece{};
  for (off_t at = 0;;) {
    const ssize_t size = ::pread(fd, piece.data(), piece.size(), at);
    if (size <= 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(size));
    at += size;
  }
}

UniqueFd memory_file(const char* name) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd) throw Failure(fail_errno("cannot make a file in memory").error());
  // Processes append to it.
  ::fcntl(fd.get(), F_SETFL, O_APPEND);
  return fd;
}

// Of all threads.
double wake_ups_of(pid_t pid) {
  constexpr std::string_view kKey = "voluntary_ctxt_switches:";
  double total = 0;
  std::error_code gone;
  for (const auto& task : fs::directory_iterator(fmt::format("/proc/{}/task", pid), gone)) {
    std::ifstream file(task.path() / "status");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with(kKey)) total += std::atof(line.c_str() + kKey.size());
    }
  }
  return total;
}

}  // namespace

std::optional<Usage> usage_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  // proc_pid_stat(5): utime and stime are the 12th and 13th behind the name, which may hold
  // anything.
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  Usage usage;
  fields >> usage.user_s >> usage.system_s;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  usage.user_s /= ticks;
  usage.system_s /= ticks;
  usage.wake_ups = wake_ups_of(pid);
  return usage;
}

Child::Child(const Words& command, int core)
    : output_(memory_file("output")), errors_(memory_file("errors")) {
  Words copy = command;
  std::vector<char*> words;
  words.reserve(copy.size() + 1);
  for (std::string& word : copy) words.push_back(word.data());
  words.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw Failure(fail_errno("cannot start a process").error());
  if (pid_ == 0) become(words.data(), core, output_.get(), errors_.get());
}

Child::~Child() {
  if (reaped_) return;
  ::kill(pid_, SIGKILL);
  while (!try_reap()) ::usleep(1000);
}

bool Child::try_reap() {
  if (reaped_) return true;
  rusage used{};
  if (::wait4(pid_, &status_, WNOHANG, &used) != pid_) return false;
  reaped_ = true;
  usage_ = {.user_s = seconds_of(used.ru_utime),
            .system_s = seconds_of(used.ru_stime),
            .wake_ups = static_cast<double>(used.ru_nvcsw)};
  return true;
}

bool Child::has_ended() { return try_reap(); }

bool Child::wait_until(Instant end) {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  while (!try_reap()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - monotonic_now()).count();
    if (left <= 0) {
      took_too_long_ = true;
      ::kill(pid_, SIGKILL);
    }
    pollfd watched{.fd = process.get(), .events = POLLIN, .revents = 0};
    ::poll(&watched, 1, left > 0 ? static_cast<int>(left) : 100);
  }
  return WIFEXITED(status_) && WEXITSTATUS(status_) == 0;
}

void Child::end(Instant limit) {
  if (try_reap()) return;
  ::kill(pid_, SIGTERM);
  wait_until(limit);
}

std::string Child::how_it_ended() const {
  if (took_too_long_) return "took too long and was killed";
  return WIFEXITED(status_) ? fmt::format("exit status {}", WEXITSTATUS(status_))
                            : fmt::format("signal {}", WTERMSIG(status_));
}

std::string Child::said() const { return text_of(output_.get()); }
std::string Child::errors() const { return text_of(errors_.get()); }

void run_command(const Words& command) {
  Child child(command, -1);
  if (child.wait_until(monotonic_now() + std::chrono::seconds(20))) return;
  throw Failure(
      {.kind = ErrorKind::kEnvironment,
       .what = fmt::format("{}: {}", fmt::join(command, " "), child.errors() + child.said())});
}

bool is_installed(const std::string& program) {
  if (program.find('/') != std::string::npos) return ::access(program.c_str(), X_OK) == 0;
  const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): one thread
  std::istringstream folders(path == nullptr ? "/usr/bin:/bin" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (::access(fmt::format("{}/{}", folder, program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

}  // namespace tideline::app::compare
