// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <unordered_set>

#include "wire/ip_address.h"
#include "wire/mac_address.h"

namespace tideline::wire {
namespace {

Ipv6Address v6(std::string_view text) { return Ipv6Address::from_text(text).value(); }

TEST(Ipv4Address, TextBothWays) {
  EXPECT_EQ(Ipv4Address::from_text("192.0.2.1").value(), Ipv4Address(0xc0000201));
  EXPECT_EQ(Ipv4Address(192, 0, 2, 1).to_text(), "192.0.2.1");
  for (const char* bad : std::array{"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.04", "1.2.3.4 ",
                                    "a.b.c.d", "0x7f.1.1.1", "1.2.3.-4", "::1"}) {
    const auto result = Ipv4Address::from_text(bad);
    ASSERT_FALSE(result.has_value()) << bad;
    EXPECT_EQ(result.error().kind, ErrorKind::kUsage);
  }
  using namespace std::string_view_literals;
  EXPECT_FALSE(Ipv4Address::from_text("1.2.3.4\0"sv).has_value());
}

TEST(Ipv4Address, Classes) {
  EXPECT_TRUE(Ipv4Address().is_unspecified());
  EXPECT_TRUE(Ipv4Address(127, 255, 0, 1).is_loopback());
  EXPECT_TRUE(Ipv4Address(224, 0, 0, 1).is_multicast());
  EXPECT_TRUE(Ipv4Address(239, 255, 255, 255).is_multicast());
  EXPECT_FALSE(Ipv4Address(223, 255, 255, 255).is_multicast());
  EXPECT_FALSE(Ipv4Address(240, 0, 0, 0).is_multicast());
  EXPECT_TRUE(Ipv4Address(240, 0, 0, 0).is_reserved());
  EXPECT_TRUE(Ipv4Address(169, 254, 1, 1).is_link_local());
  EXPECT_TRUE(Ipv4Address(255, 255, 255, 255).is_limited_broadcast());
}

// RFC 4291 §2.2: the same address in its spellings.
TEST(Ipv6Address, ReadsEverySpelling) {
  EXPECT_EQ(v6("2001:DB8:0:0:8:800:200C:417A"),
            Ipv6Address(0x20010db800000000, 0x00080800200c417a));
  EXPECT_EQ(v6("2001:DB8::8:800:200C:417A"), v6("2001:db8:0:0:8:800:200c:417a"));
  EXPECT_EQ(v6("FF01::101"), Ipv6Address(0xff01000000000000, 0x101));
  EXPECT_EQ(v6("::1"), Ipv6Address(0, 1));
  EXPECT_EQ(v6("::"), Ipv6Address());
  EXPECT_EQ(v6("::FFFF:129.144.52.38"), Ipv6Address::mapped({129, 144, 52, 38}));
  EXPECT_EQ(v6("0:0:0:0:0:0:13.1.68.3"), Ipv6Address(0, 0x0d014403));
  for (const char* bad : std::array{"", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
                                    "12345::", "g::", "fe80::1%eth0", "1.2.3.4", "::1.2.3"}) {
    EXPECT_FALSE(Ipv6Address::from_text(bad).has_value()) << bad;
  }
}

// RFC 5952 §4 and §5.
TEST(Ipv6Address, WritesTheCanonicalForm) {
  EXPECT_EQ(v6("2001:0db8::0001").to_text(), "2001:db8::1");
  EXPECT_EQ(v6("2001:db8:0:0:0:0:2:1").to_text(), "2001:db8::2:1");
  EXPECT_EQ(v6("2001:db8:0:1:1:1:1:1").to_text(), "2001:db8:0:1:1:1:1:1");
  EXPECT_EQ(v6("2001:0:0:1:0:0:0:1").to_text(), "2001:0:0:1::1");
  EXPECT_EQ(v6("2001:db8:0:0:1:0:0:1").to_text(), "2001:db8::1:0:0:1");
  EXPECT_EQ(v6("2001:DB8::AAAA").to_text(), "2001:db8::aaaa");
  EXPECT_EQ(v6("::").to_text(), "::");
  EXPECT_EQ(v6("::1").to_text(), "::1");
  EXPECT_EQ(v6("1::").to_text(), "1::");
  EXPECT_EQ(v6("::1:2").to_text(), "::1:2");
  EXPECT_EQ(v6("0:1:2:3:4:5:6:7").to_text(), "0:1:2:3:4:5:6:7");
  EXPECT_EQ(v6("::ffff:192.0.2.1").to_text(), "::ffff:192.0.2.1");
}

TEST(Ipv6Address, Classes) {
  EXPECT_TRUE(v6("::").is_unspecified());
  EXPECT_TRUE(v6("::1").is_loopback());
  EXPECT_TRUE(v6("fe80::1").is_link_local());
  EXPECT_TRUE(v6("febf::1").is_link_local());
  EXPECT_FALSE(v6("fec0::1").is_link_local());
  EXPECT_TRUE(v6("fd00::1").is_unique_local());
  EXPECT_TRUE(v6("ff02::1").is_multicast());
  EXPECT_EQ(v6("ff0e::1").multicast_scope(), 14U);
  EXPECT_TRUE(v6("::ffff:1.2.3.4").is_mapped());
  EXPECT_EQ(v6("::ffff:1.2.3.4").mapped_ipv4(), Ipv4Address(1, 2, 3, 4));
  EXPECT_FALSE(v6("::fffe:1.2.3.4").is_mapped());
}

// RFC 4291 §2.7.1's example.
TEST(Ipv6Address, SolicitedNode) {
  EXPECT_EQ(v6("4037::01:800:200E:8C6C").solicited_node(), v6("FF02::1:FF0E:8C6C"));
  EXPECT_TRUE(v6("ff02::1:ff0e:8c6c").is_solicited_node());
  EXPECT_FALSE(v6("ff02::1:fe0e:8c6c").is_solicited_node());
}

TEST(Prefix, TextAndMembership) {
  const auto net = Ipv4Prefix::from_text("10.1.2.3/22").value();
  EXPECT_EQ(net.to_text(), "10.1.2.3/22");
  EXPECT_EQ(net.network(), Ipv4Address(10, 1, 0, 0));
  EXPECT_TRUE(net.contains(Ipv4Address(10, 1, 3, 255)));
  EXPECT_FALSE(net.contains(Ipv4Address(10, 1, 4, 0)));
  EXPECT_EQ(directed_broadcast(net), Ipv4Address(10, 1, 3, 255));
  EXPECT_EQ(directed_broadcast({Ipv4Address(10, 0, 0, 0), 31}), Ipv4Address(0xffffffff));
  const auto everything = Ipv4Prefix::from_text("0.0.0.0/0").value();
  EXPECT_TRUE(everything.contains(Ipv4Address(255, 1, 2, 3)));

  constexpr std::array kLengths{0U, 1U, 63U, 64U, 65U, 127U, 128U};
  for (const unsigned length : kLengths) {
    const Ipv6Prefix prefix{v6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
                            static_cast<std::uint8_t>(length)};
    const Ipv6Address network = prefix.network();
    unsigned bits = 0;
    for (const std::uint8_t byte : network.bytes()) {
      bits += static_cast<unsigned>(std::popcount(byte));
    }
    EXPECT_EQ(bits, length);
  }
  EXPECT_TRUE(Ipv6Prefix::from_text("2001:db8::/32")->contains(v6("2001:db8:ffff::1")));

  for (const char* bad : std::array{"10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
                                    "10.0.0.0/8x", "10.0.0/8", "10.0.0.0/256", "/8"}) {
    EXPECT_FALSE(Ipv4Prefix::from_text(bad).has_value()) << bad;
  }
  EXPECT_FALSE(Ipv6Prefix::from_text("::/129").has_value());
}

TEST(MacAddress, TextAndClasses) {
  const auto mac = MacAddress::from_text("02:00:5E:10:00:0f").value();
  EXPECT_EQ(mac.to_text(), "02:00:5e:10:00:0f");
  EXPECT_TRUE(mac.is_unicast());
  EXPECT_FALSE(MacAddress().is_unicast());
  EXPECT_TRUE(kMacBroadcast.is_broadcast() && kMacBroadcast.is_multicast());
  EXPECT_TRUE(MacAddress::from_text("01:00:5e:00:00:01")->is_multicast());
  for (const char* bad : std::array{"", "02:00:00:00:00", "02:00:00:00:00:0g", "02-00-00-00-00-01",
                                    "02:00:00:00:00:001", "020000000001 xxxx"}) {
    EXPECT_FALSE(MacAddress::from_text(bad).has_value()) << bad;
  }
}

TEST(MacAddress, MulticastMapping) {
  // RFC 1112 §6.4: 23 bits, so 224.128.1.2 and 239.0.1.2 share an address.
  EXPECT_EQ(MacAddress::for_multicast(Ipv4Address(224, 128, 1, 2)).to_text(), "01:00:5e:00:01:02");
  EXPECT_EQ(MacAddress::for_multicast(Ipv4Address(239, 127, 255, 250)).to_text(),
            "01:00:5e:7f:ff:fa");
  // RFC 2464 §7.
  EXPECT_EQ(MacAddress::for_multicast(v6("ff02::1:ff0e:8c6c")).to_text(), "33:33:ff:0e:8c:6c");
}

TEST(Addresses, HashAndOrder) {
  std::unordered_set<Ipv4Address> v4_set;
  std::unordered_set<Ipv6Address> v6_set;
  std::unordered_set<MacAddress> mac_set;
  std::unordered_set<std::size_t> hashes;
  for (std::uint8_t i = 0; i < 100; ++i) {
    v4_set.insert(Ipv4Address(10, 0, 0, i));
    v6_set.insert(Ipv6Address(i, 1));
    v6_set.insert(Ipv6Address(1, i));
    mac_set.insert(MacAddress({2, 0, 0, 0, 0, i}));
    hashes.insert(std::hash<Ipv6Address>()(Ipv6Address(i, 0)));
    hashes.insert(std::hash<Ipv6Address>()(Ipv6Address(0, i)));
  }
  EXPECT_EQ(v4_set.size(), 100U);
  EXPECT_EQ(v6_set.size(), 199U);
  EXPECT_EQ(mac_set.size(), 100U);
  EXPECT_EQ(hashes.size(), 199U);
  EXPECT_LT(Ipv4Address(9, 255, 0, 0), Ipv4Address(10, 0, 0, 0));
  EXPECT_LT(v6("2001:db8::"), v6("2001:db8::1"));
}

}  // namespace
}  // namespace tideline::wire
