// SPDX-License-Identifier: Apache-2.0
#include "port/memory.h"

#include <algorithm>
#include <array>

#include "base/bits.h"

namespace tideline::port {

using FrameRing = ring::SpscRing<Packet*>;

// One queue, one direction.
struct MemoryPort::Lane {
  Lane(std::size_t capacity, ring::EventBell receiver_bell)
      : memory(FrameRing::bytes(capacity) / sizeof(Line)),
        frames(FrameRing::create(reinterpret_cast<std::byte*>(memory.data()), capacity)),
        bell(std::move(receiver_bell)) {}

  // Frames that nobody received go home.
  ~Lane() {
    ring::SpscConsumer<Packet*> rest(frames);
    for (Packet* frame = nullptr; rest.pop(frame);) Pool::put(frame);
  }

  struct alignas(kCacheLine) Line {
    std::array<std::byte, kCacheLine> bytes;
  };
  std::vector<Line> memory;
  FrameRing frames;
  ring::WakeFlag flag;  // of the receiver
  ring::EventBell bell;
};

struct MemoryPort::Wire {
  std::array<Lanes, 2> directions;
};

MemoryPort::Queue::Queue(Lane& rx_lane, Lane& tx_lane)
    : in(&rx_lane), out(&tx_lane), rx(rx_lane.frames), tx(tx_lane.frames), notifier(tx_lane.flag) {}

Result<MemoryPort::Pair> MemoryPort::create_pair(const MemoryPortOptions& options) {
  if (Status valid = validate(options.capabilities); !valid) return fail(std::move(valid.error()));
  auto wire = std::make_shared<Wire>();
  for (Lanes& lanes : wire->directions) {
    for (unsigned queue = 0; queue < options.queues; ++queue) {
      auto bell = ring::EventBell::create();
      if (!bell) return fail(std::move(bell.error()));
      lanes.push_back(std::make_unique<Lane>(options.capacity, std::move(*bell)));
    }
  }
  const auto info = [&options](std::uint8_t end) {
    Capabilities capabilities = options.capabilities;
    capabilities.max_frame = options.mtu + kEthernetHeader + 4;
    return PortInfo{.name = "memory",
                    .mac = wire::MacAddress({0x02, 0, 0, 0, 0, end}),
                    .mtu = options.mtu,
                    .queues = options.queues,
                    .capabilities = capabilities};
  };
  auto& [there, back] = wire->directions;
  return Pair{.left = std::unique_ptr<MemoryPort>(new MemoryPort(info(1), wire, back, there)),
              .right = std::unique_ptr<MemoryPort>(new MemoryPort(info(2), wire, there, back))};
}

MemoryPort::MemoryPort(PortInfo info, std::shared_ptr<Wire> wire, Lanes& rx_lanes, Lanes& tx_lanes)
    : Port(std::move(info)), wire_(std::move(wire)) {
  for (std::size_t i = 0; i < rx_lanes.size(); ++i)
    queues_.emplace_back(*rx_lanes[i], *tx_lanes[i]);
}

std::size_t MemoryPort::rx_burst(unsigned queue, Burst& burst, Instant now) {
  std::array<Packet*, Burst::kCapacity> frames{};
  const std::size_t count = queues_[queue].rx.pop_burst({frames.data(), burst.room()});
  QueueStats& stats = counters(queue);
  for (std::size_t i = 0; i < count; ++i) {
    frames[i]->meta().timestamp = now;
    frames[i]->meta().queue = static_cast<std::uint16_t>(queue);
    stats.received(frames[i]->size());
    burst.push(PacketPtr(frames[i]));
  }
  return count;
}

std::size_t MemoryPort::tx_burst(unsigned queue, Burst& burst, Instant /*now*/) {
  Queue& q = queues_[queue];
  QueueStats& stats = counters(queue);
  std::array<Packet*, Burst::kCapacity> frames{};
  std::array<std::size_t, Burst::kCapacity> sizes{};  // a frame that was pushed may be gone already
  std::size_t count = 0;
  for (PacketPtr& frame : burst) {
    if (frame == nullptr || !admit(queue, *frame)) continue;
    sizes[count] = frame->size();
    frames[count++] = frame.release();
  }
  burst.clear();
  const std::size_t pushed = q.tx.push_burst({frames.data(), count});
  for (std::size_t i = 0; i < pushed; ++i) stats.sent(sizes[i]);
  for (std::size_t i = pushed; i < count; ++i) Pool::put(frames[i]);
  stats.drop(Drop::kTxFull, count - pushed);
  if (pushed > 0 && q.notifier.should_ring()) q.out->bell.ring();
  return pushed;
}

std::size_t MemoryPort::tx_room(unsigned queue) {
  const FrameRing& frames = queues_[queue].out->frames;
  const std::uint64_t used = frames.indices->tail.load(std::memory_order_relaxed) -
                             frames.indices->head.load(std::memory_order_acquire);
  return std::min<std::size_t>(frames.capacity - used, Burst::kCapacity);
}

int MemoryPort::fd(unsigned queue) const { return queues_[queue].in->bell.fd(); }

void MemoryPort::arm(unsigned queue) { queues_[queue].in->flag.arm(); }

void MemoryPort::disarm(unsigned queue) {
  queues_[queue].in->flag.disarm();
  queues_[queue].in->bell.silence();
}

}  // namespace tideline::port
