// SPDX-License-Identifier: Apache-2.0
// Several shm ports on one segment: who gets which frame, and what a member's false metadata does.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "port/port_test_util.h"
#include "port/shm/offload.h"
#include "port/shm/port.h"

namespace tideline::port {
namespace {

using packet::Checksum;
using packet::Gso;
using packet::Offload;

class ShmStations : public ::testing::Test {
 protected:
  ShmStations() { EXPECT_NE(::mkdtemp(directory_.data()), nullptr); }
  ~ShmStations() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<ShmPort> open(bool promiscuous = false) {
    auto port = ShmPort::open("test", pool_.get(),
                              {.promiscuous = promiscuous,
                               .claim = {.highest_first = promiscuous},
                               .directory = directory_},
                              monotonic_now());
    EXPECT_TRUE(port.has_value()) << (port ? "" : port.error().message());
    return std::move(*port);
  }
  // Sends a test frame to this address.
  bool send(ShmPort& from, const wire::MacAddress& to, std::uint32_t sequence,
            std::size_t size = 100, const Offload& offload = {}) {
    PacketPtr frame = testing::make_frame(*pool_, size, sequence);
    std::memcpy(frame->first().writable().data(), &to, sizeof(to));
    frame->meta().offload = offload;
    Burst burst;
    burst.push(std::move(frame));
    return from.tx_burst(0, burst, monotonic_now()) == 1;
  }
  // The sequence numbers of all that has come, sorted: sources take turns.
  static std::vector<std::uint32_t> numbers(ShmPort& port) {
    std::vector<std::uint32_t> found;
    for (const auto& frame : testing::receive_all(port))
      found.push_back(testing::sequence_of(frame));
    std::ranges::sort(found);
    return found;
  }
  using Numbers = std::vector<std::uint32_t>;

  std::string directory_ = "/tmp/tideline-test-XXXXXX";
  std::unique_ptr<Pool> pool_ = testing::make_pool();
};

// Shows one file, and notes those of the others.
class NotedPeers final : public shm::Peers {
 public:
  int descriptor() const override { return file_.get(); }
  bool source_up(unsigned slot, UniqueFd theirs) override {
    sources[slot] = inode_of(theirs);
    return true;
  }
  void source_down(unsigned slot) override { sources.erase(slot); }
  void destination_up(unsigned slot, pid_t pid, UniqueFd theirs) override {
    EXPECT_EQ(pid, ::getpid());
    destinations[slot] = inode_of(theirs);
  }
  void destination_down(unsigned slot) override { destinations.erase(slot); }
  ino_t inode() const { return inode_of(file_); }

  std::map<unsigned, ino_t> sources;
  std::map<unsigned, ino_t> destinations;

 private:
  static ino_t inode_of(const UniqueFd& file) {
    struct stat status{};
    EXPECT_EQ(::fstat(file.get(), &status), 0);
    return status.st_ino;
  }

