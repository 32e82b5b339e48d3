// SPDX-License-Identifier: Apache-2.0
// Checksums over chains of every shape, against a naive sum over their bytes.
#include "packet/checksum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "base/random.h"
#include "packet/copy.h"
#include "packet/pool.h"
#include "packet/test_packet.h"

namespace tideline::packet {
namespace {

// RFC 1071 word by word, the field of the result included in what is summed.
std::uint16_t naive_checksum(std::span<const std::byte> bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = std::to_integer<std::uint32_t>(bytes[i]);
    sum += i % 2 == 0 ? byte << 8 : byte;
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(~sum);
}

Bytes completed(Bytes bytes, const Offload& offload) {
  std::uint16_t checksum = naive_checksum(std::span(bytes).subspan(offload.checksum_start));
  if (checksum == 0 && offload.checksum_offset == 6) checksum = 0xffff;
  const std::size_t at = std::size_t{offload.checksum_start} + offload.checksum_offset;
  bytes[at] = static_cast<std::byte>(checksum >> 8);
  bytes[at + 1] = static_cast<std::byte>(checksum & 0xff);
  return bytes;
}

class PacketChecksum : public ::testing::Test {
 protected:
  PacketChecksum() {
    auto made = Pool::create({.segments = 64, .loans = 64, .huge_pages = false});
    EXPECT_TRUE(made.has_value());
    pool = std::move(*made);
  }

  // Random bytes in random pieces, of which those beyond `owned` bytes may be borrowed or empty.
  PacketPtr chain(std::size_t size, std::size_t owned) {
    memory_.resize(size);
    for (std::byte& byte : memory_) byte = static_cast<std::byte>(rng());
    PacketPtr packet = pool->get();
    for (std::size_t at = 0; at < size;) {
      const std::size_t part = std::min<std::size_t>(size - at, 1 + rng.below(400));
      const std::span<const std::byte> piece = std::span(memory_).subspan(at, part);
      PacketPtr next = at >= owned && rng.below(2) == 0
                           ? pool->lend({.memory = piece, .release = [](void*, auto) {}})
                           : copy_of(piece, *pool, passes);
      packet->append(std::move(next));
      at += part;
    }
    passes = {};
    return packet;
  }

  std::unique_ptr<Pool> pool;
  Rng rng{7};
  PassCounter passes;

 private:
  Bytes memory_;
};

TEST_F(PacketChecksum, SumsAnyRangeOfAnyChain) {
  for (int round = 0; round < 300; ++round) {
    const PacketPtr packet = chain(1 + rng.below(3000), 0);
    const Bytes bytes = contents(*packet);
    const std::size_t offset = rng.below(bytes.size());
    const std::size_t size = rng.below(bytes.size() - offset + 1);
    const auto sum = sum_range(*packet, offset, size, passes);
    ASSERT_EQ(sum.checksum(), naive_checksum(std::span(bytes).subspan(offset, size)));
    ASSERT_EQ(passes.bytes(Pass::kChecksum), size);
  }
}

TEST_F(PacketChecksum, IsFilledInPlaceAndInACopyAlike) {
  for (int round = 0; round < 300; ++round) {
    const std::size_t size = 60 + rng.below(3000);
    const auto start = static_cast<std::uint16_t>(rng.below(40));
    const auto offset = static_cast<std::uint16_t>(rng.below(18));
    // The field may straddle two segments.
    const PacketPtr packet = chain(size, start + offset + 2U);
    const Offload offload{
        .checksum = Checksum::kNeeded, .checksum_start = start, .checksum_offset = offset};
    packet->meta().offload = offload;
    const Bytes expected = completed(contents(*packet), offload);
    Bytes copy(size);
    ASSERT_TRUE(copy_completed(*packet, copy, passes));
    ASSERT_EQ(copy, expected);
    ASSERT_EQ(passes.bytes(Pass::kCopy), start);
    ASSERT_EQ(passes.bytes(Pass::kCopyChecksum), size - start);
    ASSERT_EQ(packet->meta().offload.checksum, Checksum::kNeeded);
    passes = {};
    ASSERT_TRUE(complete_checksum(*packet, passes));
    ASSERT_EQ(contents(*packet), expected);
    ASSERT_EQ(passes.total(), size - start);
    ASSERT_EQ(packet->meta().offload.checksum, Checksum::kInPacket);
    ASSERT_TRUE(complete_checksum(*packet, passes)) << "a second time it does nothing";
    ASSERT_EQ(passes.total(), size - start);
  }
}

TEST_F(PacketChecksum, OfZeroIsSentInAnotherFormByUdpOnly) {
  for (const std::uint16_t offset : std::array<std::uint16_t, 3>{2, 6, 16}) {
    PacketPtr packet = pool->get();
    std::memset(packet->append(20), 0, 20);
    packet->first().writable()[18] = packet->first().writable()[19] = std::byte{0xff};
    packet->meta().offload = {.checksum = Checksum::kNeeded, .checksum_offset = offset};
    Bytes copy(packet->size());
    ASSERT_TRUE(copy_completed(*packet, copy, passes));
    ASSERT_TRUE(complete_checksum(*packet, passes));
    EXPECT_EQ(contents(*packet), copy);
    EXPECT_EQ(copy[offset], offset == 6 ? std::byte{0xff} : std::byte{0});
    EXPECT_EQ(copy[offset + 1U], copy[offset]);
  }
}

TEST_F(PacketChecksum, BeyondThePacketIsRefusedAndTheCopyIsPlain) {
  const PacketPtr packet = chain(100, 100);
  const Bytes bytes = contents(*packet);
  Bytes copy(bytes.size());
  for (const Offload& offload :
       {Offload{.checksum_start = 99}, Offload{.checksum_start = 60'000, .checksum_offset = 60'000},
        Offload{.checksum_start = 40, .checksum_offset = 59}}) {
    packet->meta().offload = offload;
    packet->meta().offload.checksum = Checksum::kNeeded;
    EXPECT_FALSE(complete_checksum(*packet, passes));
    EXPECT_FALSE(copy_completed(*packet, copy, passes));
    EXPECT_EQ(contents(*packet), bytes);
    EXPECT_EQ(copy, bytes);
    EXPECT_EQ(packet->meta().offload.checksum, Checksum::kNeeded);
  }
}

TEST_F(PacketChecksum, IsNotWrittenToBorrowedMemory) {
  const Bytes memory(50, std::byte{1});
  const PacketPtr packet = pool->lend({.memory = memory, .release = [](void*, auto) {}});
  packet->meta().offload = {.checksum = Checksum::kNeeded, .checksum_offset = 6};
  EXPECT_FALSE(complete_checksum(*packet, passes));
  EXPECT_EQ(memory, Bytes(50, std::byte{1}));
  Bytes copy(memory.size());
  EXPECT_TRUE(copy_completed(*packet, copy, passes));
  EXPECT_EQ(copy, completed(memory, packet->meta().offload));
}

}  // namespace
}  // namespace tideline::packet
