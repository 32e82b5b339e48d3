// SPDX-License-Identifier: Apache-2.0
#include "udp_blast/engine_side.h"

#include <fmt/core.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <utility>

#include "packet/copy.h"
#include "udp_blast/chain.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/udp.h"

namespace tideline::app::blast {
namespace {

using packet::PacketPtr;

// In one turn of the worker, so that replies are heard and memory stays warm.
constexpr std::size_t kPacketsAtOnce = 4;
constexpr std::size_t kFramesAtOnce = packet::Burst::kCapacity;
// As many as every Linux that knows segmentation takes apart (UDP_MAX_SEGMENTS).
constexpr std::size_t kMostPerPayload = 64;
constexpr Duration kReadyPoll = std::chrono::milliseconds(5);

// What the program sends: its own buffer, which is copied into each datagram.
constexpr auto kFiller = [] {
  std::array<std::byte, 4096> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 256);
  return bytes;
}();

Effort effort_of(engine::Worker& worker, const packet::PassCounter& own) {
  const port::QueueStats port = worker.port().stats(0);
  packet::PassCounter passes = own;
  passes.add(port.passes);
  passes.add(worker.function().stats().passes);
  passes.add(worker.host()->stack().passes());
  return {.cpu_ns = process_cpu_ns(),
          .passed = passes.total(),
          .copied = passes.bytes(packet::Pass::kKernelCopy),
          .dropped = port.dropped()};
}

}  // namespace

EngineSource::EngineSource(engine::Worker& worker, std::size_t mtu, const wire::Ipv6Address& sink,
                           const Plan& plan, bool offload, Progress& progress)
    : worker_(worker),
      stack_(worker.host()->stack()),
      plan_(plan),
      progress_(progress),
      path_{.source = {.port = static_cast<std::uint16_t>(0xc000 | (plan.run & 0x3fff))},
            .destination = {.address = sink, .port = kPort}},
      source_(plan, *this) {
  const std::size_t ip_header =
      sink.is_mapped() ? sizeof(wire::Ipv4Header) : sizeof(wire::Ipv6Header);
  const std::size_t datagram = sizeof(wire::UdpHeader) + plan.size;
  if (ip_header + datagram > mtu) {
    const std::size_t piece = (mtu - ip_header) / 8 * 8;
    frames_per_packet_ = (datagram + piece - 1) / piece;
  } else if (offload && worker.function().capabilities().uso) {
    per_packet_ = std::min(kMostPerPayload, kMaxSize / plan.size);
    if (!worker.port().capabilities().uso) {
      per_packet_ = std::min(per_packet_, kFramesAtOnce);
      frames_per_packet_ = per_packet_;
    }
  }
}

EngineSource::~EngineSource() {
  if (ready_at_ == kNever) stack_.udp().unbind(path_.source);
}

Instant EngineSource::next_deadline() const {
  if (ready_at_ != kNever) return ready_at_;
  return std::min(source_.next_deadline(), progress_.due());
}

void EngineSource::run_timers(Instant now) {
  if (!is_ready(now)) return;
  source_.run(now);
  progress_.show(source_.sent(), source_.sent() * plan_.size, now);
}

// An IPv6 address is tested for duplicates first.
bool EngineSource::is_ready(Instant now) {
  if (ready_at_ == kNever) return true;
  if (now < ready_at_) return false;
  ready_at_ = now + kReadyPoll;
  conflict_ = worker_.host()->conflict().has_value();
  if (!worker_.host()->is_ready()) return false;
  const auto address = stack_.source_for(path_.destination.address);
  if (!address) {
    error_ = ip::Discard::kNoSource;
    return false;
  }
  path_.source.address = *address;
  if (!stack_.udp().bind(path_.source, *this)) return false;
  ready_at_ = kNever;
  return true;
}

void EngineSource::receive(PacketPtr payload, const ip::UdpPath& path, Instant now) {
  if (path.source != path_.destination) return;
  std::array<std::byte, kReportSize> message{};
  const std::size_t size = std::min(payload->size(), message.size());
  packet::copy_out(*payload, 0, std::span(message).first(size), passes_);
  source_.receive(std::span(message).first(size), now);
}

void EngineSource::failed(const ip::PathError& error, Instant /*now*/) {
  if (error.kind != ip::PathErrorKind::kPacketTooBig) source_.refused();
}

std::size_t EngineSource::room() {
  const std::size_t frames = worker_.function().tx_room();
  // More frames than a port can tell of: it is all or nothing.
  if (frames_per_packet_ > kFramesAtOnce) return frames == kFramesAtOnce ? 1 : 0;
  return std::min(frames / frames_per_packet_, per_packet_ == 1 ? kFramesAtOnce : kPacketsAtOnce) *
         per_packet_;
}

