// SPDX-License-Identifier: Apache-2.0
// What every kind of port must do, whatever is behind it. A frame that is not received within
// seconds is lost; nothing here waits a fixed time.
#include <gtest/gtest.h>
#include <poll.h>

#include <cstring>
#include <set>

#include "port/conformance_links.h"
#include "port/port_test_util.h"
#include "wire/checksum.h"

namespace tideline::port::testing {
namespace {

using packet::Checksum;
using packet::Gso;

class PortConformance : public ::testing::TestWithParam<ConformanceKind> {
 protected:
  void SetUp() override {
    auto opened = GetParam().open();
    if (!opened && opened.error().kind == ErrorKind::kEnvironment) {
      GTEST_SKIP() << opened.error().message();
    }
    ASSERT_TRUE(opened.has_value()) << opened.error().message();
    link_ = std::move(*opened);
  }

  Port& near() { return *link_.near; }
  Port& far() { return *link_.far; }
  Pool& pool() { return *link_.near_pool; }

  // Sends one frame; true if the port took it.
  bool send(PacketPtr frame) {
    EXPECT_NE(frame, nullptr);
    Burst burst;
    burst.push(std::move(frame));
    const std::size_t taken = near().tx_burst(0, burst, monotonic_now());
    EXPECT_TRUE(burst.empty());
    near_flush();
    return taken == 1;
  }

  // Lets a port that delays frames send them.
  void near_flush() {
    Burst none;
    while (near().next_deadline(0) != kNever) {
      near().rx_burst(0, none, monotonic_now());
      none.clear();
    }
  }

  void expect_drop(PacketPtr frame, Drop reason) {
    const std::uint64_t before = near().stats(0).dropped(reason);
    EXPECT_FALSE(send(std::move(frame)));
    EXPECT_EQ(near().stats(0).dropped(reason), before + 1) << name_of(reason);
  }

