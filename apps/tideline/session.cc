// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <random>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "nic/segmenter.h"
#include "port/af_xdp.h"
#include "port/capture.h"
#include "port/dgram.h"
#include "port/impairment.h"
#include "port/packet.h"
#include "port/tap.h"
#include "shm_wire.h"

namespace tideline::app {
namespace {

constexpr std::size_t kDefaultMtu = 1500;

std::atomic<engine::Worker*> stop_on_signal{nullptr};

extern "C" void stop_worker(int /*signal*/) {
  const int saved = errno;
  if (engine::Worker* worker = stop_on_signal.load(); worker != nullptr) worker->stop();
  errno = saved;
}

std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

std::unique_ptr<port::Port> open_dgram(std::string_view paths, std::size_t mtu,
                                       packet::Pool& pool) {
  const std::size_t comma = paths.find(',');
  if (comma == std::string_view::npos) {
    throw Failure({.kind = ErrorKind::kUsage,
                   .what = fmt::format("'dgram:{}' names one path", paths),
                   .remedy = "write it like dgram:/tmp/mine,/tmp/theirs"});
  }
  // Two programs on one machine: each its own address.
  const std::uint64_t random = random_seed();
  const auto byte = [&](int index) { return static_cast<std::uint8_t>(random >> (8 * index)); };
  const wire::MacAddress mac({0x02, byte(0), byte(1), byte(2), byte(3), byte(4)});
  return value_or_throw(port::DgramPort::open(std::string(paths.substr(0, comma)),
                                              std::string(paths.substr(comma + 1)), &pool,
                                              {.mtu = mtu, .mac = mac}));
}

// A wire may add addresses to the options.
std::unique_ptr<port::Port> open_wire(WireOptions& options, packet::Pool& pool) {
  const std::string_view wire = options.wire;
  const std::size_t own_mtu = options.mtu == 0 ? kDefaultMtu : options.mtu;  // 0 is the wire's own
  if (wire.starts_with("shm:")) return open_shm(wire.substr(4), own_mtu, pool, options);
  if (wire.starts_with("tap:")) {
    auto spec = value_or_throw(port::TapSpec::parse(wire.substr(4)));
    spec.mtu = own_mtu;
    return value_or_throw(port::TapPort::open(spec, {&pool}));
  }
  if (wire.starts_with("packet:")) {
    return value_or_throw(port::PacketPort::open(std::string(wire.substr(7)), {&pool}));
  }
  if (wire.starts_with("xdp:")) {
    const auto spec = value_or_throw(port::XdpSpec::parse(wire.substr(4)));
    return value_or_throw(port::XdpPort::open(spec, {&pool}));
  }
  if (wire.starts_with("dgram:")) return open_dgram(wire.substr(6), own_mtu, pool);
  throw Failure({.kind = ErrorKind::kUsage,
                 .what = fmt::format("there is no wire like '{}'", wire),
                 .remedy = "see `tideline ports` for the kinds of wires"});
}

template <typename Address>
std::vector<wire::Prefix<Address>> parse_prefixes(const std::vector<std::string>& texts) {
  std::vector<wire::Prefix<Address>> prefixes;
  for (const std::string& text : texts) {
    prefixes.push_back(value_or_throw(wire::Prefix<Address>::from_text(text)));
  }
  return prefixes;
}

// Ends with its worker; stops it when the time has come.
class Limited final : public engine::Task {
 public:
  Limited(engine::Task& inner, Instant end) : inner_(inner), end_(end) {}

  Instant next_deadline() const override { return std::min(inner_.next_deadline(), end_); }
  void run_timers(Instant now) override {
    over_ = now >= end_;
    if (inner_.next_deadline() <= now) inner_.run_timers(now);
  }
  bool is_done() const override { return over_ || inner_.is_done(); }

 private:
  engine::Task& inner_;
  Instant end_;
  bool over_ = false;
};

}  // namespace

wire::Ipv6Address parse_host(const std::string& text) {
  using wire::Ipv6Address;
  if (text.find(':') != std::string::npos) return value_or_throw(Ipv6Address::from_text(text));
  return Ipv6Address::mapped(value_or_throw(wire::Ipv4Address::from_text(text)));
}

Session::Session(const WireOptions& options)
    : options_(options), seed_(options.seed ? *options.seed : random_seed()) {
  auto pool = value_or_throw(packet::Pool::create({.segments = 8192, .loans = 2048}));
  auto port = open_wire(options_, *pool);
  const std::size_t wire_mtu = port->info().mtu;
  if (options.mtu > wire_mtu) {
    throw Failure({.kind = ErrorKind::kUsage,
                   .what = fmt::format("{} carries packets of {} bytes, not {}", options.wire,
                                       wire_mtu, options.mtu),
                   .remedy = "raise the interface's MTU (ip link set IF mtu N)"});
  }
  mtu_ = options.mtu == 0 ? wire_mtu : options.mtu;
  if (!options.impair.empty()) {
    const auto spec = value_or_throw(port::ImpairmentSpec::parse(options.impair));
    port = std::make_unique<port::ImpairedPort>(std::move(port), spec, seed_,
                                                port::QueuePools{pool.get()});
  }
  if (!options.capture.empty()) {
    const auto wall = std::chrono::system_clock::now().time_since_epoch();
    capture_ = value_or_throw(
        port::PcapWriter::create(options.capture, wall - monotonic_now().time_since_epoch()));
    port = std::make_unique<port::CapturePort>(std::move(port), capture_, nic::write_segments);
  }
  worker_ = value_or_throw(engine::Worker::create(std::move(pool), std::move(port), random_seed()));
  stop_on_signal = worker_.get();
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, stop_worker);
}

Session::~Session() {
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, SIG_DFL);
  stop_on_signal = nullptr;
}

void Session::add_host() {
  if (!options_.leased.empty() && !options_.json) {
    fmt::print("{} leased on {}\n", options_.leased, options_.wire);
  }
  if (options_.ip4.empty() && options_.ip6.empty()) {
    throw Failure({.kind = ErrorKind::kUsage,
                   .what = "this host has no address",
                   .remedy = "give it one: --ip 192.0.2.2/24 or --ip6 2001:db8::2/64"});
  }
  engine::HostOptions host{.mtu = static_cast<std::uint16_t>(std::min<std::size_t>(mtu_, 65535)),
                           .ipv4 = parse_prefixes<wire::Ipv4Address>(options_.ip4),
                           .ipv6 = parse_prefixes<wire::Ipv6Address>(options_.ip6),
                           .leased_addresses = !options_.leased.empty()};
  for (const std::string& gateway : options_.gateways) {
    if (gateway.find(':') == std::string::npos) {
      host.gateway4 = value_or_throw(wire::Ipv4Address::from_text(gateway));
    } else {
      host.gateway6 = value_or_throw(wire::Ipv6Address::from_text(gateway));
    }
  }
  value_or_throw(worker_->add_host(host));
}

void Session::run(engine::Task& task) {
  Instant end = kNever;
  if (options_.duration > 0) {
    end = monotonic_now() +
          std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options_.duration));
  }
  Limited limited(task, end);
  worker_->run(limited);
  if (capture_ != nullptr) value_or_throw(capture_->flush());
  engine::Host* host = worker_->host();
  if (host != nullptr && host->conflict()) throw Failure(*host->conflict());
}

}  // namespace tideline::app
