// SPDX-License-Identifier: Apache-2.0
// What is particular to AF_XDP: its notation, its modes, which frames it takes from the kernel,
// that it copies nothing, and that nothing of it stays behind.
#include "port/af_xdp.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "packet/copy.h"
#include "port/interface.h"
#include "port/packet.h"
#include "port/port_test_util.h"
#include "port/test_namespace.h"

namespace tideline::port {
namespace {

using wire::Ipv4Address;
using wire::Ipv6Address;

TEST(XdpSpec, ReadsTheNotation) {
  const auto plain = XdpSpec::parse("eth0");
  ASSERT_TRUE(plain.has_value()) << plain.error().message();
  EXPECT_EQ(plain->interface, "eth0");
  EXPECT_EQ(plain->modes.size(), 3U);
  EXPECT_FALSE(plain->take_all);
  const auto full = XdpSpec::parse("eth0,mode=generic,all");
  ASSERT_TRUE(full.has_value()) << full.error().message();
  EXPECT_EQ(full->modes, std::vector{XdpMode::kGeneric});
  EXPECT_TRUE(full->take_all);
  for (const char* text :
       {"", ",all", "eth0,mode=fast", "eth0,mode=", "eth0,", "eth0,everything"}) {
    const auto bad = XdpSpec::parse(text);
    ASSERT_FALSE(bad.has_value()) << text;
    EXPECT_EQ(bad.error().kind, ErrorKind::kUsage);
    EXPECT_FALSE(bad.error().remedy.empty());
  }
}

// tl-near has the port, tl-far the station at the other end.
class AfXdp : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const Status entered = testing::enter_test_namespace(); !entered) {
      GTEST_SKIP() << entered.error().message();
    }
  }
  void TearDown() override {
    if (has_veth_) testing::remove_veth("tl-near");
  }

  void cable(unsigned mtu = 1500, unsigned queues = 1) {
    const Status made = testing::make_veth("tl-near", "tl-far", mtu, queues);
    ASSERT_TRUE(made.has_value()) << made.error().message();
    has_veth_ = true;
  }
  Result<std::unique_ptr<XdpPort>> open(const std::string& spec) {
    return XdpPort::open(XdpSpec::parse(spec).value(), {pool_.get()});
  }

  std::unique_ptr<Pool> pool_ = testing::make_pool(1024);
  std::unique_ptr<Pool> other_pool_ = testing::make_pool(1024);
  bool has_veth_ = false;
};

