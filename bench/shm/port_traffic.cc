// SPDX-License-Identifier: Apache-2.0
#include "shm/port_traffic.h"

#include <atomic>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "base/bits.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mapping.h"
#include "common/process.h"
#include "common/test_directory.h"
#include "packet/copy.h"
#include "port/shm/port.h"

namespace bench::shm {
namespace {

using tideline::Duration;
using tideline::monotonic_now;
using tideline::packet::Burst;
using tideline::packet::PacketPtr;
using tideline::packet::Pool;
using tideline::port::ShmPort;

constexpr unsigned kClockEvery = 16;  // bursts between two looks at the clock
constexpr std::size_t kHeader = 54;   // Ethernet, IPv4, TCP

// The receiver's figures, and the sign to stop.
struct Shared {
  std::atomic<bool> stop;
  std::atomic<std::uint64_t> sender_passes;
  std::atomic<std::uint64_t> sent_bytes;
};

// A station: port, pool, and a clock that is read now and then.
class Station {
 public:
  Station(const std::string& directory, std::size_t loans)
      : pool_(std::move(*Pool::create({.segments = 8192, .loans = loans}))), now_(monotonic_now()) {
    auto port = ShmPort::open("bench", pool_.get(), {.directory = directory}, now_);
    CHECK(port.has_value(), "{}", port.error().message());
    port_ = std::move(*port);
  }

  ShmPort& port() { return *port_; }
  Pool& pool() { return *pool_; }
  tideline::Instant now() {
    if (++calls_ % kClockEvery == 0) now_ = monotonic_now();
    return now_;
  }

 private:
  std::unique_ptr<Pool> pool_;
  std::unique_ptr<ShmPort> port_;
  tideline::Instant now_;
  unsigned calls_ = 0;
};

void keep_nothing(void* /*context*/, std::span<const std::byte> /*memory*/) {}

// A frame to `slot` of the segment.
PacketPtr make_frame(Pool& pool, unsigned slot, std::span<const std::byte> payload,
                     std::size_t length) {
  static const tideline::port::shm::MacPlan macs("bench");
  const std::size_t header = payload.empty() ? length : kHeader;
  PacketPtr frame = pool.get();
  if (frame == nullptr) return frame;
  std::byte* data = frame->append(header);
  const tideline::wire::MacAddress to = macs.of_slot(slot);
  std::memcpy(data, &to, sizeof(to));
  std::memset(data + sizeof(to), 1, header - sizeof(to));
  if (payload.empty()) return frame;
  PacketPtr rest = pool.lend({.memory = payload, .release = keep_nothing});
  if (rest == nullptr) return nullptr;
  frame->append(std::move(rest));
  frame->meta().offload = {.checksum = tideline::packet::Checksum::kNeeded,
                           .gso = tideline::packet::Gso::kTcpV4,
                           .checksum_start = 34,
                           .checksum_offset = 16,
                           .gso_size = 1448,
                           .header_length = kHeader};
  data[46] = std::byte{0x50};  // the length of the TCP header
  return frame;
}

int run_sender(const std::string& directory, std::size_t length, Shared& shared) {
  pin_to_core(0);
  Station station(directory, 512);
  const std::vector<std::byte> buffer(length <= kHeader + 64 ? 0 : length - kHeader, std::byte{1});
  Burst burst;
  while (!shared.stop.load(std::memory_order_relaxed)) {
    const std::size_t frames = length > 4096 ? 4 : Burst::kCapacity;
    while (burst.size() < frames) burst.push(make_frame(station.pool(), 0, buffer, length));
    const std::size_t taken = station.port().tx_burst(0, burst, station.now());
    if (taken < frames) tideline::cpu_relax();
  }
  const auto stats = station.port().stats(0);
  shared.sender_passes = stats.passes.total();
  shared.sent_bytes = stats.tx_bytes;
  return 0;
}

class Receiver {
 public:
  Receiver(const std::string& directory, Receive how)
      : station_(directory, how == Receive::kBorrowedCopied ? 512 : 0),
        how_(how),
        target_(tideline::port::shm::kMaxFrame) {}

