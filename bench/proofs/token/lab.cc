// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/lab.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/check.h"

namespace proofs::token {
namespace {

using Clock = std::chrono::steady_clock;

// Replaces the calling child.
[[noreturn]] void execute(const Lab::Command& command, const std::string& output) {
  ::setpgid(0, 0);
  const int in = ::open("/dev/null", O_RDONLY);
  const int out = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(out, 2);
  ::close_range(3, ~0U, 0);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

void kill_group(pid_t group) {
  if (group > 0) ::kill(-group, SIGKILL);
}

}  // namespace

std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

Server::~Server() {
  const pid_t pid = child_.pid();
  child_.signal(SIGTERM);
  const auto end = Clock::now() + std::chrono::seconds(3);
  while (pid > 0 && !child_.poll() && Clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  kill_group(pid);
}

Lab::Lab(std::string directory, std::string ports)
    : directory_(std::move(directory)), ports_(std::move(ports)) {
  broker_ = std::make_unique<bench::Child>(bench::Child::run([this]() -> int {
    execute({binaries() + "/token_broker", broker_path()}, directory_ + "/broker.log");
  }));
  const auto end = Clock::now() + std::chrono::seconds(5);
  while (!counts()) {
    CHECK(Clock::now() < end, "the broker does not answer: {}",
          read_file(directory_ + "/broker.log"));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::string Lab::binaries() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path().string() +
         "/bin";
}

bench::Child Lab::spawn(Carrier carrier, const Command& command, const std::string& output,
                        const std::string& setting) const {
  return bench::Child::run([&]() -> int {
    if (::chdir(directory_.c_str()) != 0) return 126;
    if (carrier == Carrier::kToken) {
      ::setenv("LD_PRELOAD", (binaries() + "/../lib/libproof-token.so").c_str(), 1);
      ::setenv("PROOF_TOKEN_BROKER", broker_path().c_str(), 1);
      ::setenv("PROOF_TOKEN_PORTS", ports_.c_str(), 1);
    }
    if (const auto equals = setting.find('='); equals != std::string::npos) {
      ::setenv(setting.substr(0, equals).c_str(), setting.substr(equals + 1).c_str(), 1);
    }
    execute(command, output);
  });
}

Outcome Lab::run(Carrier carrier, const Command& command, int limit_s,
                 const std::string& setting) const {
  const std::string output = fmt::format("{}/output.{}", directory_, ++runs_);
  bench::Child child = spawn(carrier, command, output, setting);
  const pid_t group = child.pid();
  const auto end = Clock::now() + std::chrono::seconds(limit_s);
  std::optional<int> status;
  while (!(status = child.poll()) && Clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  kill_group(group);
  Outcome outcome{.succeeded = status && WIFEXITED(*status) && WEXITSTATUS(*status) == 0,
                  .output = read_file(output)};
  if (!status) outcome.output += "\n[killed: the time limit]";
  return outcome;
}

Server Lab::start(Carrier carrier, const Command& command) const {
  return Server(spawn(carrier, command, fmt::format("{}/server.{}", directory_, ++runs_), {}));
}

std::optional<Counts> Lab::counts() const {
  const tideline::UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  broker_path().copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return std::nullopt;
  }
  const Request request{.op = Op::kCount};
  Reply reply;
  if (::send(socket.get(), &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request) ||
      ::recv(socket.get(), &reply, sizeof(reply), 0) != sizeof(reply)) {
    return std::nullopt;
  }
  return reply.counts;
}

int Lab::broker_descriptors() const {
  const std::filesystem::path path = fmt::format("/proc/{}/fd", broker_->pid());
  return static_cast<int>(std::distance(std::filesystem::directory_iterator(path), {}));
}

bool Lab::at_rest() const {
  const auto end = Clock::now() + std::chrono::seconds(2);
  while (Clock::now() < end) {
    const std::optional<Counts> now = counts();
    // The one client is the question itself.
    if (now && now->connections + now->listeners + now->bells == 0 && now->clients == 1)
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace proofs::token