  ConformanceLink link_;
};

TEST_P(PortConformance, StatesValidCapabilitiesAndAnAddress) {
  for (Port* port : {&near(), &far()}) {
    EXPECT_TRUE(validate(port->capabilities()).has_value());
    EXPECT_GE(port->capabilities().max_frame, port->info().mtu + kEthernetHeader);
    EXPECT_GE(port->info().queues, 1U);
    EXPECT_TRUE(port->info().mac.is_unicast()) << port->info().mac.to_text();
    EXPECT_FALSE(port->info().name.empty());
  }
  EXPECT_NE(near().info().mac, far().info().mac);
}

TEST_P(PortConformance, BurstsArriveInOrderBothWays) {
  for (Port* sender : {&near(), &far()}) {
    Port& receiver = sender == &near() ? far() : near();
    Pool& frames = sender == &near() ? *link_.near_pool : *link_.far_pool;
    std::uint32_t sequence = 0;
    for (const std::size_t count : {1UL, 7UL, Burst::kCapacity}) {
      const std::uint32_t first = sequence;
      Burst burst;
      while (burst.size() < count) burst.push(make_frame(frames, 200, sequence++));
      while (sender->tx_room(0) < count) {
      }
      ASSERT_EQ(sender->tx_burst(0, burst, monotonic_now()), count);
      EXPECT_TRUE(burst.empty());
      near_flush();
      const auto received = receive_frames(receiver, count);
      ASSERT_EQ(received.size(), count);
      for (std::uint32_t i = 0; i < count; ++i) {
        EXPECT_EQ(received[i], frame_bytes(200, first + i));
      }
    }
    EXPECT_EQ(sender->stats(0).tx_frames, sequence);
    EXPECT_EQ(sender->stats(0).tx_bytes, std::uint64_t{200} * sequence);
    EXPECT_GE(receiver.stats(0).rx_frames, sequence);
    EXPECT_GE(receiver.stats(0).rx_bytes, std::uint64_t{200} * sequence);
  }
}

TEST_P(PortConformance, FramesOfEverySizeArriveIntact) {
  // The four bytes beyond the MTU are for a VLAN tag, which a test frame does not have.
  const std::size_t longest = near().info().mtu + kEthernetHeader;
  const std::size_t single = packet::kSegmentSize - packet::kHeadroom;
  const bool chains = near().capabilities().scatter_gather;
  for (std::size_t size = 60; size <= longest; size += size < 1400 ? 13 : 1) {
    if (size > 1600 && size + 100 < longest) size = longest - 50;
    if (!chains && size > single) break;
    ASSERT_TRUE(send(make_frame(pool(), size, static_cast<std::uint32_t>(size))));
    const auto received = receive_frames(far(), 1);
    ASSERT_EQ(received.size(), 1U) << size;
    ASSERT_EQ(received[0], frame_bytes(size, static_cast<std::uint32_t>(size))) << size;
  }
}

TEST_P(PortConformance, FramesThatAreTooShortOrTooLongAreDropped) {
  PacketPtr runt = pool().get();
  runt->append(kMinFrame - 1);
  expect_drop(std::move(runt), Drop::kTxShort);
  PacketPtr giant = pool().get_chain(near().capabilities().max_frame + 1);
  expect_drop(std::move(giant), Drop::kTxLong);
}

TEST_P(PortConformance, AFullWireDropsWithACounter) {
  constexpr std::uint32_t kFrames = 40'000;
  std::uint32_t sequence = 0;
  std::uint64_t taken = 0;
  const auto dropped = [&] { return near().stats(0).dropped() + far().stats(0).dropped(); };
  while (sequence < kFrames && dropped() == 0) {
    Burst burst;
    while (!burst.full()) burst.push(make_frame(pool(), 100, sequence++));
    taken += near().tx_burst(0, burst, monotonic_now());
  }
  EXPECT_LE(taken, sequence);
  near_flush();
  std::uint64_t received = 0;
  std::uint32_t last = 0;
  // A kernel that is short of time may rest longer than receive_all() waits.
  const Instant give_up = monotonic_now() + std::chrono::seconds(10);
  do {
    for (const auto& frame : receive_all(far())) {
      const std::uint32_t number = sequence_of(frame);
      EXPECT_TRUE(received == 0 || number > last) << "out of order";
      EXPECT_EQ(frame, frame_bytes(100, number));
      last = number;
      ++received;
    }
  } while (GetParam().accounts_for_all && received + dropped() < sequence &&
           monotonic_now() < give_up);
  EXPECT_GT(received, 0U);
  if (GetParam().accounts_for_all) {
    EXPECT_GT(dropped(), 0U);
    EXPECT_EQ(received + dropped(), sequence);
  } else {
    EXPECT_LT(received, sequence);
  }
}

TEST_P(PortConformance, ChainsWithBorrowedMemoryAreGatheredAndReleasedOnce) {
  const std::size_t size = 1200;
  const std::vector<std::byte> bytes = frame_bytes(size, 77);
  int released = 0;
  PacketPtr frame = pool().get();
  std::memcpy(frame->append(54), bytes.data(), 54);
  const auto lend = [&](std::size_t offset, std::size_t length) {
    return pool().lend(
        {.memory = std::span(bytes).subspan(offset, length),
         .release = [](void* context,
                       std::span<const std::byte>) { ++*static_cast<int*>(context); },
         .context = &released});
  };
  frame->append(lend(54, 401));
  frame->append(lend(455, size - 455));
  if (!near().capabilities().scatter_gather) {
    expect_drop(std::move(frame), Drop::kTxScattered);
    EXPECT_EQ(released, 2);
    return;
  }
  ASSERT_TRUE(send(std::move(frame)));
  const auto received = receive_frames(far(), 1);
  ASSERT_EQ(received.size(), 1U);
  EXPECT_EQ(received[0], bytes);
  link_.near.reset();
  EXPECT_EQ(released, 2);
}

// An IPv4 frame with a UDP or TCP header whose checksum field has the pseudo-header only.
struct IpFrame {
  static constexpr std::size_t kL4 = kEthernetHeader + 20;

  std::vector<std::byte> bytes;
  std::uint16_t checksum_offset;
  std::size_t headers;

