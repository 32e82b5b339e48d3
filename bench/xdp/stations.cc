// SPDX-License-Identifier: Apache-2.0
#include "stations.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/mapping.h"
#include "packet/pool.h"
#include "port/af_xdp.h"

namespace bench::xdp {
namespace {

using tideline::monotonic_now;
using tideline::packet::Burst;
using tideline::packet::PacketPtr;
using tideline::packet::Pool;
using tideline::port::XdpPort;
using tideline::port::XdpSpec;

constexpr const char* kTestpmd = "/usr/bin/dpdk-testpmd";
// DPDK takes up to a second or two to start.
constexpr auto kPatience = std::chrono::seconds(20);

struct OpenPort {
  std::unique_ptr<Pool> pool;
  std::unique_ptr<XdpPort> port;
};

OpenPort open_port(const std::string& interface, int core) {
  pin_to_core(core);
  auto pool = Pool::create({.segments = 8192});
  CHECK(pool.has_value(), "{}", pool.error().message());
  auto port = XdpPort::open(XdpSpec::parse(interface + ",all").value(), {pool->get()});
  CHECK(port.has_value(), "{}", port.error().message());
  return {.pool = std::move(*pool), .port = std::move(*port)};
}

// Ethernet, IPv4 and UDP; the payload is whatever lies in the buffer, as with testpmd.
std::array<std::byte, 42> headers() {
  std::array<std::byte, 42> bytes{};
  constexpr std::array<std::uint8_t, 34> kHead{0x02,
                                               0,
                                               0,
                                               0,
                                               0,
                                               2,
                                               0x02,
                                               0,
                                               0,
                                               0,
                                               0,
                                               1,
                                               0x08,
                                               0,  // to, from, IPv4
                                               0x45,
                                               0,
                                               (kFrame - 14) >> 8,
                                               (kFrame - 14) & 0xff,
                                               0,
                                               0,
                                               0,
                                               0,
                                               64,
                                               17,
                                               0,
                                               0,
                                               198,
                                               18,
                                               0,
                                               1,
                                               198,
                                               18,
                                               0,
                                               2};
  std::memcpy(bytes.data(), kHead.data(), kHead.size());
  return bytes;
}

int blast(const std::string& interface, int core) {
  const OpenPort open = open_port(interface, core);
  const auto head = headers();
  Burst burst;
  while (true) {
    const std::size_t room = open.port->tx_room(0);
    while (burst.size() < room) {
      PacketPtr frame = open.pool->get();
      CHECK(frame != nullptr);
      std::memcpy(frame->append(kFrame), head.data(), head.size());
      burst.push(std::move(frame));
    }
    open.port->tx_burst(0, burst, monotonic_now());
    // Frees what was sent, and asks again for what was not.
    open.port->rx_burst(0, burst, monotonic_now());
    burst.clear();
  }
}

// Between a receiver of ours and its parent.
struct Shared {
  std::atomic<bool> ready{false};
  std::atomic<bool> count{false};
  std::atomic<double> rate{0};
};

class TidelineReceiver final : public Receiver {
 public:
  TidelineReceiver(const std::string& interface, int core)
      : memory_(tideline::Mapping::anonymous_shared(4096).value()),
        shared_(new(memory_.data()) Shared),
        child_(Child::run([this, interface, core] { return receive(interface, core); })) {}

  void wait_until_ready() override { wait_for(shared_->ready); }
  double rate() override {
    shared_->count = true;
    CHECK(child_.succeeded());
    return shared_->rate;
  }

