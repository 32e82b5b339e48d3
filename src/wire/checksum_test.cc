// SPDX-License-Identifier: Apache-2.0
// Every kernel against published sums and against a naive oracle.
#include "wire/checksum.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "wire/test_bytes.h"

namespace tideline::wire {
namespace {

// RFC 1071 §4.1, word by word in network order.
std::uint16_t oracle(Bytes bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = std::to_integer<std::uint32_t>(bytes[i]);
    sum += i % 2 == 0 ? byte << 8 : byte;
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(sum);
}

ByteVector random_bytes(Rng& rng, std::size_t size) {
  ByteVector bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng.below(256));
  return bytes;
}

class ChecksumKernels : public testing::TestWithParam<ChecksumKernel> {
 protected:
  void SetUp() override {
    if (!GetParam().supported()) GTEST_SKIP() << "this processor lacks " << GetParam().name;
  }
};

INSTANTIATE_TEST_SUITE_P(All, ChecksumKernels, testing::ValuesIn(kChecksumKernels),
                         [](const auto& kernel) { return std::string(kernel.param.name); });

std::uint16_t host_order(std::uint64_t sum) { return std::byteswap(fold_sum(sum)); }

// Every length around the kernels' steps, at every alignment of a cache line's worth.
TEST_P(ChecksumKernels, AgreeWithTheOracleAtEveryLengthAndAlignment) {
  Rng rng(1);
  const ByteVector data = random_bytes(rng, 2048);
  for (std::size_t offset = 0; offset < 65; ++offset) {
    for (std::size_t size = 0; size <= 600; ++size) {
      const Bytes bytes = Bytes(data).subspan(offset, size);
      ASSERT_EQ(host_order(GetParam().sum(bytes.data(), size)), oracle(bytes)) << offset << size;
    }
  }
}

TEST_P(ChecksumKernels, CopyExactlyAndSumAtEveryLengthAndAlignment) {
  Rng rng(2);
  const ByteVector data = random_bytes(rng, 2048);
  constexpr std::byte kGuard{0xa5};
  for (std::size_t offset = 0; offset < 33; ++offset) {
    for (std::size_t size = 0; size <= 600; ++size) {
      const Bytes bytes = Bytes(data).subspan(offset, size);
      ByteVector target(size + 2, kGuard);
      ASSERT_EQ(host_order(GetParam().copy_sum(bytes.data(), target.data() + 1, size)),
                oracle(bytes));
      ASSERT_EQ(std::memcmp(target.data() + 1, bytes.data(), size), 0);
      ASSERT_TRUE(target.front() == kGuard && target.back() == kGuard);
    }
  }
}

// All ones in every lane: no carry may be lost, however many there are.
TEST_P(ChecksumKernels, LoseNoCarry) {
  for (const std::size_t size : {std::size_t{65535}, std::size_t{1} << 20}) {
    const ByteVector ones(size, std::byte{0xff});
    EXPECT_EQ(host_order(GetParam().sum(ones.data(), size)), oracle(ones)) << size;
  }
  Rng rng(3);
  const ByteVector data = random_bytes(rng, 65535);
  EXPECT_EQ(host_order(GetParam().sum(data.data(), data.size())), oracle(data));
}

// RFC 1071 §3: the example whose sum is ddf2.
TEST(Checksum, Rfc1071Example) {
  const ByteVector data = from_hex("0001 f203 f4f5 f6f7");
  PartialChecksum sum;
  sum.add(data);
  EXPECT_EQ(sum.folded(), 0xddf2);
  EXPECT_EQ(checksum(data), 0x220d);
}

// The IPv4 header that is quoted everywhere as the worked example; its checksum is b861.
TEST(Checksum, KnownIpv4Header) {
  const ByteVector zeroed = from_hex("4500 0073 0000 4000 4011 0000 c0a8 0001 c0a8 00c7");
  EXPECT_EQ(checksum(zeroed), 0xb861);
  PartialChecksum sum;
  sum.add(with(zeroed, 10, {0xb8, 0x61}));
  EXPECT_TRUE(sum.valid());
  PartialChecksum broken;
  broken.add(with(zeroed, 10, {0xb8, 0x60}));
  EXPECT_FALSE(broken.valid());
}

// RFC 1071 §2 (B): pieces at odd offsets are swapped.
TEST(Checksum, PiecesOfAnyLengthChain) {
  Rng rng(4);
  for (int round = 0; round < 2000; ++round) {
    const ByteVector data = random_bytes(rng, 1 + rng.below(700));
    PartialChecksum appended;
    PartialChecksum merged;
    ByteVector copy(data.size());
    PartialChecksum copied;
    for (std::size_t at = 0; at < data.size();) {
      const std::size_t size = std::min<std::size_t>(data.size() - at, rng.below(200));
      const Bytes piece = Bytes(data).subspan(at, size);
      appended.add(piece);
      PartialChecksum own;
      own.add(piece);
      merged.add(own);
      copied.add_copy(piece, copy.data() + at);
      at += size;
    }
    const std::uint16_t expected = oracle(data);
    ASSERT_EQ(appended.folded(), expected);
    ASSERT_EQ(merged.folded(), expected);
    ASSERT_EQ(copied.folded(), expected);
    ASSERT_EQ(copy, data);
  }
}

TEST(Checksum, PseudoHeaders) {
  const auto v4 = pseudo_header(Ipv4Address(192, 0, 2, 1), Ipv4Address(192, 0, 2, 2), 17, 0x1234);
  EXPECT_EQ(v4.folded(), oracle(from_hex("c0000201 c0000202 00 11 1234")));
  const auto v6 = pseudo_header(Ipv6Address(0x20010db800000000, 1),
                                Ipv6Address(0x20010db800000000, 2), 6, 0x00012345);
  EXPECT_EQ(v6.folded(), oracle(from_hex("20010db8000000000000000000000001"
                                         "20010db8000000000000000000000002 00012345 000000 06")));
}

// RFC 1624 §4: the example where the older equation gives ffff, which is -0.
TEST(ChecksumUpdate, Rfc1624Example) { EXPECT_EQ(update_checksum(0xdd2f, 0x5555, 0x3285), 0x0000); }

TEST(ChecksumUpdate, EqualsAFullSum) {
  Rng rng(5);
  for (int round = 0; round < 200'000; ++round) {
    ByteVector data = random_bytes(rng, 20);
    // Extremes are where carries and the two zeros hide.
    const std::array<unsigned, 4> values{0, 0xffff, 0xfffe,
                                         static_cast<unsigned>(rng.below(65536))};
    const unsigned value = values[rng.below(4)];
    const std::size_t at = 2 * rng.below(10);
    const std::uint16_t before = checksum(data);
    const std::uint16_t old_word = view_as<be16>(Bytes(data).subspan(at)).value();
    data = with(std::move(data), at, {value >> 8, value & 0xff});
    ASSERT_EQ(update_checksum(before, old_word, static_cast<std::uint16_t>(value)), checksum(data));
  }
}

TEST(ChecksumUpdate, OfAddresses) {
  Rng rng(6);
  ByteVector data = random_bytes(rng, 64);
  const std::uint16_t before = checksum(data);
  const ByteVector old_address(data.begin() + 8, data.begin() + 24);
  const ByteVector new_address = random_bytes(rng, 16);
  std::ranges::copy(new_address, data.begin() + 8);
  EXPECT_EQ(update_checksum(before, old_address, new_address), checksum(data));

  const std::uint32_t old_word = view_as<be32>(Bytes(data).subspan(40)).value();
  const std::uint16_t middle = checksum(data);
  data = with(std::move(data), 40, {10, 1, 2, 3});
  EXPECT_EQ(update_checksum32(middle, old_word, 0x0a010203), checksum(data));
}

}  // namespace
}  // namespace tideline::wire
