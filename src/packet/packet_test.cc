// SPDX-License-Identifier: Apache-2.0
// Packets as chains: every operation against a model that is a string of bytes, and the life of
// borrowed and shared memory.
#include "packet/packet.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "base/random.h"
#include "packet/copy.h"
#include "packet/pool.h"
#include "packet/test_packet.h"

namespace tideline::packet {
namespace {

Bytes random_bytes(Rng& rng, std::size_t size) {
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng());
  return bytes;
}

void expect_consistent(const Packet& packet) {
  std::size_t size = 0;
  std::size_t count = 0;
  for (const Segment* segment = &packet.first(); segment != nullptr; segment = segment->next()) {
    size += segment->bytes().size();
    ++count;
  }
  ASSERT_EQ(packet.size(), size);
  ASSERT_EQ(packet.segment_count(), count);
}

// Memory that is lent, and how often it came back.
struct Lender {
  Bytes memory;
  int released = 0;

  Loan loan() {
    return {.memory = memory,
            .release =
                [](void* context, std::span<const std::byte> returned) {
                  auto* self = static_cast<Lender*>(context);
                  EXPECT_EQ(returned.data(), self->memory.data());
                  EXPECT_EQ(returned.size(), self->memory.size());
                  ++self->released;
                },
            .context = this};
  }
};

TEST(Packet, HasHeadroomForHeadersAndTailRoomForPayload) {
  const auto pool = make_pool(4);
  PacketPtr packet = pool->get();
  ASSERT_NE(packet, nullptr);
  EXPECT_EQ(packet->size(), 0U);
  EXPECT_EQ(packet->first().headroom(), kHeadroom);
  ASSERT_NE(packet->append(100), nullptr);
  std::byte* header = packet->prepend(54);
  ASSERT_NE(header, nullptr);
  EXPECT_EQ(header, packet->first().bytes().data());
  EXPECT_EQ(packet->size(), 154U);
  EXPECT_EQ(packet->prepend(kHeadroom), nullptr);
  EXPECT_EQ(packet->append(kSegmentSize), nullptr);
  EXPECT_EQ(packet->size(), 154U);
}

TEST(Packet, MetadataIsFreshInEveryPacket) {
  const auto pool = make_pool(1);
  PacketPtr packet = pool->get();
  packet->meta().offload = {.checksum = Checksum::kNeeded, .gso = Gso::kTcpV4, .gso_size = 1448};
  packet->meta().flow_mark = 7;
  packet.reset();
  packet = pool->get();
  EXPECT_EQ(packet->meta().offload.checksum, Checksum::kInPacket);
  EXPECT_EQ(packet->meta().offload.gso, Gso::kNone);
  EXPECT_EQ(packet->meta().flow_mark, 0U);
}

// One random operation on the packet and on the bytes it must hold.
class ChainModel {
 public:
  ChainModel(Pool& pool, Rng& rng) : pool_(&pool), rng_(&rng) {}

  void restart() {
    packet = pool_->get();
    model.clear();
  }

  void step() {
    switch (rng_->below(7)) {
      case 0:
        return prepend();
      case 1:
        return append();
      case 2:
        return chain(copy_of(fresh(1 + rng_->below(5000)), *pool_, passes));
      case 3:
        return chain(borrow());
      case 4: {
        const std::size_t cut = rng_->below(model.size() + 1);
        packet->trim_front(cut);
        model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(cut));
        return;
      }
      case 5: {
        const std::size_t keep = rng_->below(model.size() + 1);
        packet->truncate(keep);
        model.resize(keep);
        return;
      }
      default:
        return pull();
    }
  }

  PacketPtr packet;
  Bytes model;
  int lent = 0;
  int released = 0;
  PassCounter passes;

 private:
  const Bytes& fresh(std::size_t size) { return added_ = random_bytes(*rng_, size); }

  void prepend() {
    fresh(1 + rng_->below(64));
    const bool room = packet->first().headroom() >= added_.size();
    std::byte* opened = packet->prepend(added_.size());
    ASSERT_EQ(opened != nullptr, room);
    if (!room) return;
    std::ranges::copy(added_, opened);
    model.insert(model.begin(), added_.begin(), added_.end());
  }

  void append() {
    fresh(1 + rng_->below(300));
    std::byte* opened = packet->append(added_.size());
    if (opened == nullptr) return;
    std::ranges::copy(added_, opened);
    model.insert(model.end(), added_.begin(), added_.end());
  }

  void chain(PacketPtr tail) {
    ASSERT_NE(tail, nullptr);
    packet->append(std::move(tail));
    model.insert(model.end(), added_.begin(), added_.end());
  }

  PacketPtr borrow() {
    fresh(1 + rng_->below(9000));
    struct Held {
      Bytes bytes;
      int* released;
    };
    auto held = std::make_unique<Held>(added_, &released);
    ++lent;
    const std::span<const std::byte> memory = held->bytes;
    return pool_->lend({.memory = memory,
                        .release =
                            [](void* context, std::span<const std::byte>) {
                              std::unique_ptr<Held> last(static_cast<Held*>(context));
                              ++*last->released;
                            },
                        .context = held.release()});
  }

  void pull() {
    const std::size_t size = rng_->below(model.size() + 100);
    const Segment& first = packet->first();
    const bool possible = size <= first.bytes().size() ||
                          (size <= model.size() && size - first.bytes().size() <= first.tailroom());
    ASSERT_EQ(packet->pull_front(size, passes), possible);
    if (!possible) return;
    ASSERT_GE(packet->first().bytes().size(), size);
  }

