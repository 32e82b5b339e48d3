// SPDX-License-Identifier: Apache-2.0
// A million connections that do nothing: what they cost in memory, how fast they are opened, and
// whether one that wakes up pays for the others. Two engines in one process and thread, on a wire
// in shared memory of this program's own.
#include <fmt/format.h>
#include <tideline/engine.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "common/cli.h"
#include "common/report.h"
#include "common/test_directory.h"

namespace bench::connections {
namespace {

using tideline::Endpoint;
using tideline::Engine;
using tideline::Host;
using tideline::Listener;
using tideline::Stream;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kPerPort = 20'000;  // connections to one port: a host has some 28,000 to give
constexpr std::uint16_t kFirstPort = 1000;
constexpr std::size_t kAtOnce = 256;  // being opened
constexpr std::size_t kMessage = 512;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double total = 0;
  double resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

struct Station {
  Engine engine;
  Host host;

  explicit Station(std::size_t connections)
      : engine(*Engine::open({.wire = "shm:connections", .max_connections = connections})),
        host(*engine.add_host({})) {}
  Endpoint endpoint(std::uint16_t port) const {
    const std::string& text = host.ip4()[0];
    return *Endpoint::parse(text.substr(0, text.find('/')), port);
  }
};

class Scene {
 public:
  Scene(std::size_t connections, std::uint64_t seed)
      : count_(connections), rng_(seed), left_(connections + kAtOnce), right_(left_capacity()) {
    clients_.reserve(count_);
    servers_.reserve(count_);
    for (std::size_t i = 0; i * kPerPort < count_; ++i) {
      listeners_.push_back(
          *right_.host.listen(static_cast<std::uint16_t>(kFirstPort + i), {.backlog = kAtOnce}));
    }
  }

  // False: some connection failed.
  bool open_all() {
    while (servers_.size() < count_) {
      while (clients_.size() < count_ && clients_.size() - servers_.size() < kAtOnce) {
        const auto port = static_cast<std::uint16_t>(kFirstPort + clients_.size() / kPerPort);
        auto client = left_.host.connect(right_.endpoint(port));
        if (!client) {
          std::fprintf(stderr, "%s\n", client.error().message().c_str());
          return false;
        }
        clients_.push_back(std::move(*client));
      }
      turn();
      for (Listener& listener : listeners_) {
        while (auto server = listener.accept()) servers_.push_back(std::move(*server));
      }
      if (clients_.front().error()) return false;
    }
    for (int i = 0; i < 100; ++i) turn();
    return std::ranges::all_of(clients_,
                               [](const Stream& s) { return s.state() == Stream::State::kOpen; });
  }

  // Finds which server is a client's: they were accepted in some order.
  void pair_up() {
    std::vector<std::pair<std::string, std::size_t>> by_client;
    std::vector<std::pair<std::string, std::size_t>> by_server;
    for (std::size_t i = 0; i < count_; ++i) {
      by_client.emplace_back(clients_[i].local().text() + clients_[i].remote().text(), i);
      by_server.emplace_back(servers_[i].remote().text() + servers_[i].local().text(), i);
    }
    std::ranges::sort(by_client);
    std::ranges::sort(by_server);
    peers_.resize(count_);
    for (std::size_t i = 0; i < count_; ++i) peers_[by_client[i].second] = by_server[i].second;
  }

  // A message there and back on `samples` connections of the first `among`; the median in ns, or
  // nothing if a byte was wrong.
  std::optional<double> exchange(std::size_t samples, std::size_t among) {
    std::vector<double> times;
    for (std::size_t i = 0; i < samples; ++i) {
      const auto chosen = static_cast<std::size_t>(rng_.below(among));
      const auto begin = Clock::now();
      if (!carry(clients_[chosen], servers_[peers_[chosen]]) ||
          !carry(servers_[peers_[chosen]], clients_[chosen])) {
        return std::nullopt;
      }
      times.push_back(seconds_since(begin) * 1e9);
    }
    std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(samples / 2));
    return times[samples / 2];
  }

 private:
  std::size_t left_capacity() const { return count_ + kAtOnce; }
  void turn() {
    left_.engine.poll();
    right_.engine.poll();
    while (left_.engine.next()) continue;
    while (right_.engine.next()) continue;
  }
  bool carry(Stream& from, Stream& to) {
    std::array<std::byte, kMessage> message;
    for (std::byte& byte : message) byte = static_cast<std::byte>(rng_());
    if (from.write(message) != kMessage) return false;
    std::array<std::byte, kMessage> arrived{};
    std::size_t size = 0;
    for (int turns = 0; size < kMessage && turns < 10'000; ++turns) {
      turn();
      size += to.read(std::span(arrived).subspan(size));
    }
    return size == kMessage && arrived == message;
  }

  std::size_t count_;
  tideline::Rng rng_;
  Station left_;
  Station right_;
  std::vector<Listener> listeners_;
  std::vector<Stream> clients_;
  std::vector<Stream> servers_;
  std::vector<std::size_t> peers_;
};

int run(const Options& options) {
  const std::size_t count = options.quick ? 50'000 : 1'000'000;
  TestDirectory meeting;
  ::setenv("XDG_RUNTIME_DIR", meeting.path().c_str(), 1);
  Report report("connections", "What does a connection cost that does nothing?");
  Scene scene(count, options.seed);
  const double before = resident_bytes();
  const auto begin = Clock::now();
  const bool opened = scene.open_all();
  const double took = seconds_since(begin);
  const double grown = resident_bytes() - before;
  report.check("all connections open", opened, fmt::format("{} of them", count));
  if (!opened) return report.finish(options.json);
  report.figure("connections", static_cast<double>(count), "");
  report.figure("opened, both ends on one core", static_cast<double>(count) / took, "1/s");
  report.figure("memory per end", grown / static_cast<double>(2 * count), "B");
  scene.pair_up();
  const double paired = resident_bytes();
  const auto alone = scene.exchange(20'000, 1);
  const auto among = scene.exchange(20'000, count);
  report.check("every byte arrives as it was sent", alone && among, "40,000 exchanges");
  if (alone && among) {
    report.figure("512 B there and back, among all of them", *among, "ns", "on one", *alone);
  }
  const double later = resident_bytes() - paired;
  report.figure("more of it afterwards", later / static_cast<double>(2 * count), "B");
  return report.finish(options.json);
}

}  // namespace
}  // namespace bench::connections

int main(int argc, char** argv) {
  return bench::connections::run(
      bench::parse_options(argc, argv, "A million connections that do nothing"));
}
