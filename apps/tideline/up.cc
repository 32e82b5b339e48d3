// SPDX-License-Identifier: Apache-2.0
// `tideline up` and `tideline down`: a front end (tidelined) in the background.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "commands.h"
#include "config.h"
#include "place.h"
#include "processes.h"
#include "report.h"
#include "ring/bell.h"
#include "session.h"

namespace tideline::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// What a program that was started says of itself: on the socket of sd_notify(3), which knows
// senders, and on its standard error.
class Ear {
 public:
  Ear() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    // The kernel chooses a name, of the abstract kind.
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    constexpr int kYes = 1;
    std::array<int, 2> ends{};
    if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(sa_family_t)) !=
            0 ||
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_PASSCRED, &kYes, sizeof(kYes)) != 0 ||
        ::pipe2(ends.data(), O_CLOEXEC) != 0) {
      throw Failure(fail_errno("cannot listen to a front end").error());
    }
    errors_ = UniqueFd(ends[0]);
    errors_end_ = UniqueFd(ends[1]);
  }

  std::string name() const {
    sockaddr_un address{};
    socklen_t size = sizeof(address);
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    constexpr std::size_t kPath = offsetof(sockaddr_un, sun_path) + 1;
    return fmt::format("@{}", std::string_view(&address.sun_path[1], size - kPath));
  }
  int socket() const { return socket_.get(); }
  int errors() const { return errors_.get(); }
  int errors_end() const { return errors_end_.get(); }
  void close_errors_end() { errors_end_.reset(); }

  // The next message, if the process has sent it.
  std::string hear(pid_t from) const {
    std::array<char, 4096> text{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control{};
    iovec piece{.iov_base = text.data(), .iov_len = text.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (size <= 0 || header == nullptr || header->cmsg_type != SCM_CREDENTIALS) return {};
    ucred sender{};
    std::memcpy(&sender, CMSG_DATA(header), sizeof(sender));
    if (sender.pid != from) return {};
    return {text.data(), static_cast<std::size_t>(size)};
  }
  // What there is on standard error. False at its end.
  bool read_errors(std::string& to) const {
    std::array<char, 4096> text{};
    const ssize_t size = ::read(errors_.get(), text.data(), text.size());
    if (size > 0) to.append(text.data(), static_cast<std::size_t>(size));
    return size > 0;
  }

 private:
  UniqueFd socket_;
  UniqueFd errors_;
  UniqueFd errors_end_;  // for the program
};

// The value of KEY=VALUE on a line of its own.
std::string value_in(std::string_view message, std::string_view key) {
  while (!message.empty()) {
    const std::size_t end = std::min(message.find('\n'), message.size());
    const std::string_view line = message.substr(0, end);
    if (line.starts_with(key) && line.substr(key.size()).starts_with('=')) {
      return std::string(line.substr(key.size() + 1));
    }
    message.remove_prefix(std::min(end + 1, message.size()));
  }
  return {};
}

std::vector<std::string> arguments_of(const WireOptions& wire, const UpOptions& options) {
  std::vector<std::string> words{"tidelined", "--background"};
  const auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) words.push_back(fmt::format("{}={}", option, value));
  };
  add("--name", options.name);
  add("--duration", wire.duration == 0 ? "" : fmt::format("{}", wire.duration));
  if (!options.config.empty()) {
    add("--config", options.config);
    return words;
  }
  add("--wire", wire.wire);
  for (const std::string& address : wire.ip4) add("--ip", address);
  for (const std::string& address : wire.ip6) add("--ip6", address);
  for (const std::string& gateway : wire.gateways) add("--gateway", gateway);
  add("--mtu", wire.mtu == 0 ? "" : std::to_string(wire.mtu));
  add("--mtu-probing", wire.mtu_probing);
  if (!wire.local_bypass) words.emplace_back("--no-local-bypass");
  add("--impair", wire.impair);
  add("--seed", wire.seed ? std::to_string(*wire.seed) : "");
  add("--capture", wire.capture);
  return words;
}

// Without what concerns this process alone.
std::vector<std::string> environment_with(const std::string& notify_socket) {
  std::vector<std::string> words;
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string_view word = *each;
    if (!word.starts_with("NOTIFY_SOCKET=") && !word.starts_with("JOURNAL_STREAM=")) {
      words.emplace_back(word);
    }
  }
  words.push_back("NOTIFY_SOCKET=" + notify_socket);
  return words;
}

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

// In a session of its own, so that no terminal's signal reaches it.
pid_t start(const fs::path& program, const WireOptions& wire, const UpOptions& options,
            const Ear& ear) {
  std::vector<std::string> words = arguments_of(wire, options);
  std::vector<std::string> environment = environment_with(ear.name());
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, ear.errors_end(), STDERR_FILENO);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t all;
  ::sigfillset(&all);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, program.c_str(), &files, &attributes,
                                  pointers_to(words).data(), pointers_to(environment).data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  if (error == 0) return pid;
  errno = error;
  throw Failure(fail_errno(fmt::format("cannot start {}", program.string()),
                           "build it: cmake --build --preset release")
                    .error());
}

// What it has said before it ended: the lines that say why, or all.
std::string reasons_in(const std::string& log) {
  constexpr std::string_view kMark = "tidelined: ";
  std::string reasons;
  for (std::size_t from = 0; from < log.size();) {
    const std::size_t end = std::min(log.find('\n', from), log.size());
    const std::string_view line = std::string_view(log).substr(from, end - from);
    if (line.starts_with(kMark)) {
      reasons += fmt::format("tideline: {}\n", line.substr(kMark.size()));
    }
    from = end + 1;
  }
  return reasons.empty() ? log : reasons;
}