  std::uint64_t run_until(std::uint64_t deadline) {
    std::uint64_t frames = 0;
    Burst burst;
    while (tideline::tsc_now() < deadline) {
      for (unsigned i = 0; i < kClockEvery; ++i) {
        frames += station_.port().rx_burst(0, burst, station_.now());
        if (how_ != Receive::kDropped) {
          for (const PacketPtr& frame : burst) {
            tideline::packet::copy_out(*frame, 0, std::span(target_).first(frame->size()), passes_);
          }
        }
        burst.clear();
      }
    }
    return frames;
  }

  double passes_per_byte() {
    const auto stats = station_.port().stats(0);
    return static_cast<double>(stats.passes.total() + passes_.total()) /
           static_cast<double>(stats.rx_bytes);
  }

 private:
  Station station_;
  Receive how_;
  std::vector<std::byte> target_;
  tideline::packet::PassCounter passes_;
};

}  // namespace

PortRate port_stream(std::size_t length, Receive receive, Duration duration) {
  const TestDirectory directory;
  const auto memory = tideline::Mapping::anonymous_shared(tideline::kPageSize);
  CHECK(memory.has_value());
  Shared& shared = *new (memory->data()) Shared{};
  Receiver receiver(directory.path(), receive);  // the first to join: slot 0
  Child sender = Child::run([&] { return run_sender(directory.path(), length, shared); });
  pin_to_core(1);
  while (receiver.run_until(tideline::tsc_now() +
                            tideline::tsc_ticks(std::chrono::milliseconds(1))) == 0) {
  }
  const std::uint64_t ticks = tideline::tsc_ticks(duration);
  receiver.run_until(tideline::tsc_now() + ticks / 4);
  const std::uint64_t start = tideline::tsc_now();
  const std::uint64_t frames = receiver.run_until(start + ticks);
  const double seconds = static_cast<double>(tideline::tsc_now() - start) / tideline::tsc_hz();
  shared.stop = true;
  unpin();
  CHECK(sender.succeeded());
  const double rate = static_cast<double>(frames) / seconds;
  const double sent =
      static_cast<double>(shared.sender_passes) / static_cast<double>(shared.sent_bytes);
  return {.frames_per_second = rate,
          .gigabits_per_second = rate * static_cast<double>(length) * 8 / 1e9,
          .passes_per_byte = sent + receiver.passes_per_byte()};
}

LatencySamples port_round_trips(std::size_t length, std::uint64_t count, Duration at_most) {
  const TestDirectory directory;
  const auto memory = tideline::Mapping::anonymous_shared(tideline::kPageSize);
  CHECK(memory.has_value());
  Shared& shared = *new (memory->data()) Shared{};
  pin_to_core(0);
  Station station(directory.path(), 0);  // slot 0
  Child echo = Child::run([&] {
    pin_to_core(1);
    Station own(directory.path(), 0);
    Burst burst;
    while (!shared.stop.load(std::memory_order_relaxed)) {
      const std::size_t frames = own.port().rx_burst(0, burst, own.now());
      burst.clear();
      for (std::size_t i = 0; i < frames; ++i) {
        burst.push(make_frame(own.pool(), 0, {}, length));
      }
      if (frames > 0) own.port().tx_burst(0, burst, own.now());
    }
    return 0;
  });
  Burst burst;
  const std::uint64_t warm_up = count / 10 + 1;
  const std::uint64_t deadline = tideline::tsc_now() + tideline::tsc_ticks(at_most);
  LatencySamples samples(count);
  for (std::uint64_t i = 0; i < count + warm_up; ++i) {
    const std::uint64_t start = tideline::tsc_now();
    if (start > deadline) break;
    do {  // the echo may not have joined yet
      burst.clear();
      burst.push(make_frame(station.pool(), 1, {}, length));
    } while (station.port().tx_burst(0, burst, station.now()) == 0);
    while (station.port().rx_burst(0, burst, station.now()) == 0) {
    }
    burst.clear();
    if (i >= warm_up) samples.add_ticks(tideline::tsc_now() - start);
  }
  shared.stop = true;
  unpin();
  CHECK(echo.succeeded());
  return samples;
}

}  // namespace bench::shm
