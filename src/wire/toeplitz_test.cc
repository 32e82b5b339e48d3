// SPDX-License-Identifier: Apache-2.0
#include "wire/toeplitz.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/random.h"
#include "wire/endian.h"
#include "wire/view.h"

namespace tideline::wire {
namespace {

// Microsoft, "Verifying the RSS Hash Calculation".
struct Vector {
  std::string_view destination;
  std::uint16_t destination_port;
  std::string_view source;
  std::uint16_t source_port;
  std::uint32_t addresses_only;
  std::uint32_t with_ports;
};

constexpr std::array<Vector, 5> kIpv4Vectors{{
    {"161.142.100.80", 1766, "66.9.149.187", 2794, 0x323e8fc2, 0x51ccc178},
    {"65.69.140.83", 4739, "199.92.111.2", 14230, 0xd718262a, 0xc626b0ea},
    {"12.22.207.184", 38024, "24.19.198.95", 12898, 0xd2d0a5de, 0x5c2b394a},
    {"209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xafc7327f},
    {"202.188.127.2", 1303, "153.39.163.191", 44251, 0x5d1809c5, 0x10e828a2},
}};

constexpr std::array<Vector, 3> kIpv6Vectors{{
    {"3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2cc18cd5, 0x40207d3d},
    {"ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0f0c461c, 0xdde51bbf},
    {"fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, 0x4b61e985,
     0x02d1feef},
}};

// As the definition puts it: for each set bit of the input, the 32 key bits from there on.
std::uint32_t oracle(const RssKey& key, Bytes input) {
  std::uint32_t hash = 0;
  for (std::size_t i = 0; i < 8 * input.size(); ++i) {
    if ((std::to_integer<unsigned>(input[i / 8]) >> (7 - i % 8) & 1) == 0) continue;
    std::uint32_t window = 0;
    for (std::size_t j = i; j < i + 32; ++j) {
      const unsigned bit = j / 8 < key.size() ? key[j / 8] >> (7 - j % 8) & 1U : 0U;
      window = window << 1 | bit;
    }
    hash ^= window;
  }
  return hash;
}

TEST(Toeplitz, MicrosoftVectors) {
  const Toeplitz toeplitz(kMicrosoftRssKey);
  for (const Vector& vector : kIpv4Vectors) {
    const auto source = Ipv4Address::from_text(vector.source).value();
    const auto destination = Ipv4Address::from_text(vector.destination).value();
    EXPECT_EQ(toeplitz.hash(source, destination), vector.addresses_only);
    EXPECT_EQ(toeplitz.hash(source, destination, vector.source_port, vector.destination_port),
              vector.with_ports);
  }
  for (const Vector& vector : kIpv6Vectors) {
    const auto source = Ipv6Address::from_text(vector.source).value();
    const auto destination = Ipv6Address::from_text(vector.destination).value();
    EXPECT_EQ(toeplitz.hash(source, destination), vector.addresses_only);
    EXPECT_EQ(toeplitz.hash(source, destination, vector.source_port, vector.destination_port),
              vector.with_ports);
  }
}

TEST(Toeplitz, BothWaysAgreeWithTheOracleAtEveryLength) {
  Rng rng(1);
  for (int round = 0; round < 1000; ++round) {
    RssKey key;
    for (std::uint8_t& byte : key) byte = static_cast<std::uint8_t>(rng.below(256));
    const Toeplitz toeplitz(key);
    std::array<std::uint64_t, Toeplitz::kMaxWords> words;
    std::array<be64, Toeplitz::kMaxWords> wire;
    for (std::uint64_t& word : words) word = rng();
    // Two IPv6 addresses and two ports, the longest input, end half way through the last word.
    words.back() &= 0xffffffff00000000;
    std::ranges::transform(words, wire.begin(), [](std::uint64_t word) { return be64(word); });
    for (std::size_t count = 0; count <= words.size(); ++count) {
      const auto input = std::span(words).first(count);
      const std::uint32_t expected = oracle(key, std::as_bytes(std::span(wire).first(count)));
      ASSERT_EQ(toeplitz.hash_by_table(input), expected);
      if (Toeplitz::has_carryless_multiply()) {
        ASSERT_EQ(toeplitz.hash_by_multiply(input), expected);
      }
    }
  }
}

}  // namespace
}  // namespace tideline::wire