struct Interrupt {
  ring::EventBell bell;
  void stop() const noexcept { bell.ring(); }
};

// The directory of its sockets, once it is ready. Empty if it has ended, or the user does not want
// to wait any longer: then it has ended as well, and `log` says why.
std::string wait_until_ready(pid_t pid, const Ear& ear, std::string& log) {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  Interrupt interrupt{.bell = value_or_throw(ring::EventBell::create())};
  const StopOnSignal on_signal(interrupt);
  bool has_errors = true;
  for (;;) {
    std::array<pollfd, 4> watched{
        {{.fd = ear.socket(), .events = POLLIN, .revents = 0},
         {.fd = process.get(), .events = POLLIN, .revents = 0},
         {.fd = interrupt.bell.fd(), .events = POLLIN, .revents = 0},
         {.fd = has_errors ? ear.errors() : -1, .events = POLLIN, .revents = 0}}};
    ::poll(watched.data(), watched.size(), -1);
    if (watched[3].revents != 0) has_errors = ear.read_errors(log);
    if (watched[0].revents != 0) {
      const std::string message = ear.hear(pid);
      if (value_in(message, "READY") == "1") return value_in(message, "X_TIDELINE_PLACE");
    }
    if (watched[2].revents != 0) {
      interrupt.bell.silence();
      ::kill(pid, SIGTERM);
    }
    if (watched[1].revents != 0) {
      while (has_errors) has_errors = ear.read_errors(log);
      return {};
    }
  }
}

std::vector<Json> hosts_in(const std::string& place) {
  std::vector<Json> hosts;
  for (Process& process : processes_in(place + "/.control")) {
    if (auto answer = ask(process)) hosts.push_back(std::move(*answer));
  }
  std::ranges::sort(hosts, {}, [](const Json& host) { return text_in(host, "host"); });
  return hosts;
}

std::string addresses_of(const Json& host) {
  std::string all;
  for (const Json& address : member(host, "addresses")) {
    if (address.is_string()) all += fmt::format(" {}", address.get<std::string>());
  }
  return all;
}

void report(const std::vector<Json>& hosts, pid_t pid, const std::string& place, bool json) {
  const std::string name = fs::path(place).filename();
  if (!json) {
    for (const Json& host : hosts) {
      fmt::print("host {} on {}:{}\n", text_in(host, "host"), text_in(host, "wire"),
                 addresses_of(host));
    }
    fmt::print("ready: front end {} (process {}) in {}\n", name, pid, place);
    return;
  }
  Json object = begin_json("up", true);
  object["name"] = name;
  object["pid"] = pid;
  object["directory"] = place;
  object["hosts"] = Json::array();
  for (const Json& host : hosts) {
    object["hosts"].push_back({{"name", text_in(host, "host")},
                               {"wire", text_in(host, "wire")},
                               {"addresses", member(host, "addresses")}});
  }
  print_json(object);
}

}  // namespace

int up(const WireOptions& wire, const UpOptions& options) {
  const fs::path program = fs::read_symlink("/proc/self/exe").parent_path() / "tidelined";
  Ear ear;
  const pid_t pid = start(program, wire, options, ear);
  ear.close_errors_end();
  std::string log;
  const std::string place = wait_until_ready(pid, ear, log);
  if (!place.empty()) {
    report(hosts_in(place), pid, place, wire.json);
    return kDone;
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  fmt::print(stderr, "{}", reasons_in(log));
  if (WIFEXITED(status)) return WEXITSTATUS(status) == 0 ? kNegative : WEXITSTATUS(status);
  fmt::print(stderr, "tideline: the front end was ended by signal {}\n", WTERMSIG(status));
  return kEnvironment;
}

int down(const DownOptions& options) {
  value_or_throw(daemon::check_name(options.name, "a front end"));
  const auto running = daemon::find_running(options.name);
  if (!running) {
    throw Failure({.kind = ErrorKind::kEnvironment,
                   .what = fmt::format("no front end '{}' of this user runs", options.name),
                   .remedy = "`tideline status` shows those that do; `tideline up` starts one"});
  }
  const std::string control = running->path + "/.control";
  if (::access(control.c_str(), X_OK) != 0 && errno == EACCES) {
    throw Failure({.kind = ErrorKind::kEnvironment,
                   .what = fmt::format("the front end '{}' (process {}) is another user's",
                                       options.name, running->pid),
                   .remedy = "stop it as that user, or as root"});
  }
  std::vector<Process> hosts = processes_in(control);
  // One that stops already is not to be asked any more.
  const bool told = hosts.empty() || std::ranges::any_of(hosts, [](Process& host) {
                      return ask(host, control::kStop).has_value();
                    });
  const Instant end = monotonic_now() + std::chrono::duration_cast<Duration>(
                                            std::chrono::duration<double>(options.timeout));
  while (told && daemon::is_running(running->lock) && monotonic_now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  if (daemon::is_running(running->lock)) {
    throw Failure(
        {.kind = ErrorKind::kEnvironment,
         .what = fmt::format("the front end '{}' (process {}) {}", options.name, running->pid,
                             told ? "has not ended yet" : "does not answer"),
         .remedy = fmt::format("kill -KILL {} ends it at once", running->pid)});
  }
  if (options.json) {
    Json object = begin_json("down", true);
    object["name"] = options.name;
    object["pid"] = running->pid;
    print_json(object);
  } else {
    fmt::print("front end {} (process {}) has stopped\n", options.name, running->pid);
  }
  return kDone;
}

}  // namespace tideline::app
