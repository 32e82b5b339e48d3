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
#include "port/capture.h"
#include "port/dgram.h"
#include "port/impairment.h"
#include "port/packet.h"
#include "port/pcap_port.h"
#include "port/tap.h"

namespace tideline::app {
namespace {

constexpr std::size_t kDefaultMtu = 1500;

std::atomic<void*> stop_object{nullptr};
std::atomic<void (*)(void*)> stop_function{nullptr};

extern "C" void stop_loop(int /*signal*/) {
  const int saved = errno;
  if (void* object = stop_object.load(); object != nullptr) stop_function.load()(object);
  errno = saved;
}

// What to add to an Instant to get the time since 1970.
Duration epoch() {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  return wall - monotonic_now().time_since_epoch();
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

// `mtu` 0 is the wire's own.
std::unique_ptr<port::Port> open_wire(const std::string& text, std::size_t mtu, packet::Pool& pool,
                                      bool all) {
  const std::string_view wire = text;
  const std::size_t own_mtu = mtu == 0 ? kDefaultMtu : mtu;
  if (wire.starts_with("tap:")) {
    auto spec = value_or_throw(port::TapSpec::parse(wire.substr(4)));
    spec.mtu = own_mtu;
    return value_or_throw(port::TapPort::open(spec, {&pool}));
  }
  if (wire.starts_with("packet:")) {
    return value_or_throw(
        port::PacketPort::open(std::string(wire.substr(7)), {&pool}, {.promiscuous = all}));
  }
  if (wire.starts_with("dgram:")) return open_dgram(wire.substr(6), own_mtu, pool);
  if (wire.starts_with("pcap:")) {
    const auto spec = value_or_throw(port::PcapSpec::parse(wire.substr(5)));
    return value_or_throw(port::PcapPort::open(spec, &pool, {.mtu = own_mtu, .epoch = epoch()}));
  }
  throw Failure({.kind = ErrorKind::kUsage,
                 .what = fmt::format("there is no wire like '{}'", text),
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

std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

StopOnSignal::StopOnSignal(void* loop, void (*stop)(void*)) {
  stop_function = stop;
  stop_object = loop;
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, stop_loop);
}

StopOnSignal::~StopOnSignal() {
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, SIG_DFL);
  stop_object = nullptr;
}

std::unique_ptr<port::Port> WireOpener::open(const std::string& wire, packet::Pool& pool,
                                             bool all) {
  auto port = open_wire(wire, options_.mtu, pool, all);
  const std::size_t wire_mtu = port->info().mtu;
  if (options_.mtu > wire_mtu) {
    throw Failure({.kind = ErrorKind::kUsage,
                   .what = fmt::format("{} carries packets of {} bytes, not {}", wire, wire_mtu,
                                       options_.mtu),
                   .remedy = "raise the interface's MTU (ip link set IF mtu N)"});
  }
  if (!options_.impair.empty()) {
    const auto spec = value_or_throw(port::ImpairmentSpec::parse(options_.impair));
    port = std::make_unique<port::ImpairedPort>(std::move(port), spec, seed_ + opened_,
                                                port::QueuePools{&pool});
  }
  if (!options_.capture.empty() && opened_ == 0) {
    capture_ =
        value_or_throw(port::PcapWriter::create(options_.capture, epoch(), options_.capture_limit));
    port = std::make_unique<port::CapturePort>(std::move(port), capture_, nic::write_segments);
  }
  ++opened_;
  return port;
}

void WireOpener::flush() {
  if (capture_ != nullptr) value_or_throw(capture_->flush());
}

Instant end_of(const WireOptions& options) {
  if (options.duration == 0) return kNever;
  return monotonic_now() +
         std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options.duration));
}

Session::Session(const WireOptions& options, bool all) : options_(options), wires_(options) {
  auto pool = value_or_throw(packet::Pool::create({.segments = 8192, .loans = 2048}));
  auto port = wires_.open(options.wire, *pool, all);
  mtu_ = options.mtu == 0 ? port->info().mtu : options.mtu;
  worker_ = value_or_throw(engine::Worker::create(std::move(pool), std::move(port), random_seed()));
  stop_on_signal_.emplace(*worker_);
}

void Session::add_host() {
  if (options_.ip4.empty() && options_.ip6.empty()) {
    throw Failure({.kind = ErrorKind::kUsage,
                   .what = "this host has no address",
                   .remedy = "give it one: --ip 192.0.2.2/24 or --ip6 2001:db8::2/64"});
  }
  engine::HostOptions host{.mtu = static_cast<std::uint16_t>(std::min<std::size_t>(mtu_, 65535)),
                           .ipv4 = parse_prefixes<wire::Ipv4Address>(options_.ip4),
                           .ipv6 = parse_prefixes<wire::Ipv6Address>(options_.ip6)};
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
  Limited limited(task, end_of(options_));
  worker_->run(limited);
  wires_.flush();
  engine::Host* host = worker_->host();
  if (host != nullptr && host->conflict()) throw Failure(*host->conflict());
}

}  // namespace tideline::app
