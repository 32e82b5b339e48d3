// SPDX-License-Identifier: Apache-2.0
#include "daemon.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "log.h"
#include "notify.h"
#include "privileges.h"

namespace tideline::daemon {
namespace {

// Addresses are tested for duplicates, which takes two seconds.
constexpr Duration kReadyTimeout = std::chrono::seconds(30);

bool is_on_shared_segment(const HostConfig& host) {
  return host.attachment.wire.starts_with("shm:");
}

Result<UniqueFd> open_signals() {
  sigset_t taken;
  ::sigemptyset(&taken);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&taken, signal);
  ::pthread_sigmask(SIG_BLOCK, &taken, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  UniqueFd fd(::signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("cannot wait for signals");
  return fd;
}

// Programs that attach cost descriptors; how many are allowed is for the hard limit to say.
void allow_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::create(Config config, DaemonOptions options, uid_t own) {
  auto signals = open_signals();
  if (!signals) return fail(std::move(signals.error()));
  auto news = ring::EventBell::create();
  if (!news) return fail(std::move(news.error()));
  auto told_to_stop = ring::EventBell::create();
  if (!told_to_stop) return fail(std::move(told_to_stop.error()));
  auto place = Place::take(config.name);
  if (!place) return fail(std::move(place.error()));
  return std::unique_ptr<Daemon>(new Daemon(
      std::move(config), std::move(options), own, std::move(*signals),
      {.news = std::move(*news), .told_to_stop = std::move(*told_to_stop)}, std::move(*place)));
}

Daemon::Daemon(Config config, DaemonOptions options, uid_t own, UniqueFd signals, Bells bells,
               Place place)
    : config_(std::move(config)),
      options_(std::move(options)),
      own_(own),
      signals_(std::move(signals)),
      bells_(std::move(bells)),
      policy_(std::make_shared<Policy>(config_.policy, own)),
      place_(std::move(place)) {}

Status Daemon::run() {
  allow_descriptors();
  Status done = open_wires();
  if (done) done = start_hosts();
  if (done) done = wait_until_ready();
  if (done && !stopping_) {
    announce();
    serve();
  }
  stop();
  return done;
}

// In this order: what needs privileges, the end of privileges, the rest. A shared segment belongs
// to a user, so it is joined as that user.
Status Daemon::open_wires() {
  const auto as = run_as(config_);
  if (!as) return fail(as.error());
  const std::optional<RunAs>& other = *as;
  if (policy_->admits_others()) {
    if (Status s = place_.open_to_others(); !s) return s;
  }
  if (Status s = listen(); !s) return s;
  if (Status s = open_hosts(false); !s) return s;
  if (other) {
    if (Status s = place_.hand_over(other->user, other->group); !s) return s;
  }
  if (Status s = drop_privileges(other); !s) return s;
  if (::geteuid() == 0) {
    spdlog::warn("runs as root, though without capabilities: name a user in the configuration");
  }
  return open_hosts(true);
}

Status Daemon::listen() {
  for (const HostConfig& host : config_.hosts) {
    auto fd = place_.listen(host.name, host.socket);
    if (!fd) return fail(std::move(fd.error()));
    listening_[host.name] = std::move(*fd);
  }
  return {};
}

// On a host's thread.
engine::ClientPolicy Daemon::rights_of(const ucred& peer) {
  std::shared_ptr<const Policy> policy;
  {
    const std::scoped_lock lock(policy_mutex_);
    policy = policy_;
  }
  return policy->rights_of(peer);
}

Status Daemon::open_hosts(bool on_shared_segments) {
  for (const HostConfig& config : config_.hosts) {
    if (is_on_shared_segment(config) != on_shared_segments) continue;
    auto host = HostRunner::open(config);
    if (!host) return fail(std::move(host.error()));
    hosts_.push_back(std::move(*host));
  }
  return {};
}

Status Daemon::start_hosts() {
  for (const auto& host : hosts_) {
    const Status started = host->start(
        bells_.news, std::move(listening_[host->name()]),
        [this](const ucred& peer) { return rights_of(peer); }, config_.name,
        {.directory = place_.directory(), .stop = [this] { bells_.told_to_stop.ring(); }});
    if (!started) return started;
  }
  return {};
}

Status Daemon::wait_until_ready() {
  const Instant end = monotonic_now() + kReadyTimeout;
  for (;;) {
    bool ready = true;
    for (const auto& host : hosts_) {
      if (host->state() == HostRunner::State::kConflict) return fail(host->conflict());
      ready &= host->state() == HostRunner::State::kReady;
    }
    if (ready || stopping_) return {};
    if (monotonic_now() >= end) {
      return fail({.what = fmt::format("the addresses of '{}' do not get ready", config_.name)});
    }
    take_signal(wait(end));
  }
}

void Daemon::announce() {
  for (const auto& host : hosts_) {
    spdlog::info("host {}: {} on {}", host->name(), host->addresses(), host->wire());
  }
  spdlog::info("front end '{}' is ready, process {}", config_.name, ::getpid());
  if (options_.background) {
    const UniqueFd log(::openat(place_.directory(), "log",
                                O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
                                0600));
    if (log) ::dup2(log.get(), STDERR_FILENO);
    if (::chdir("/") != 0) spdlog::warn("cannot leave the working directory");
    spdlog::info("front end '{}', process {}", config_.name, ::getpid());
  }
  notify(fmt::format("READY=1\nMAINPID={}\nSTATUS={} hosts\nX_TIDELINE_PLACE={}", ::getpid(),
                     hosts_.size(), place_.path()));
}

void Daemon::serve() {
  const Instant end =
      options_.duration == Duration() ? kNever : monotonic_now() + options_.duration;
  while (!stopping_ && monotonic_now() < end) {
    take_signal(wait(end));
  }
}

void Daemon::stop() {
  notify("STOPPING=1");
  spdlog::info("front end '{}' stops", config_.name);
  place_.remove_sockets();
  listening_.clear();
  for (const auto& host : hosts_) host->begin_to_stop();
  wait_for_programs();
  hosts_.clear();
}

// Until what they have written is sent, for as long as is allowed, or until told once more.
void Daemon::wait_for_programs() {
  const Instant end = monotonic_now() + config_.stop_timeout;
  for (;;) {
    const bool done = std::ranges::all_of(
        hosts_, [](const auto& host) { return host->state() == HostRunner::State::kStopped; });
    if (done) return;
    const int signal = wait(end);
    if (monotonic_now() < end && signal != SIGTERM && signal != SIGINT) continue;
    spdlog::warn("not all that programs have written has been sent");
    return;
  }
}

int Daemon::wait(Instant deadline) {
  std::array<pollfd, 3> watched{{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                 {.fd = bells_.news.fd(), .events = POLLIN, .revents = 0},
                                 {.fd = bells_.told_to_stop.fd(), .events = POLLIN, .revents = 0}}};
  int timeout = -1;
  if (deadline != kNever) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - monotonic_now());
    timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30));
  }
  ::poll(watched.data(), watched.size(), timeout);
  if (watched[1].revents != 0) bells_.news.silence();
  if (watched[2].revents != 0) {
    bells_.told_to_stop.silence();
    return SIGTERM;
  }
  signalfd_siginfo signal{};
  if (watched[0].revents == 0 || ::read(signals_.get(), &signal, sizeof(signal)) < 0) return 0;
  return static_cast<int>(signal.ssi_signo);
}

void Daemon::take_signal(int signal) {
  if (signal == SIGHUP) reload();
  if (signal == SIGTERM || signal == SIGINT) stopping_ = true;
}

void Daemon::reload() {
  if (options_.config_path.empty()) {
    spdlog::warn("there is no configuration to read again: started with options alone");
    return;
  }
  notify("RELOADING=1");
  auto config = read_config(options_.config_path, MachineAccounts());
  if (config) {
    const std::scoped_lock lock(policy_mutex_);
    policy_ = std::make_shared<Policy>(std::move(config->policy), own_);
    spdlog::info("policy read again; wires, addresses and users change at a restart");
  } else {
    spdlog::error("{}; the policy stays as it was", config.error().message());
  }
  notify("READY=1");
}

}  // namespace tideline::daemon