  Pool* pool_;
  Rng* rng_;
  Bytes added_;
};

TEST(Packet, ChainsBehaveAsAStringOfBytes) {
  constexpr std::uint64_t kSeed = 5;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  const auto pool = make_pool(512, 128);
  ChainModel chain(*pool, rng);
  for (int round = 0; round < 300; ++round) {
    chain.restart();
    for (int i = 0; i < 40; ++i) {
      chain.step();
      if (testing::Test::HasFatalFailure()) return;
      expect_consistent(*chain.packet);
      ASSERT_EQ(contents(*chain.packet), chain.model);
    }
    chain.packet.reset();
    ASSERT_EQ(pool->in_use(), 0U);
    ASSERT_EQ(chain.released, chain.lent);
  }
  EXPECT_EQ(pool->stats().exhausted, 0U);
}

TEST(Packet, CopiesCountTheirPasses) {
  const auto pool = make_pool(16);
  Rng rng(1);
  const Bytes bytes = random_bytes(rng, 6000);
  PassCounter passes;
  PacketPtr packet = copy_of(bytes, *pool, passes);
  ASSERT_NE(packet, nullptr);
  EXPECT_EQ(packet->segment_count(), 4U);
  packet->meta().rss_hash = 9;
  PacketPtr copy = copy_of(*packet, *pool, passes);
  ASSERT_NE(copy, nullptr);
  EXPECT_EQ(copy->meta().rss_hash, 9U);
  EXPECT_EQ(contents(*copy), bytes);
  EXPECT_EQ(passes.bytes(Pass::kCopy), 12'000U);
  passes.add(Pass::kKernelCopy, 5);
  EXPECT_EQ(passes.total(), 12'000U);
}

TEST(Packet, BorrowedMemoryIsReleasedOnceWhenItsSegmentIsGone) {
  const auto pool = make_pool(2, 2);
  Rng rng(2);
  Lender lender{.memory = random_bytes(rng, 10'000)};
  PacketPtr packet = pool->get();
  packet->append(20);
  packet->append(pool->lend(lender.loan()));
  EXPECT_EQ(packet->append(1), nullptr) << "borrowed memory is not written";
  EXPECT_EQ(packet->size(), 10'020U);
  packet->trim_front(5'000);
  packet->truncate(100);
  EXPECT_EQ(lender.released, 0);
  packet.reset();
  EXPECT_EQ(lender.released, 1);
  EXPECT_EQ(pool->in_use(), 0U);
}

TEST(PacketRef, LendsWithoutTouchingAByte) {
  const auto pool = make_pool(8, 8);
  Rng rng(3);
  const Bytes bytes = random_bytes(rng, 5000);
  PassCounter passes;
  PacketRef kept(copy_of(bytes, *pool, passes));
  ASSERT_TRUE(kept);
  PacketPtr again = kept.lend(*pool, 1000, 3500);
  ASSERT_NE(again, nullptr);
  EXPECT_TRUE(again->first().borrowed());
  EXPECT_EQ(contents(*again), Bytes(bytes.begin() + 1000, bytes.begin() + 4500));
  EXPECT_EQ(passes.total(), 5000U);
}

TEST(PacketRef, ThePacketLivesUntilItsLastHolderIsGone) {
  const auto pool = make_pool(8, 8);
  Rng rng(4);
  Lender lender{.memory = random_bytes(rng, 3000)};
  PacketPtr packet = pool->get();
  packet->append(40);
  packet->append(pool->lend(lender.loan()));
  PacketRef first(std::move(packet));
  PacketRef second = first;
  PacketPtr lent = second.lend(*pool, 0, first->size());
  ASSERT_NE(lent, nullptr);
  EXPECT_EQ(lent->segment_count(), 2U);
  first = PacketRef();
  second = PacketRef();
  EXPECT_EQ(lender.released, 0);
  EXPECT_EQ(contents(*lent).size(), 3040U);
  lent.reset();
  EXPECT_EQ(lender.released, 1);
  EXPECT_EQ(pool->in_use(), 0U);
}

TEST(PacketRef, LendingWithTooFewLoansGivesNullAndKeepsNothing) {
  const auto pool = make_pool(4, 1);
  Rng rng(6);
  PassCounter passes;
  PacketRef kept(copy_of(random_bytes(rng, 3000), *pool, passes));
  EXPECT_EQ(kept.lend(*pool, 0, 3000), nullptr);
  EXPECT_EQ(pool->stats().exhausted, 1U);
  EXPECT_NE(kept.lend(*pool, 0, 1000), nullptr) << "the loan of the failed attempt came back";
  kept = PacketRef();
  EXPECT_EQ(pool->in_use(), 0U);
}

TEST(Burst, ClosesGapsAndReturnsItsPackets) {
  const auto pool = make_pool(Burst::kCapacity);
  Burst burst;
  while (!burst.full()) burst.push(pool->get());
  EXPECT_EQ(burst.room(), 0U);
  Packet* last = burst[Burst::kCapacity - 1].get();
  for (std::size_t i = 0; i < Burst::kCapacity; i += 2) burst[i].reset();
  burst.compact();
  EXPECT_EQ(burst.size(), Burst::kCapacity / 2);
  EXPECT_EQ(burst[burst.size() - 1].get(), last);
  burst.clear();
  EXPECT_TRUE(burst.empty());
  EXPECT_EQ(pool->in_use(), 0U);
}

}  // namespace
}  // namespace tideline::packet
