// SPDX-License-Identifier: Apache-2.0
// The neighbour state machine, state by state and event by event: RFC 4861 §7.2 and §7.3. Runs with
// IPv4 addresses; the code is the same for both.
#include "ip/neighbour.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "packet/pool.h"

namespace tideline::ip {
namespace {

using packet::PacketPtr;
using wire::Ipv4Address;
using wire::MacAddress;
using enum NeighbourState;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Ipv4Address kA(192, 0, 2, 1);
constexpr Ipv4Address kB(192, 0, 2, 2);
constexpr Ipv4Address kC(192, 0, 2, 3);
constexpr MacAddress kMac({2, 0, 0, 0, 0, 1});
constexpr MacAddress kNewMac({2, 0, 0, 0, 0, 9});

class Neighbours : public ::testing::Test, public Solicitor<Ipv4Address>, public Carrier {
 protected:
  struct Solicitation {
    Ipv4Address target;
    std::optional<MacAddress> known;
    Instant when;
  };
  struct Carried {
    std::size_t size;
    MacAddress to;
  };

  void solicit(const Ipv4Address& target, const std::optional<MacAddress>& known,
               const packet::Packet* /*waiting*/, Instant when) override {
    solicitations.push_back({target, known, when});
  }
  void silent(const Ipv4Address& target, Instant /*now*/) override { silences.push_back(target); }
  void carry(PacketPtr packet, const MacAddress& to, Instant /*now*/) override {
    carried.push_back({packet->size(), to});
  }
  void undeliverable(PacketPtr packet, Instant /*now*/) override {
    undelivered.push_back(packet->size());
  }

  // Packets are told apart by their size.
  void send(const Ipv4Address& to, std::size_t size = 1) {
    table.send(pool->get_chain(size), to, now);
  }
  void advance(Duration duration) {
    const Instant end = now + duration;
    for (int runs = 0; table.next_deadline() <= end; ++runs) {
      ASSERT_LT(runs, 1000);
      now = std::max(now, table.next_deadline());
      table.run_timers(now);
    }
    now = end;
  }
  void make(NeighbourState state) {
    switch (state) {
      case kIncomplete:
        send(kA);
        break;
      case kReachable:
        send(kA);
        table.heard_claim(kA, {.mac = kMac, .solicited = true, .override_cache = true}, now);
        break;
      case kStale:
        table.heard_request(kA, kMac, now);
        break;
      case kDelay:
        make(kStale);
        send(kA);
        break;
      case kProbe:
        make(kDelay);
        advance(seconds(5));
        break;
      case kFailed:
        make(kIncomplete);
        advance(milliseconds(3400));
        break;
    }
    ASSERT_EQ(table.state(kA, now), state);
    solicitations.clear();
    carried.clear();
    undelivered.clear();
  }
  ClaimResult claim(const NeighbourClaim& claim) { return table.heard_claim(kA, claim, now); }
  std::optional<NeighbourState> state() const { return table.state(kA, now); }