// Bytes of a frame, field after field.
class FrameBytes {
 public:
  FrameBytes(const wire::MacAddress& to, std::uint16_t type) {
    add(to.bytes()).add({0x02, 0, 0, 0, 0, 9}).be16(type);
  }
  template <std::size_t kSize>
  FrameBytes& add(const std::array<std::uint8_t, kSize>& bytes) {
    for (const std::uint8_t byte : bytes) bytes_.push_back(std::byte{byte});
    return *this;
  }
  FrameBytes& add(std::initializer_list<std::uint8_t> bytes) {
    for (const std::uint8_t byte : bytes) bytes_.push_back(std::byte{byte});
    return *this;
  }
  FrameBytes& be16(std::size_t value) {
    return add({static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)});
  }
  FrameBytes& zeros(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

std::vector<std::byte> ipv4(const wire::MacAddress& mac, Ipv4Address to, std::size_t payload,
                            std::uint16_t fragment = 0, std::uint16_t source_port = 4000) {
  FrameBytes frame(mac, 0x0800);
  frame.add({0x45, 0}).be16(28 + payload).be16(7).be16(fragment).add({64, 17, 0, 0});
  frame.add(Ipv4Address(192, 0, 2, 9).bytes()).add(to.bytes());
  frame.be16(source_port).be16(5000).be16(8 + payload).be16(0).zeros(payload);
  return frame.bytes();
}

std::vector<std::byte> arp(const wire::MacAddress& mac, std::uint16_t operation,
                           Ipv4Address target) {
  FrameBytes frame(mac, 0x0806);
  frame.be16(1).be16(0x0800).add({6, 4}).be16(operation).add({0x02, 0, 0, 0, 0, 9});
  frame.add(Ipv4Address(192, 0, 2, 9).bytes()).zeros(6).add(target.bytes());
  return frame.bytes();
}

// An ICMPv6 message whose body begins with `target`.
std::vector<std::byte> icmpv6(const wire::MacAddress& mac, const Ipv6Address& to, std::uint8_t type,
                              const Ipv6Address& target) {
  FrameBytes frame(mac, 0x86dd);
  frame.add({0x60, 0, 0, 0}).be16(24).add({58, 255});
  frame.add(Ipv6Address(0x20010db800000000, 9).bytes()).add(to.bytes());
  frame.add({type, 0, 0, 0, 0, 0, 0, 0}).add(target.bytes());
  return frame.bytes();
}

struct Case {
  const char* name;
  bool ours;
  std::vector<std::byte> frame;
};

std::vector<Case> filter_cases(const wire::MacAddress& mac) {
  const Ipv4Address ours(192, 0, 2, 2);
  const Ipv4Address kernels(192, 0, 2, 3);
  const Ipv4Address group(239, 1, 2, 3);
  const Ipv6Address ours6(0x20010db800000000, 2);
  const Ipv6Address kernels6(0x20010db800000000, 3);
  // The same group as ours6.
  const Ipv6Address namesake(0x20010db800000000, 0x1000000002);
  const auto group_mac = [](const Ipv6Address& g) { return wire::MacAddress::for_multicast(g); };
  const wire::MacAddress everybody = group_mac(wire::kIpv6AllNodes);
  std::vector<Case> cases{
      {"IPv4, ours", true, ipv4(mac, ours, 30)},
      {"IPv4, a later fragment", true, ipv4(mac, ours, 32, 0x2003)},
      {"IPv4, the kernel's", false, ipv4(mac, kernels, 34)},
      {"IPv4, broadcast", false, ipv4(wire::kMacBroadcast, Ipv4Address(0xffffffff), 36)},
      {"IPv4, our group", true, ipv4(wire::MacAddress::for_multicast(group), group, 38)},
      {"IPv4, another group", false,
       ipv4(wire::MacAddress::for_multicast(group), Ipv4Address(239, 1, 2, 4), 40)},
      {"ARP request for us", true, arp(wire::kMacBroadcast, 1, ours)},
      {"ARP reply to us", true, arp(mac, 2, ours)},
      {"ARP request for the kernel", false, arp(wire::kMacBroadcast, 1, kernels)},
      {"IPv6, ours", true, icmpv6(mac, ours6, 128, kernels6)},
      {"IPv6, the kernel's", false, icmpv6(mac, kernels6, 128, ours6)},
      {"IPv6, all nodes", false, icmpv6(everybody, wire::kIpv6AllNodes, 128, ours6)},
      {"solicitation of us", true,
       icmpv6(group_mac(ours6.solicited_node()), ours6.solicited_node(), 135, ours6)},
      {"solicitation of our namesake", false,
       icmpv6(group_mac(ours6.solicited_node()), ours6.solicited_node(), 135, namesake)},
      {"advertisement of our address", true, icmpv6(everybody, wire::kIpv6AllNodes, 136, ours6)},
      {"advertisement of another", false, icmpv6(everybody, wire::kIpv6AllNodes, 136, kernels6)},
      {"another protocol", false, FrameBytes(mac, 0x88b5).zeros(40).bytes()},
      {"no whole IPv4 header", false, FrameBytes(mac, 0x0800).zeros(12).bytes()},
  };
  auto tagged = ipv4(mac, ours, 42);
  const std::array<std::uint8_t, 4> tag{0x81, 0, 0, 5};
  tagged.insert(tagged.begin() + 12, 4, std::byte{});
  std::memcpy(tagged.data() + 12, tag.data(), tag.size());
  cases.push_back({"VLAN, whose stations are not ours", false, tagged});
  return cases;
}

using Frames = std::vector<std::vector<std::byte>>;

bool contains(const Frames& frames, const std::vector<std::byte>& frame) {
  return std::ranges::find(frames, frame) != frames.end();
}

// The next `count` frames, or as many as come.
Frames collect(Port& port, std::size_t count) {
  Frames frames;
  testing::receive_until(port, 0, [&](const Packet& frame) {
    frames.push_back(testing::bytes_of(frame));
    return frames.size() == count;
  });
  return frames;
}

TEST_F(AfXdp, TakesFramesForClaimedAddressesAndLeavesTheKernelTheRest) {
  for (const char* mode : {"copy", "generic"}) {
    SCOPED_TRACE(mode);
    cable();
    auto port = open(fmt::format("tl-near,mode={}", mode));
    ASSERT_TRUE(port.has_value()) << port.error().message();
    for (const char* text : {"::ffff:192.0.2.2", "::ffff:239.1.2.3", "2001:db8::2"}) {
      const Status claimed = (*port)->claim(Ipv6Address::from_text(text).value());
      ASSERT_TRUE(claimed.has_value()) << claimed.error().message();
    }
    auto kernel = PacketPort::open("tl-near", {other_pool_.get()}, {.rx_blocks = 4});
    ASSERT_TRUE(kernel.has_value()) << kernel.error().message();
    const auto pool = testing::make_pool(256);
    auto far = PacketPort::open("tl-far", {pool.get()}, {.rx_blocks = 4});
    ASSERT_TRUE(far.has_value()) << far.error().message();

    const auto cases = filter_cases((*port)->info().mac);
    Burst burst;
    packet::PassCounter passes;
    for (const Case& each : cases) burst.push(packet::copy_of(each.frame, *pool, passes));
    const auto ours = static_cast<std::size_t>(std::ranges::count(cases, true, &Case::ours));
    ASSERT_EQ((*far)->tx_burst(0, burst, monotonic_now()), cases.size());
    const Frames got_ours = collect(**port, ours);
    const Frames got_kernels = collect(**kernel, cases.size() - ours);
    for (const Case& each : cases) {
      EXPECT_EQ(contains(got_ours, each.frame), each.ours) << each.name;
      EXPECT_EQ(contains(got_kernels, each.frame), !each.ours) << each.name;
    }
    port->reset();
    kernel->reset();
    far->reset();
    testing::remove_veth("tl-near");
    has_veth_ = false;
  }
}

TEST_F(AfXdp, AnAddressOfTheKernelIsRefused) {
  cable();
  auto port = open("tl-near");
  ASSERT_TRUE(port.has_value()) << port.error().message();
  const auto far = read_interface("tl-far");
  ASSERT_TRUE(add_interface_address(far->index, {Ipv4Address(192, 0, 2, 1), 24}).has_value());
  const Status taken = (*port)->claim(Ipv6Address::mapped(Ipv4Address(192, 0, 2, 1)));
  ASSERT_FALSE(taken.has_value());
  EXPECT_EQ(taken.error().kind, ErrorKind::kUsage);
  EXPECT_NE(taken.error().what.find("192.0.2.1"), std::string::npos);
}

TEST_F(AfXdp, TakesTheBestModeThatTheInterfaceHas) {
  cable(9000);
  auto native = open("tl-near");
  ASSERT_TRUE(native.has_value()) << native.error().message();
  EXPECT_EQ((*native)->mode(), XdpMode::kCopy);
  EXPECT_EQ((*native)->info().mtu, 9000U);
  const auto zero_copy = open("tl-far,mode=zerocopy");
  ASSERT_FALSE(zero_copy.has_value()) << "veth has no zero-copy";
  EXPECT_EQ(zero_copy.error().kind, ErrorKind::kEnvironment);
  EXPECT_NE(zero_copy.error().remedy.find("mode=copy"), std::string::npos);
  // lo has no XDP of its own.
  auto generic = open("lo");
  ASSERT_TRUE(generic.has_value()) << generic.error().message();
  EXPECT_EQ((*generic)->mode(), XdpMode::kGeneric);
  generic->reset();
  const auto forced = open("lo,mode=copy");
  ASSERT_FALSE(forced.has_value());
  EXPECT_NE(forced.error().remedy.find("mode=generic"), std::string::npos);
}

TEST_F(AfXdp, LongFramesNeedSeveralBuffers) {
  cable(9000);
  XdpSpec spec = XdpSpec::parse("tl-near").value();
  spec.multi_buffer = false;
  const auto port = XdpPort::open(spec, {pool_.get()});
  ASSERT_FALSE(port.has_value());
  EXPECT_EQ(port.error().kind, ErrorKind::kEnvironment);
  EXPECT_NE(port.error().remedy.find("1774"), std::string::npos) << port.error().message();
}

TEST_F(AfXdp, AnInterfaceServesOnePortAtATimeAndTheNextAtOnce) {
  cable();
  for (int i = 0; i < 10; ++i) {
    const auto port = open("tl-near");
    ASSERT_TRUE(port.has_value()) << port.error().message();
    const auto second = open("tl-near");
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().kind, ErrorKind::kEnvironment);
    EXPECT_NE(second.error().what.find("another XDP program"), std::string::npos);
  }
}