  IpFrame(std::uint8_t protocol, std::size_t payload)
      : checksum_offset(protocol == 6 ? 16 : 6), headers(kL4 + (protocol == 6 ? 20 : 8)) {
    bytes = frame_bytes(headers + payload, 5);
    std::memset(bytes.data() + kEthernetHeader, 0, headers - kEthernetHeader);
    put16(12, 0x0800);
    const std::size_t ip = kEthernetHeader;
    put16(ip, 0x4500);
    put16(ip + 2, static_cast<std::uint16_t>(bytes.size() - ip));
    bytes[ip + 8] = std::byte{64};
    bytes[ip + 9] = std::byte{protocol};
    put16(ip + 12, 0xc612);  // 198.18.0.1 and .2
    put16(ip + 14, 1);
    put16(ip + 16, 0xc612);
    put16(ip + 18, 2);
    put16(ip + 10, wire::checksum(std::span(bytes).subspan(ip, 20)));
    put16(kL4, 4000);
    put16(kL4 + 2, 5000);
    const auto length = static_cast<std::uint16_t>(bytes.size() - kL4);
    if (protocol == 6) put16(kL4 + 12, 0x5010);
    if (protocol == 17) put16(kL4 + 4, length);
    put16(kL4 + checksum_offset,
          wire::pseudo_header({198, 18, 0, 1}, {198, 18, 0, 2}, protocol, length).folded());
  }

  void put16(std::size_t offset, std::uint16_t value) {
    bytes[offset] = static_cast<std::byte>(value >> 8);
    bytes[offset + 1] = static_cast<std::byte>(value);
  }