  UniqueFd file_{::memfd_create("shown", MFD_CLOEXEC)};
};

TEST_F(ShmStations, MembersShowEachOtherADescriptor) {
  NotedPeers left;
  NotedPeers right;
  using Noted = std::map<unsigned, ino_t>;
  const auto open_with = [&](shm::Peers* peers) {
    return std::move(*ShmPort::open("test", pool_.get(), {.directory = directory_, .peers = peers},
                                    monotonic_now()));
  };
  const auto a = open_with(&left);
  auto b = open_with(&right);
  const auto plain = open();  // one that has nothing to show
  EXPECT_TRUE(send(*a, b->info().mac, 1));
  EXPECT_TRUE(send(*a, plain->info().mac, 1));
  EXPECT_EQ(numbers(*b), Numbers{1});
  EXPECT_EQ(numbers(*plain), Numbers{1});
  EXPECT_EQ(right.sources, (Noted{{a->slot(), left.inode()}}));
  EXPECT_EQ(left.sources, Noted{});
  EXPECT_TRUE(send(*a, b->info().mac, 2));
  EXPECT_TRUE(send(*a, plain->info().mac, 2));
  EXPECT_EQ(left.destinations, (Noted{{b->slot(), right.inode()}}));
  b.reset();
  for (int i = 0; i < 1000 && !left.destinations.empty(); ++i) {
    ::usleep(100);
    numbers(*a);
  }
  EXPECT_EQ(left.destinations, Noted{});
}

TEST_F(ShmStations, FramesGoWhereTheirAddressSays) {
  const auto a = open();
  const auto b = open();
  const auto c = open();
  EXPECT_NE(a->info().mac, b->info().mac);
  EXPECT_TRUE(send(*a, b->info().mac, 1));
  EXPECT_TRUE(send(*a, wire::kMacBroadcast, 2));
  EXPECT_TRUE(send(*a, wire::MacAddress::for_multicast(wire::kIpv6AllNodes), 3));
  EXPECT_TRUE(send(*b, c->info().mac, 4));
  EXPECT_EQ(numbers(*b), (Numbers{1, 2, 3}));
  EXPECT_EQ(numbers(*c), (Numbers{2, 3, 4}));
  EXPECT_EQ(numbers(*a), Numbers{});
  // Nobody's address, an address of ours that nobody has now, our own.
  const std::uint64_t dropped = a->stats(0).dropped(Drop::kTxNoPeer);
  EXPECT_FALSE(send(*a, wire::MacAddress({0x02, 1, 2, 3, 4, 5}), 5));
  EXPECT_FALSE(send(*a, shm::MacPlan("test").of_slot(9), 6));
  EXPECT_FALSE(send(*a, a->info().mac, 7));
  EXPECT_EQ(a->stats(0).dropped(Drop::kTxNoPeer), dropped + 3);
}

TEST_F(ShmStations, WhoAsksSeesAllFrames) {
  const auto a = open();
  const auto b = open();
  const auto all = open(true);
  EXPECT_EQ(all->slot(), shm::kMaxMembers - 1);
  numbers(*a);  // learns of it
  EXPECT_TRUE(send(*a, b->info().mac, 1));
  EXPECT_TRUE(send(*a, wire::kMacBroadcast, 2));
  EXPECT_TRUE(send(*a, wire::MacAddress({0x02, 1, 2, 3, 4, 5}), 3));
  EXPECT_EQ(numbers(*all), (Numbers{1, 2, 3}));
  EXPECT_EQ(numbers(*b), (Numbers{1, 2}));
}

TEST_F(ShmStations, WhoAsksMissesNothingOfANewcomer) {
  auto all = open(true);
  const auto a = open();
  const auto b = open();
  // It has not been served since these two came.
  EXPECT_TRUE(send(*a, b->info().mac, 1));
  EXPECT_EQ(numbers(*all), Numbers{1});
  EXPECT_EQ(numbers(*b), Numbers{1});
  // Once it has left nobody sends to it.
  all.reset();
  const auto c = open();
  EXPECT_TRUE(send(*c, b->info().mac, 2));
  EXPECT_EQ(c->stats(0).dropped(Drop::kTxNoPeer), 0U);
}

TEST_F(ShmStations, AddressesGoWithTheSlot) {
  auto a = open();
  const auto b = open();
  EXPECT_EQ(shm::leased_ipv4(a->slot()).to_text(), "198.18.0.1/24");
  EXPECT_EQ(shm::leased_ipv6(b->slot()).to_text(), "2001:db8:18::2/64");
  for (const unsigned slot : {0U, 1U, 63U}) {
    EXPECT_EQ(shm::slot_of(shm::leased_ipv4(slot).address), slot);
    EXPECT_EQ(shm::slot_of(shm::leased_ipv6(slot).address), slot);
    EXPECT_EQ(shm::MacPlan("x").slot_of(shm::MacPlan("x").of_slot(slot)), slot);
    EXPECT_EQ(shm::MacPlan("x").slot_of(shm::MacPlan("y").of_slot(slot)), std::nullopt);
  }
  for (const auto& other : {wire::Ipv4Address(198, 18, 0, 0), wire::Ipv4Address(198, 18, 0, 65),
                            wire::Ipv4Address(198, 18, 1, 1)}) {
    EXPECT_EQ(shm::slot_of(other), std::nullopt);
  }
  const wire::MacAddress mac = a->info().mac;
  a.reset();
  EXPECT_EQ(open()->info().mac, mac);
}

TEST_F(ShmStations, MetadataCrossesAndNobodySums) {
  const auto a = open();
  const auto b = open();
  const Offload roce{.gso = Gso::kRoce, .gso_size = 4096, .header_length = 54};
  const Offload udp{.checksum = Checksum::kNeeded,
                    .gso = Gso::kUdp,
                    .checksum_start = 34,
                    .checksum_offset = 6,
                    .gso_size = 1000,
                    .header_length = 42};
  const Offload valid{.checksum = Checksum::kValid};
  for (const Offload& offload : {roce, udp, valid}) {
    const std::size_t size = offload.gso == Gso::kNone ? 500 : 40'000;
    ASSERT_TRUE(send(*a, b->info().mac, 1, size, offload));
    const bool received = testing::receive_until(*b, 0, [&](const Packet& frame) {
      const Offload& got = frame.meta().offload;
      EXPECT_EQ(got.checksum, offload.checksum);
      EXPECT_EQ(got.gso, offload.gso);
      EXPECT_EQ(got.gso_size, offload.gso_size);
      EXPECT_EQ(got.checksum_start, offload.checksum_start);
      EXPECT_EQ(got.checksum_offset, offload.checksum_offset);
      EXPECT_EQ(got.header_length, offload.header_length);
      return frame.size() == size;
    });
    EXPECT_TRUE(received);
  }
  EXPECT_EQ(a->stats(0).passes.total() + b->stats(0).passes.total(),
            a->stats(0).passes.bytes(packet::Pass::kCopy) +
                b->stats(0).passes.bytes(packet::Pass::kCopy));
}

TEST_F(ShmStations, LongFramesAreLentUntilTooManyAreHeld) {
  const auto a = open();
  const auto b = open();
  std::vector<PacketPtr> held;
  bool copied = false;
  for (std::uint32_t i = 0; i < 60; ++i) {
    ASSERT_TRUE(send(*a, b->info().mac, i, 30'000,
                     {.gso = Gso::kRoce, .gso_size = 1024, .header_length = 54}))
        << i;
    Burst burst;
    const Instant give_up = monotonic_now() + std::chrono::seconds(3);
    while (b->rx_burst(0, burst, monotonic_now()) == 0 && monotonic_now() < give_up) {
    }
    ASSERT_EQ(burst.size(), 1U);
    const bool lent = burst[0]->first().next()->borrowed();
    EXPECT_EQ(lent, i < 16) << i;
    copied |= !lent;
    held.push_back(std::move(burst[0]));
  }
  EXPECT_TRUE(copied);
  // All are as they were sent, though the ring and the arena went round.
  for (std::uint32_t i = 0; i < held.size(); ++i) {
    const auto bytes = testing::bytes_of(*held[i]);
    const auto sent = testing::frame_bytes(30'000, i);
    EXPECT_TRUE(std::equal(bytes.begin() + 6, bytes.end(), sent.begin() + 6, sent.end())) << i;
  }
}

// Two ports with memory that frames refer to.
class ShmReferences : public ShmStations {
 protected:
  ShmReferences() { pool_ = testing::make_pool(4096, 1024); }

  std::unique_ptr<ShmPort> open_sharing(bool lends = true) {
    shm::MemberConfig sizes;
    sizes.shared_bytes = 1 << 20;
    auto port =
        ShmPort::open("test", pool_.get(),
                      {.directory = directory_, .lends_shared = lends, .sizes = sizes}, now_);
    EXPECT_TRUE(port.has_value()) << (port ? "" : port.error().message());
    return std::move(*port);
  }
  // A frame whose first `head` bytes are its own, and the rest borrowed in so many pieces from the
  // sender's shared memory at `offset`.
  PacketPtr make(ShmPort& from, const ShmPort& to, std::uint32_t sequence, std::size_t size,
                 std::size_t offset = 0, std::size_t pieces = 1, std::size_t head = 60) {
    const auto bytes = testing::frame_bytes(size, sequence);
    PacketPtr frame = pool_->get();
    std::memcpy(frame->append(head), bytes.data(), head);
    std::memcpy(frame->first().writable().data(), &to.info().mac, sizeof(to.info().mac));
    if (size > 1518) {
      frame->meta().offload = {.gso = Gso::kRoce, .gso_size = 1024, .header_length = 54};
    }
    const auto memory = from.shared_memory().subspan(offset, size - head);
    std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(head), bytes.end(), memory.begin());
    for (std::size_t i = 0; i < pieces; ++i) {
      const std::size_t begin = memory.size() * i / pieces;
      const std::size_t end = memory.size() * (i + 1) / pieces;
      ++borrowed_;
      frame->append(pool_->lend(
          {.memory = memory.subspan(begin, end - begin),
           .release = [](void* count,
                         std::span<const std::byte>) { --*static_cast<std::size_t*>(count); },
           .context = &borrowed_}));
    }
    return frame;
  }
  bool transmit(ShmPort& from, PacketPtr frame) {
    Burst burst;
    burst.push(std::move(frame));
    return from.tx_burst(0, burst, now_) == 1;
  }
  PacketPtr receive(ShmPort& port) {
    Burst burst;
    const Instant give_up = monotonic_now() + std::chrono::seconds(3);
    while (port.rx_burst(0, burst, now_) == 0 && monotonic_now() < give_up) {
    }
    return burst.empty() ? nullptr : std::move(burst[0]);
  }
  void look(ShmPort& port) {
    Burst burst;
    EXPECT_EQ(port.rx_burst(0, burst, now_), 0U);
  }
  // Until `from` has read the answer of `to` to its first frame, in pauses of the service.
  void meet(ShmPort& from, ShmPort& to) {
    ASSERT_TRUE(transmit(from, make(from, to, 0, 100)));
    now_ += std::chrono::milliseconds(2);
    ASSERT_NE(receive(to), nullptr);
    now_ += std::chrono::milliseconds(2);
    look(from);
    ASSERT_EQ(borrowed_, 0U);
    passed_ = from.stats(0).passes.total();
  }
  static bool is_frame(const Packet& frame, std::uint32_t sequence, std::size_t size) {
    const auto bytes = testing::bytes_of(frame);
    const auto sent = testing::frame_bytes(size, sequence);
    return std::equal(bytes.begin() + 6, bytes.end(), sent.begin() + 6, sent.end());
  }

  Instant now_ = monotonic_now();
  std::size_t borrowed_ = 0;  // pieces that are out
  std::uint64_t passed_ = 0;  // by the sender, for them to meet
};

TEST_F(ShmReferences, WhatLiesInSharedMemoryIsSentAndLentWithoutACopy) {
  const auto a = open_sharing();
  const auto b = open_sharing();
  meet(*a, *b);
  for (std::size_t pieces = 1; pieces <= shm::kMaxPieces; ++pieces) {
    ASSERT_TRUE(transmit(*a, make(*a, *b, 1, 60'000, 5'000, pieces)));
    look(*a);
    EXPECT_EQ(borrowed_, pieces);
    PacketPtr frame = receive(*b);
    ASSERT_NE(frame, nullptr);
    EXPECT_TRUE(is_frame(*frame, 1, 60'000));
    EXPECT_TRUE(frame->is_intact());
    look(*a);
    EXPECT_EQ(borrowed_, pieces);
    frame.reset();
    look(*a);
    EXPECT_EQ(borrowed_, 0U);
  }
  EXPECT_EQ(a->stats(0).passes.total(), passed_);
  EXPECT_LE(b->stats(0).passes.total(), passed_ + 576);  // 192 bytes of each
  EXPECT_EQ(a->stats(0).tx_bytes, 180'100U);
  EXPECT_EQ(b->stats(0).rx_bytes, 180'100U);
  // Too many pieces, too long a head, too short: copied.
  std::array<PacketPtr, 3> others = {make(*a, *b, 2, 60'000, 0, 4),
                                     make(*a, *b, 2, 60'000, 100'000, 1, 105),
                                     make(*a, *b, 2, 1'000, 200'000)};
  for (PacketPtr& frame : others) {
    const std::size_t size = frame->size();
    ASSERT_TRUE(transmit(*a, std::move(frame)));
    const PacketPtr got = receive(*b);
    ASSERT_NE(got, nullptr);
    EXPECT_TRUE(is_frame(*got, 2, size));
  }
  EXPECT_EQ(borrowed_, 0U);
  EXPECT_EQ(a->stats(0).passes.total(), passed_ + 121'000);
}

TEST_F(ShmReferences, WhoDoesNotAskWhatStandsGetsACopy) {
  const auto a = open_sharing();
  const auto b = open_sharing(false);
  meet(*a, *b);
  ASSERT_TRUE(transmit(*a, make(*a, *b, 1, 40'000, 0, 3)));
  const PacketPtr frame = receive(*b);
  ASSERT_NE(frame, nullptr);
  EXPECT_TRUE(is_frame(*frame, 1, 40'000));
  EXPECT_EQ(b->stats(0).passes.total(), passed_ + 40'000);
  b->arm(0);  // and is asked for more, so its index is told
  look(*b);
  look(*a);
  EXPECT_EQ(borrowed_, 0U);
}

TEST_F(ShmReferences, WhatIsTakenBackIsNotTakenForWhatWasSent) {
  const auto a = open_sharing();
  const auto b = open_sharing();
  meet(*a, *b);
  ASSERT_TRUE(transmit(*a, make(*a, *b, 1, 40'000, 0)));
  const PacketPtr held = receive(*b);
  ASSERT_NE(held, nullptr);
  ASSERT_TRUE(transmit(*a, make(*a, *b, 2, 40'000, 50'000)));   // in the ring
  ASSERT_TRUE(transmit(*a, make(*a, *b, 3, 40'000, 100'000)));  // elsewhere
  ASSERT_EQ(borrowed_, 3U);
  EXPECT_EQ(a->oldest_borrowed(), now_);
  a->withdraw(a->shared_memory().first(100'000), now_);  // those sent before now
  EXPECT_EQ(borrowed_, 3U);
  a->withdraw(a->shared_memory().first(100'000), now_ + Duration(1));
  EXPECT_EQ(borrowed_, 1U);
  EXPECT_FALSE(held->is_intact());
  const PacketPtr frame = receive(*b);
  ASSERT_NE(frame, nullptr);
  EXPECT_TRUE(is_frame(*frame, 3, 40'000));
  EXPECT_TRUE(frame->is_intact());
  EXPECT_EQ(b->stats(0).dropped(Drop::kRxWithdrawn), 1U);
  // The slots of the two that are held take no other reference in the two rounds of the ring, for a
  // withdrawal could not name it.
  for (std::uint32_t i = 0; i < 600; ++i) {
    ASSERT_TRUE(transmit(*a, make(*a, *b, i, 3'000, 200'000)));
    const PacketPtr other = receive(*b);
    ASSERT_NE(other, nullptr);
    EXPECT_TRUE(is_frame(*other, i, 3'000));
    EXPECT_TRUE(other->is_intact());
    look(*a);
  }
  EXPECT_FALSE(held->is_intact());
  EXPECT_EQ(a->stats(0).passes.total(), passed_ + 12'000);
}

TEST_F(ShmReferences, WhoHoldsTooManyGetsCopiesAndTheDeadHoldNothing) {
  const auto a = open_sharing();
  auto b = open_sharing();
  meet(*a, *b);
  std::vector<PacketPtr> held;
  for (std::uint32_t i = 0; i < 140; ++i) {
    ASSERT_TRUE(transmit(*a, make(*a, *b, i, 5'000, i * std::size_t{5'000})));
    held.push_back(receive(*b));
    ASSERT_NE(held.back(), nullptr);
  }
  look(*b);
  look(*a);
  EXPECT_EQ(borrowed_, 128U);
  for (std::uint32_t i = 0; i < held.size(); ++i) EXPECT_TRUE(is_frame(*held[i], i, 5'000)) << i;
  ASSERT_TRUE(transmit(*a, make(*a, *b, 50, 30'000, 800'000)));
  EXPECT_EQ(borrowed_, 129U);
  b.reset();
  const Instant give_up = monotonic_now() + std::chrono::seconds(3);
  while (borrowed_ > 0 && monotonic_now() < give_up) {
    now_ = monotonic_now();
    look(*a);
  }
  EXPECT_EQ(borrowed_, 0U);
  // Those who still hold frames of a link that was closed know that they may have changed.
  for (std::uint32_t i = 0; i < held.size(); ++i) EXPECT_EQ(held[i]->is_intact(), i >= 128) << i;
}

TEST_F(ShmReferences, WhoSleepsIsWokenForWhatWasLetGoOf) {
  const auto a = open_sharing();
  const auto b = open_sharing();
  meet(*a, *b);
  meet(*b, *a);
  ASSERT_TRUE(transmit(*a, make(*a, *b, 1, 30'000)));
  PacketPtr held = receive(*b);
  a->arm(0);
  look(*a);
  pollfd wait{.fd = a->fd(0), .events = POLLIN};
  EXPECT_EQ(::poll(&wait, 1, 0), 0);
  held.reset();
  look(*b);
  EXPECT_EQ(::poll(&wait, 1, 3000), 1);
  look(*a);
  a->disarm(0);
  EXPECT_EQ(borrowed_, 0U);
}

TEST_F(ShmReferences, WhoWouldSleepLooksAgain) {
  const auto a = open_sharing();
  const auto b = open_sharing();
  meet(*a, *b);
  EXPECT_EQ(a->next_deadline(0), kNever);
  ASSERT_TRUE(transmit(*a, make(*a, *b, 1, 30'000)));
  Duration pause{};
  for (int i = 0; i < 20; ++i) {  // ever later, but within a bound
    const Instant next = a->next_deadline(0);
    ASSERT_GT(next, now_);
    EXPECT_GE(next - now_, pause);
    EXPECT_LE(next - now_, std::chrono::milliseconds(64));
    pause = next - now_;
    now_ = next;
    look(*a);
  }
  receive(*b).reset();
  look(*a);
  EXPECT_EQ(borrowed_, 0U);
  EXPECT_EQ(a->next_deadline(0), kNever);
}

// A member that says what it likes beside its frames.
TEST_F(ShmStations, FalseMetadataIsDroppedAndCounted) {
  const auto victim = open();
  auto liar = shm::Member::join({.meeting_point = directory_}, monotonic_now());
  ASSERT_TRUE(liar.has_value());
  const Offload tcp{.checksum = Checksum::kNeeded,
                    .gso = Gso::kTcpV4,
                    .checksum_start = 34,
                    .checksum_offset = 16,
                    .gso_size = 1000};
  std::vector<shm::OffloadWords> lies;
  const auto lie = [&](auto change) {
    Offload offload = tcp;
    change(offload);
    lies.push_back(shm::pack_offload(offload));
  };
  lie([](Offload& o) { o.checksum_start = 65'535; });
  lie([](Offload& o) { o.checksum_offset = 65'535; });
  lie([](Offload& o) { o.gso_size = 0; });
  lie([](Offload& o) { o.checksum = Checksum::kInPacket; });
  lie([](Offload& o) { o = {.gso = Gso::kRoce, .gso_size = 1000, .header_length = 65'000}; });
  lies.push_back({.flags = 0xfff, .fields = UINT64_MAX});
  lies.push_back({.flags = 3});
  lies.push_back({.flags = 7U << 2});
  for (const std::size_t size : {std::size_t{100}, std::size_t{1400}, std::size_t{40'000}}) {
    for (const shm::OffloadWords& words : lies) {
      const auto place = (*liar)->prepare(victim->slot(), size);
      ASSERT_TRUE(place.has_value());
      const auto bytes = testing::frame_bytes(size, 1);
      std::memcpy(place->bytes.data(), bytes.data(), size);
      place->bytes[46] = std::byte{0xf0};  // a TCP header of 60 bytes
      (*liar)->commit(victim->slot(), *place, words);
    }
    (*liar)->flush();
  }
  (*liar)->send(victim->slot(), std::array<std::byte, 13>{});
  const std::size_t count = 3 * lies.size();
  const Instant give_up = monotonic_now() + std::chrono::seconds(3);
  Burst burst;
  while (victim->stats(0).dropped() < count + 1 && monotonic_now() < give_up) {
    victim->rx_burst(0, burst, monotonic_now());
  }
  EXPECT_TRUE(burst.empty());
  EXPECT_EQ(victim->stats(0).dropped(Drop::kRxOffload), count);
  EXPECT_EQ(victim->stats(0).dropped(Drop::kRxShort), 1U);
  EXPECT_EQ(pool_->in_use(), 0U);
}

}  // namespace
}  // namespace tideline::port