  std::unique_ptr<packet::Pool> pool =
      std::move(*packet::Pool::create({.segments = 256, .huge_pages = false}));
  DropCounters drops;
  Rng rng{42};
  Instant now{std::chrono::hours(1)};
  NeighbourTable<Ipv4Address> table{
      {.capacity = 3, .waiting_segments = 8}, *this, *this, drops, rng};
  std::vector<Solicitation> solicitations;
  std::vector<Carried> carried;
  std::vector<std::size_t> undelivered;
  std::vector<Ipv4Address> silences;
};

TEST_F(Neighbours, SndPacket_None_AsksAndWaits) {
  send(kA);
  EXPECT_EQ(state(), kIncomplete);
  ASSERT_EQ(solicitations.size(), 1U);
  EXPECT_EQ(solicitations[0].target, kA);
  EXPECT_FALSE(solicitations[0].known);
  EXPECT_TRUE(carried.empty());
  EXPECT_EQ(table.mac(kA), std::nullopt);
}

TEST_F(Neighbours, Resolve_None_AsksOnceBeforeThereIsAPacket) {
  EXPECT_FALSE(table.resolve(kA, now));
  EXPECT_FALSE(table.resolve(kA, now));
  EXPECT_EQ(state(), kIncomplete);
  EXPECT_EQ(solicitations.size(), 1U);
  claim({.mac = kMac, .solicited = true});
  EXPECT_TRUE(table.resolve(kA, now));
  EXPECT_TRUE(carried.empty());
  send(kA);
  EXPECT_EQ(carried.size(), 1U);
}

TEST_F(Neighbours, SndPacket_Incomplete_KeepsTheLatest) {
  constexpr std::size_t kMost = 8;
  for (std::size_t size = 1; size <= kMost + 2; ++size) send(kA, size);
  EXPECT_EQ(solicitations.size(), 1U);
  EXPECT_EQ(drops.of(Discard::kNeighbourQueueFull), 2U);
  claim({.mac = kMac, .solicited = true});
  ASSERT_EQ(carried.size(), kMost);
  for (std::size_t i = 0; i < kMost; ++i) {
    EXPECT_EQ(carried[i].size, i + 3);
    EXPECT_EQ(carried[i].to, kMac);
  }
}

TEST_F(Neighbours, SndPacket_Incomplete_OneNeighbourKeepsSoManyAtMost) {
  constexpr std::size_t kMost = NeighbourTable<Ipv4Address>::kMaxWaiting;
  NeighbourTable<Ipv4Address> roomy{{.waiting_segments = 2 * kMost}, *this, *this, drops, rng};
  for (std::size_t i = 0; i <= kMost; ++i) roomy.send(pool->get_chain(1), kA, now);
  EXPECT_EQ(drops.of(Discard::kNeighbourQueueFull), 1U);
  EXPECT_EQ(pool->in_use(), kMost);
}

TEST_F(Neighbours, SndPacket_Incomplete_MemoryOfAllThatWaitIsBounded) {
  send(kA, std::size_t{7} * 2048);  // 8 segments with the first, which has headroom
  EXPECT_EQ(pool->in_use(), 8U);
  send(kB, 1);
  EXPECT_EQ(drops.of(Discard::kNeighbourQueueFull), 1U);
  EXPECT_EQ(pool->in_use(), 8U);
  send(kA, 2);  // the newest of one neighbour displaces its own
  EXPECT_EQ(drops.of(Discard::kNeighbourQueueFull), 2U);
  EXPECT_EQ(pool->in_use(), 1U);
}

TEST_F(Neighbours, Timer_Incomplete_ThreeProbesThenFailure) {
  send(kA, 11);
  send(kA, 12);
  advance(milliseconds(3400));
  ASSERT_EQ(solicitations.size(), 3U);
  for (std::size_t i = 1; i < 3; ++i) {
    const Duration gap = solicitations[i].when - solicitations[i - 1].when;
    EXPECT_GE(gap, seconds(1));
    EXPECT_LE(gap, milliseconds(1100));
  }
  EXPECT_EQ(state(), kFailed);
  EXPECT_EQ(undelivered, (std::vector<std::size_t>{11, 12}));
  EXPECT_EQ(drops.of(Discard::kNeighbourUnresolved), 2U);
}

TEST_F(Neighbours, SndPacket_Failed_RefusedForASecondThenAsksAgain) {
  make(kFailed);
  send(kA, 5);
  EXPECT_EQ(undelivered, (std::vector<std::size_t>{5}));
  EXPECT_TRUE(solicitations.empty());
  advance(milliseconds(1000));
  EXPECT_EQ(state(), std::nullopt);
  send(kA);
  EXPECT_EQ(solicitations.size(), 1U);
}

TEST_F(Neighbours, RcvClaim_None_CreatesNothing) {
  EXPECT_EQ(claim({.mac = kMac, .solicited = true, .override_cache = true}), ClaimResult::kUnknown);
  EXPECT_EQ(table.size(), 0U);
}

TEST_F(Neighbours, RcvClaim_Incomplete_UnsolicitedGivesStale) {
  send(kB);  // another, so that only what is asked for changes
  send(kA);
  claim({.mac = kMac});
  EXPECT_EQ(state(), kDelay);  // STALE, ended by the packet that waited
  EXPECT_EQ(table.state(kB, now), kIncomplete);
}

TEST_F(Neighbours, RcvClaim_Incomplete_WithoutAddressIsIgnored) {
  make(kIncomplete);
  EXPECT_EQ(claim({.solicited = true}), ClaimResult::kIgnored);
  EXPECT_EQ(state(), kIncomplete);
}

TEST_F(Neighbours, RcvClaim_Reachable_OtherAddressWithoutOverrideIsDoubtedOnly) {
  make(kReachable);
  EXPECT_EQ(claim({.mac = kNewMac, .solicited = true}), ClaimResult::kIgnored);
  EXPECT_EQ(state(), kStale);
  EXPECT_EQ(table.mac(kA), kMac);
}

TEST_F(Neighbours, RcvClaim_Stale_OtherAddressWithoutOverrideIsIgnored) {
  make(kStale);
  EXPECT_EQ(claim({.mac = kNewMac, .solicited = true}), ClaimResult::kIgnored);
  EXPECT_EQ(state(), kStale);
  EXPECT_EQ(table.mac(kA), kMac);
}

TEST_F(Neighbours, RcvClaim_Reachable_OverrideMovesTheAddress) {
  make(kReachable);
  EXPECT_EQ(claim({.mac = kNewMac, .override_cache = true}), ClaimResult::kTaken);
  EXPECT_EQ(state(), kStale);
  EXPECT_EQ(table.mac(kA), kNewMac);
}

TEST_F(Neighbours, RcvClaim_Reachable_UnsolicitedSameAddressChangesNothing) {
  make(kReachable);
  claim({.mac = kMac, .override_cache = true});
  EXPECT_EQ(state(), kReachable);
}

TEST_F(Neighbours, RcvClaim_Probe_SolicitedMakesReachable) {
  make(kProbe);
  claim({.mac = kMac, .solicited = true, .override_cache = true});
  EXPECT_EQ(state(), kReachable);
  EXPECT_EQ(table.next_deadline() > now, true);
  advance(seconds(4));
  EXPECT_TRUE(solicitations.empty());  // the probe's timer is gone
}

TEST_F(Neighbours, RcvClaim_Failed_IsHeard) {
  make(kFailed);
  claim({.mac = kMac, .solicited = true});
  EXPECT_EQ(state(), kReachable);
}

TEST_F(Neighbours, RcvRequest_None_CreatesStale) {
  table.heard_request(kA, kMac, now);
  EXPECT_EQ(state(), kStale);
  EXPECT_EQ(table.mac(kA), kMac);
}

TEST_F(Neighbours, RcvRequest_Incomplete_SendsWhatWaits) {
  make(kIncomplete);
  table.heard_request(kA, kMac, now);
  ASSERT_EQ(carried.size(), 1U);
  EXPECT_EQ(carried[0].to, kMac);
  EXPECT_EQ(state(), kDelay);
}

TEST_F(Neighbours, RcvRequest_Reachable_SameAddressChangesNothing) {
  make(kReachable);
  table.heard_request(kA, kMac, now);
  EXPECT_EQ(state(), kReachable);
  table.heard_request(kA, kNewMac, now);
  EXPECT_EQ(state(), kStale);
  EXPECT_EQ(table.mac(kA), kNewMac);
}

TEST_F(Neighbours, Timer_Reachable_EndsAfterTheReachableTime) {
  make(kReachable);
  advance(seconds(14));
  EXPECT_EQ(state(), kReachable);  // 15 to 45 s
  advance(seconds(32));
  EXPECT_EQ(state(), kStale);
  EXPECT_TRUE(solicitations.empty());  // nobody is asked while nobody sends
}

TEST_F(Neighbours, SndPacket_Stale_SendsAtOnceAndProbesAfterFiveSeconds) {
  make(kStale);
  send(kA, 3);
  ASSERT_EQ(carried.size(), 1U);
  EXPECT_EQ(state(), kDelay);
  advance(milliseconds(4999));
  EXPECT_TRUE(solicitations.empty());
  advance(milliseconds(1));
  EXPECT_EQ(state(), kProbe);
  ASSERT_EQ(solicitations.size(), 1U);
  EXPECT_EQ(solicitations[0].known, kMac);
}

TEST_F(Neighbours, SndPacket_Probe_IsSentMeanwhile) {
  make(kProbe);
  send(kA);
  EXPECT_EQ(carried.size(), 1U);
}

TEST_F(Neighbours, Timer_Probe_ThreeWithoutAnswerForgetTheNeighbour) {
  make(kProbe);
  advance(milliseconds(3400));
  EXPECT_EQ(solicitations.size(), 2U);  // and the one that made it PROBE
  EXPECT_EQ(state(), std::nullopt);
  EXPECT_TRUE(undelivered.empty());
  EXPECT_EQ(table.next_deadline(), kNever);
}

TEST_F(Neighbours, Confirm_DelayAndProbe_MakeReachable) {
  make(kDelay);
  table.confirm(kA, now);
  EXPECT_EQ(state(), kReachable);
  advance(seconds(10));
  EXPECT_TRUE(solicitations.empty());
}

TEST_F(Neighbours, Confirm_Incomplete_SaysNothing) {
  make(kIncomplete);
  table.confirm(kA, now);
  EXPECT_EQ(state(), kIncomplete);
}

TEST_F(Neighbours, SndPacket_TableFull_TheLeastRecentlyUsedGivesWay) {
  make(kStale);
  table.heard_request(kB, kMac, now);
  table.heard_request(kC, kMac, now);
  send(kA);  // used last now
  send(Ipv4Address(192, 0, 2, 4));
  EXPECT_EQ(table.size(), 3U);
  EXPECT_TRUE(state());
  EXPECT_FALSE(table.state(kB, now));
}

TEST_F(Neighbours, SndPacket_TableFull_WhatWaitsForTheEvictedIsCounted) {
  send(kA);
  send(kB);
  send(kC);
  send(Ipv4Address(192, 0, 2, 4));
  EXPECT_EQ(drops.of(Discard::kNeighbourEvicted), 1U);
  EXPECT_EQ(pool->in_use(), 3U);
}

TEST_F(Neighbours, RcvRequest_TableFull_NeighboursInUseStay) {
  for (const Ipv4Address& address : {kA, kB, kC}) {
    table.heard_request(address, kMac, now);
    send(address);
  }
  for (std::uint8_t i = 10; i < 200; ++i) {
    table.heard_request(Ipv4Address(192, 0, 2, i), kNewMac, now);
  }
  for (const Ipv4Address& address : {kA, kB, kC}) EXPECT_EQ(table.mac(address), kMac);
  EXPECT_EQ(drops.of(Discard::kNeighbourTableFull), 190U);
}

}  // namespace
}  // namespace tideline::ip