TEST_F(AfXdp, AKilledProcessLeavesNothingAttached) {
  cable();
  std::array<int, 2> ready{};
  ASSERT_EQ(::pipe(ready.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const auto port = open("tl-near");
    const char byte = port.has_value() ? 'y' : 'n';
    if (::write(ready[1], &byte, 1) == 1) ::pause();
    ::_exit(0);
  }
  ::close(ready[1]);
  char byte = 0;
  EXPECT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  ::close(ready[0]);
  EXPECT_FALSE(open("tl-near").has_value()) << "the child has it";
  ::kill(child, SIGKILL);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  const auto port = open("tl-near");
  EXPECT_TRUE(port.has_value()) << port.error().message();
}

TEST_F(AfXdp, EveryReceiveQueueIsServed) {
  cable(1500, 2);
  const auto one = open("tl-near");
  ASSERT_FALSE(one.has_value()) << "the other queue would never be seen";
  EXPECT_NE(one.error().remedy.find("ethtool -L"), std::string::npos);
  auto port = XdpPort::open(XdpSpec::parse("tl-near").value(), {pool_.get(), other_pool_.get()});
  ASSERT_TRUE(port.has_value()) << port.error().message();
  ASSERT_TRUE((*port)->claim(Ipv6Address::mapped(Ipv4Address(192, 0, 2, 2))).has_value());
  const auto pool = testing::make_pool(256);
  auto far = PacketPort::open("tl-far", {pool.get()}, {.rx_blocks = 4});
  ASSERT_TRUE(far.has_value()) << far.error().message();
  Burst burst;
  packet::PassCounter passes;
  for (std::uint16_t i = 0; i < Burst::kCapacity; ++i) {
    const auto flow = static_cast<std::uint16_t>(1000 + i);
    const auto bytes = ipv4((*port)->info().mac, Ipv4Address(192, 0, 2, 2), 30, 0, flow);
    burst.push(packet::copy_of(bytes, *pool, passes));
  }
  ASSERT_EQ((*far)->tx_burst(0, burst, monotonic_now()), Burst::kCapacity);
  std::array<std::size_t, 2> received{};
  const Instant give_up = monotonic_now() + std::chrono::seconds(3);
  while (received[0] + received[1] < Burst::kCapacity && monotonic_now() < give_up) {
    for (unsigned queue = 0; queue < 2; ++queue) {
      received[queue] += (*port)->rx_burst(queue, burst, monotonic_now());
      for (const PacketPtr& frame : burst) EXPECT_EQ(frame->meta().queue, queue);
      burst.clear();
    }
  }
  EXPECT_EQ(received[0] + received[1], Burst::kCapacity);
  EXPECT_GT(received[0], 0U);
  EXPECT_GT(received[1], 0U);
}

// Where the kernel copies, a scattered frame costs it more than one that we joined while summing
// it.
TEST_F(AfXdp, TakesScatteredFramesWhereNoSegmentHoldsThem) {
  for (const unsigned mtu : {1500U, 9000U}) {
    cable(mtu);
    {
      const auto port = open("tl-near");
      ASSERT_TRUE(port.has_value()) << port.error().message();
      EXPECT_EQ((*port)->capabilities().scatter_gather, mtu == 9000);
      EXPECT_EQ((*port)->capabilities().tx_checksum, mtu == 9000);
    }
    testing::remove_veth("tl-near");
  }
  has_veth_ = false;
}

TEST_F(AfXdp, NothingIsCopiedByUsThatLiesInTheQueuesPool) {
  cable(9000);
  auto near = open("tl-near,all");
  ASSERT_TRUE(near.has_value()) << near.error().message();
  auto far = XdpPort::open(XdpSpec::parse("tl-far,all").value(), {other_pool_.get()});
  ASSERT_TRUE(far.has_value()) << far.error().message();
  packet::PacketRef kept(testing::make_frame(*pool_, 6000, 1));
  Burst burst;
  burst.push(testing::make_frame(*pool_, 1000, 2));
  burst.push(testing::make_frame(*pool_, 9000, 3));
  burst.push(kept.lend(*pool_, 0, 6000));
  ASSERT_EQ((*near)->tx_burst(0, burst, monotonic_now()), 3U);
  EXPECT_EQ(testing::receive_frames(**far, 3).size(), 3U);
  for (Port* port : std::initializer_list<Port*>{near->get(), far->get()}) {
    EXPECT_EQ(port->stats(0).passes.total(), 0U) << port->info().name;
    EXPECT_EQ(port->stats(0).passes.bytes(packet::Pass::kKernelCopy), 16'000U);
  }
  // From elsewhere it is gathered into the pool first: one pass.
  burst.push(testing::make_frame(*other_pool_, 9000, 4));
  ASSERT_EQ((*near)->tx_burst(0, burst, monotonic_now()), 1U);
  EXPECT_EQ(testing::receive_frames(**far, 1).size(), 1U);
  EXPECT_EQ((*near)->stats(0).passes.total(), 9000U);
}

}  // namespace
}  // namespace tideline::port