std::size_t EngineSource::send_data(std::uint64_t first, std::size_t count, Instant now) {
  std::size_t sent = 0;
  while (sent < count) {
    const std::size_t part = std::min(count - sent, per_packet_);
    PacketPtr data = make_data(first + sent, part, now);
    if (data == nullptr || !hand_over(std::move(data), now)) break;
    sent += part;
  }
  return sent;
}

PacketPtr EngineSource::make_data(std::uint64_t first, std::size_t count, Instant now) {
  PacketPtr data = worker_.pool().get_chain(plan_.size * count);
  if (data == nullptr) return nullptr;
  ChainWalk<packet::Segment> walk(data->first());
  const bool numbered = plan_.size >= sizeof(Header);
  for (std::uint64_t i = first; i < first + count; ++i) {
    std::size_t left = plan_.size;
    if (numbered) {
      const Header header = make_header(Kind::kData, plan_.run, i, now.time_since_epoch().count());
      walk.write(std::as_bytes(std::span(&header, 1)));
      left -= sizeof(header);
    }
    for (; left > 0; left -= std::min(left, kFiller.size())) {
      walk.write(std::span(kFiller).first(std::min(left, kFiller.size())));
    }
  }
  passes_.add(packet::Pass::kCopy, plan_.size * count);
  if (count > 1) {
    data->meta().offload = {.gso = packet::Gso::kUdp,
                            .gso_size = static_cast<std::uint16_t>(plan_.size)};
  }
  return data;
}

bool EngineSource::hand_over(PacketPtr payload, Instant now) {
  const ip::Sent sent = stack_.udp().send(std::move(payload), path_, now);
  if (sent) return true;
  if (sent.error() == ip::Discard::kTooBig && per_packet_ > 1) {
    per_packet_ = 1;  // the path is narrower than the link: from now on in fragments
  } else if (sent.error() != ip::Discard::kPoolExhausted) {
    error_ = sent.error();
  }
  return false;
}

void EngineSource::send_message(wire::Bytes message, Instant now) {
  PacketPtr packet = packet::copy_of(message, worker_.pool(), passes_);
  if (packet != nullptr) hand_over(std::move(packet), now);
}

Effort EngineSource::effort() { return effort_of(worker_, passes_); }

EngineSink::EngineSink(engine::Worker& worker, std::uint64_t count, Progress& progress,
                       std::string ready)
    : worker_(worker),
      stack_(worker.host()->stack()),
      progress_(progress),
      ready_(std::move(ready)),
      sink_(*this, count) {
  // The only one on this host.
  const Status bound = stack_.udp().bind({.port = kPort}, *this);
  CHECK(bound.has_value());
}

EngineSink::~EngineSink() { stack_.udp().unbind({.port = kPort}); }

void EngineSink::run_timers(Instant now) {
  done_ = worker_.host()->conflict() || sink_.is_done(now);
  if (!worker_.host()->is_ready()) {
    due_ = now + kReadyPoll;
    return;
  }
  if (!ready_.empty()) {
    fmt::print("{}", std::exchange(ready_, {}));
    std::fflush(stdout);
  }
  progress_.show(sink_.datagrams(), sink_.bytes(), now);
  due_ = progress_.due();
}

void EngineSink::receive(PacketPtr payload, const ip::UdpPath& path, Instant now) {
  const packet::Offload& offload = payload->meta().offload;
  const packet::Packet& packet = *payload;
  ChainWalk<const packet::Segment> walk(packet.first());
  std::size_t left = packet.size();
  const std::size_t each = offload.gso == packet::Gso::kUdp ? offload.gso_size : left;
  while (left > 0) {
    const std::size_t size = std::min(each, left);
    const std::size_t front = std::min(size, sizeof(Header));
    std::array<std::byte, sizeof(Header)> scratch;
    sink_.receive(path.source, walk.read(front, scratch.data()), size, now);
    walk.skip(size - front);
    left -= size;
  }
}

void EngineSink::answer(const ip::UdpEndpoint& to, wire::Bytes message, Instant now) {
  const auto source = stack_.source_for(to.address);
  packet::PassCounter passes;
  PacketPtr packet = packet::copy_of(message, worker_.pool(), passes);
  if (!source || packet == nullptr) return;
  const ip::UdpPath back{.source = {.address = *source, .port = kPort}, .destination = to};
  // If it does not leave, the sender asks again.
  (void)stack_.udp().send(std::move(packet), back, now);
}

Effort EngineSink::effort() { return effort_of(worker_, {}); }

}  // namespace tideline::app::blast