  PacketPtr packet(Pool& pool, Gso gso, std::uint16_t gso_size) const {
    packet::PassCounter passes;
    PacketPtr frame = pool.get();
    if (std::byte* data = frame->append(bytes.size()); data != nullptr) {
      std::memcpy(data, bytes.data(), bytes.size());
    } else {
      frame = packet::copy_of(bytes, pool, passes);
    }
    frame->meta().offload = {.checksum = Checksum::kNeeded,
                             .gso = gso,
                             .checksum_start = kL4,
                             .checksum_offset = checksum_offset,
                             .gso_size = gso_size,
                             .header_length = static_cast<std::uint16_t>(headers)};
    return frame;
  }
};

bool is_ipv4(const std::vector<std::byte>& bytes) {
  return bytes.size() > IpFrame::kL4 && bytes[12] == std::byte{0x08} && bytes[13] == std::byte{0} &&
         bytes[kEthernetHeader + 12] == std::byte{0xc6};
}

TEST_P(PortConformance, AFrameThatNeedsItsChecksumGetsItOrStillSaysSo) {
  const IpFrame udp(17, 500);
  PacketPtr frame = udp.packet(pool(), Gso::kNone, 0);
  if (!near().capabilities().tx_checksum) {
    expect_drop(std::move(frame), Drop::kTxOffload);
    return;
  }
  ASSERT_TRUE(send(std::move(frame)));
  const bool received = receive_until(far(), 0, [&](const Packet& got) {
    const auto bytes = bytes_of(got);
    if (!is_ipv4(bytes)) return false;
    EXPECT_EQ(bytes.size(), udp.bytes.size());
    const auto& offload = got.meta().offload;
    if (offload.checksum == Checksum::kNeeded) {
      EXPECT_EQ(offload.checksum_start, IpFrame::kL4);
      EXPECT_EQ(offload.checksum_offset, udp.checksum_offset);
      EXPECT_EQ(bytes, udp.bytes);
    } else {
      wire::PartialChecksum sum =
          wire::pseudo_header({198, 18, 0, 1}, {198, 18, 0, 2}, 17,
                              static_cast<std::uint32_t>(bytes.size() - IpFrame::kL4));
      sum.add(std::span(bytes).subspan(IpFrame::kL4));
      EXPECT_TRUE(sum.valid());
    }
    return true;
  });
  EXPECT_TRUE(received);
}

TEST_P(PortConformance, LongFramesOfSegmentationOffloadArriveWholeOrSegmented) {
  struct Case {
    std::uint8_t protocol;
    Gso gso;
    bool offered;
  };
  const Capabilities& has = near().capabilities();
  for (const Case& c : {Case{6, Gso::kTcpV4, has.tso4}, Case{17, Gso::kUdp, has.uso}}) {
    constexpr std::size_t kPayload = 30'000;
    const IpFrame whole(c.protocol, kPayload);
    PacketPtr frame = whole.packet(pool(), c.gso, 1000);
    if (!c.offered) {
      const std::uint64_t before = near().stats(0).dropped();
      EXPECT_FALSE(send(std::move(frame)));
      EXPECT_EQ(near().stats(0).dropped(), before + 1);
      continue;
    }
    ASSERT_TRUE(send(std::move(frame)));
    std::vector<std::byte> payload;
    const bool complete = receive_until(far(), 0, [&](const Packet& got) {
      const auto bytes = bytes_of(got);
      if (!is_ipv4(bytes)) return false;
      if (bytes.size() > 1514) {
        EXPECT_EQ(got.meta().offload.gso, c.gso);
        EXPECT_EQ(got.meta().offload.gso_size, 1000);
        EXPECT_EQ(got.meta().offload.checksum, Checksum::kNeeded);
      }
      payload.insert(payload.end(), bytes.begin() + static_cast<std::ptrdiff_t>(whole.headers),
                     bytes.end());
      return payload.size() >= kPayload;
    });
    EXPECT_TRUE(complete) << "protocol " << int{c.protocol};
    EXPECT_TRUE(std::equal(payload.begin(), payload.end(),
                           whole.bytes.begin() + static_cast<std::ptrdiff_t>(whole.headers),
                           whole.bytes.end()));
  }
}

TEST_P(PortConformance, SegmentationThatMakesNoSenseIsRefused) {
  if (!near().capabilities().tso4) GTEST_SKIP() << "no segmentation offload";
  const IpFrame whole(6, 3000);
  PacketPtr without_size = whole.packet(pool(), Gso::kTcpV4, 0);
  expect_drop(std::move(without_size), Drop::kTxOffload);
  PacketPtr without_checksum = whole.packet(pool(), Gso::kTcpV4, 1000);
  without_checksum->meta().offload.checksum = Checksum::kInPacket;
  expect_drop(std::move(without_checksum), Drop::kTxOffload);
  PacketPtr beyond = whole.packet(pool(), Gso::kTcpV4, 1000);
  beyond->meta().offload.checksum_start = 60'000;
  expect_drop(std::move(beyond), Drop::kTxOffload);
}

TEST_P(PortConformance, TheDescriptorWakesASleeper) {
  // Whatever the kernel sends of its own accord is taken first.
  receive_all(far());
  far().arm(0);
  Burst burst;
  EXPECT_EQ(far().rx_burst(0, burst, monotonic_now()), 0U);
  pollfd wait{.fd = far().fd(0), .events = POLLIN};
  EXPECT_EQ(::poll(&wait, 1, 0), 0) << "readable with nothing to receive";
  ASSERT_TRUE(send(make_frame(pool(), 100, 9)));
  EXPECT_EQ(::poll(&wait, 1, 3000), 1);
  far().disarm(0);
  const auto received = receive_frames(far(), 1);
  ASSERT_EQ(received.size(), 1U);
  EXPECT_EQ(received[0], frame_bytes(100, 9));
}

TEST_P(PortConformance, AnEmptyReceivePoolDropsWithACounterAndRecovers) {
  std::vector<PacketPtr> hoard;
  for (PacketPtr packet = link_.far_pool->get(); packet != nullptr;
       packet = link_.far_pool->get()) {
    hoard.push_back(std::move(packet));
  }
  for (std::uint32_t i = 0; i < 100; ++i) ASSERT_TRUE(send(make_frame(pool(), 500, i)));
  const auto starved = receive_all(far());
  EXPECT_EQ(starved.size() + far().stats(0).dropped(Drop::kRxPool), 100U);
  hoard.clear();
  ASSERT_TRUE(send(make_frame(pool(), 500, 999)));
  const auto received = receive_frames(far(), 1);
  ASSERT_EQ(received.size(), 1U);
  EXPECT_EQ(sequence_of(received[0]), 999U);
}

TEST_P(PortConformance, ClosingWithFramesInFlightLeaksNothing) {
  Burst burst;
  for (std::uint32_t i = 0; i < 100; ++i) {
    burst.push(make_frame(pool(), 300, i));
    if (burst.full()) near().tx_burst(0, burst, monotonic_now());
  }
  near().tx_burst(0, burst, monotonic_now());
  far().rx_burst(0, burst, monotonic_now());
  link_.near.reset();
  link_.far.reset();
  burst.clear();
  EXPECT_EQ(link_.near_pool->in_use(), 0U);
  EXPECT_EQ(link_.far_pool->in_use(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Kinds, PortConformance, ::testing::ValuesIn(conformance_kinds()),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace tideline::port::testing