 private:
  void wait_for(const std::atomic<bool>& flag) {
    while (!flag) {
      CHECK(!child_.poll(), "the receiver has ended");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  int receive(const std::string& interface, int core) {
    const OpenPort open = open_port(interface, core);
    shared_->ready = true;
    Burst burst;
    const auto next = [&] {
      const std::size_t frames = open.port->rx_burst(0, burst, monotonic_now());
      burst.clear();
      return frames;
    };
    while (!shared_->count) next();
    const auto begin = monotonic_now();
    const auto length = std::chrono::duration<double>(kCounted);
    std::uint64_t frames = 0;
    auto now = begin;
    for (; now - begin < length; now = monotonic_now()) frames += next();
    shared_->rate =
        static_cast<double>(frames) / std::chrono::duration<double>(now - begin).count();
    return 0;
  }

  tideline::Mapping memory_;
  Shared* shared_;
  Child child_;
};

// A main core that sleeps and one that forwards, both threads on `core`. Never returns.
int become_testpmd(const std::string& interface, int core, std::vector<std::string> mode,
                   const std::string& log) {
  unpin();
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  CHECK(out >= 0 && ::dup2(out, 1) == 1 && ::dup2(out, 2) == 2, "errno {}", errno);
  std::vector<std::string> words{kTestpmd,
                                 "--no-huge",
                                 "-m",
                                 "256",
                                 "--no-pci",
                                 "--no-telemetry",
                                 "--file-prefix",
                                 interface,
                                 "--lcores",
                                 fmt::format("0@{0},1@{0}", core),
                                 "--vdev",
                                 "net_af_xdp0,iface=" + interface,
                                 "--",
                                 "--auto-start",
                                 "--stats-period=1",
                                 "--no-mlockall",
                                 "--total-num-mbufs=32768",
                                 "--burst=32"};
  words.insert(words.end(), mode.begin(), mode.end());
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execv(kTestpmd, arguments.data());
  return 127;
}

class DpdkReceiver final : public Receiver {
 public:
  DpdkReceiver(const std::string& interface, int core)
      : log_(fmt::format("/tmp/bench-xdp-{}-{}.log", ::getpid(), interface)),
        child_(Child::run([this, interface, core] {
          return become_testpmd(interface, core, {"--forward-mode=rxonly"}, log_);
        })) {}
  ~DpdkReceiver() override { ::unlink(log_.c_str()); }

  void wait_until_ready() override {
    const auto give_up = monotonic_now() + kPatience;
    while (text().find("start packet forwarding") == std::string::npos) {
      CHECK(monotonic_now() < give_up && !child_.poll(), "dpdk-testpmd did not start: {}", text());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  // testpmd tells the rate of each second; the one under way is not whole.
  double rate() override {
    const std::size_t before = rates().size();
    const auto wanted = before + 1 + static_cast<std::size_t>(kCounted);
    const auto give_up = monotonic_now() + kPatience;
    while (rates().size() < wanted) {
      CHECK(monotonic_now() < give_up && !child_.poll(), "dpdk-testpmd stopped counting");
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    const std::vector<double> all = rates();
    double sum = 0;
    for (std::size_t i = before + 1; i < wanted; ++i) sum += all[i];
    return sum / static_cast<double>(wanted - before - 1);
  }

 private:
  std::string text() const {
    std::ifstream file(log_);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::vector<double> rates() const {
    constexpr std::string_view kKey = "Rx-pps:";
    std::vector<double> rates;
    const std::string log = text();
    for (std::size_t at = log.find(kKey); at != std::string::npos; at = log.find(kKey, at)) {
      at += kKey.size();
      if (log.find('\n', at) != std::string::npos) rates.push_back(std::atof(log.c_str() + at));
    }
    return rates;
  }

  std::string log_;
  Child child_;
};

}  // namespace

bool has_dpdk() { return ::access(kTestpmd, X_OK) == 0; }

Child send_on(Kind kind, const std::string& interface, int core) {
  return Child::run([=] {
    if (kind == Kind::kTideline) return blast(interface, core);
    return become_testpmd(interface, core,
                          {"--forward-mode=txonly", fmt::format("--txpkts={}", kFrame)},
                          "/dev/null");
  });
}

std::unique_ptr<Receiver> receive_on(Kind kind, const std::string& interface, int core) {
  if (kind == Kind::kTideline) return std::make_unique<TidelineReceiver>(interface, core);
  return std::make_unique<DpdkReceiver>(interface, core);
}

}  // namespace bench::xdp
