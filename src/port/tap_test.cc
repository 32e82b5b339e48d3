// SPDX-License-Identifier: Apache-2.0
// What is particular to a TAP: its notation, the kernel's side as it is set up, several queues, and
// that the kernel's sockets hear what is sent and are heard.
#include "port/tap.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "port/interface.h"
#include "port/port_test_util.h"
#include "port/test_namespace.h"
#include "wire/checksum.h"

namespace tideline::port {
namespace {

TEST(TapSpec, ReadsTheNotation) {
  const auto spec = TapSpec::parse("tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64");
  ASSERT_TRUE(spec.has_value()) << spec.error().message();
  EXPECT_EQ(spec->name, "tl0");
  ASSERT_TRUE(spec->peer.has_value());
  EXPECT_EQ(spec->peer->to_text(), "192.0.2.1/24");
  ASSERT_TRUE(spec->peer6.has_value());
  EXPECT_EQ(spec->peer6->to_text(), "2001:db8::1/64");
  EXPECT_FALSE(TapSpec::parse("tl0").value().peer.has_value());
  for (const char* text : {"", ",peer=192.0.2.1/24", "tl0,peer=192.0.2.1/33", "tl0,peer=x",
                           "tl0,mtu=1500", "a-name-that-is-too-long", "a/b", "tl0,peer6=::1/129"}) {
    EXPECT_FALSE(TapSpec::parse(text).has_value()) << text;
  }
}

class Tap : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const Status entered = testing::enter_test_namespace(); !entered) {
      GTEST_SKIP() << entered.error().message();
    }
  }

  std::unique_ptr<Pool> pool_ = testing::make_pool(1024);
};

struct UdpSocket {
  explicit UdpSocket(std::uint16_t port)
      : fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    const sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}};
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  UniqueFd fd;
};

TEST_F(Tap, SetsUpTheKernelsSide) {
  auto spec = TapSpec::parse("tl-set,peer=192.0.2.1/24");
  spec->mtu = 9000;
  auto port = TapPort::open(*spec, {pool_.get()});
  ASSERT_TRUE(port.has_value()) << port.error().message();
  const auto interface = read_interface("tl-set");
  ASSERT_TRUE(interface.has_value());
  EXPECT_EQ(interface->mtu, 9000U);
  EXPECT_NE(interface->mac, (*port)->info().mac);
  // A datagram to a neighbour makes the kernel ask for its address.
  const UdpSocket socket(4000);
  sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(7), .sin_addr = {}};
  ::inet_pton(AF_INET, "192.0.2.9", &to.sin_addr);
  EXPECT_EQ(::sendto(socket.fd.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 1);
  EXPECT_TRUE(testing::receive_until(**port, 0, [](const Packet& frame) {
    const auto bytes = testing::bytes_of(frame);
    return bytes.size() >= 42 && bytes[12] == std::byte{0x08} && bytes[13] == std::byte{0x06} &&
           bytes[41] == std::byte{9};
  }));
  port->reset();
  EXPECT_FALSE(read_interface("tl-set").has_value()) << "the device goes with the port";
}

TEST_F(Tap, ANameIsTakenOnce) {
  auto port = TapPort::open({.name = "tl-once"}, {pool_.get()});
  ASSERT_TRUE(port.has_value());
  const auto second = TapPort::open({.name = "tl-once"}, {pool_.get()});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().kind, ErrorKind::kEnvironment);
}

// One USO frame of 20 datagrams, without checksums: the kernel's socket must hear 20.
TEST_F(Tap, TheKernelTakesUnsegmentedFramesWithoutChecksums) {
  auto spec = TapSpec::parse("tl-uso,peer=192.0.2.1/24");
  auto port = TapPort::open(*spec, {pool_.get()});
  ASSERT_TRUE(port.has_value()) << port.error().message();
  if (!(*port)->capabilities().uso) GTEST_SKIP() << "this kernel has no UDP segmentation";
  const UdpSocket socket(5002);
  constexpr std::size_t kDatagram = 1000;
  constexpr std::size_t kCount = 20;
  constexpr std::size_t kIp = kEthernetHeader;
  constexpr std::size_t kUdp = kIp + 20;
  std::vector<std::byte> frame(kUdp + 8 + kCount * kDatagram, std::byte{0x5a});
  const auto put16 = [&frame](std::size_t at, std::size_t value) {
    frame[at] = static_cast<std::byte>(value >> 8);
    frame[at + 1] = static_cast<std::byte>(value);
  };
  std::memset(frame.data(), 0, kUdp + 8);
  const auto kernel = read_interface("tl-uso");
  ASSERT_TRUE(kernel.has_value());
  std::memcpy(frame.data(), kernel->mac.bytes().data(), 6);
  std::memcpy(frame.data() + 6, (*port)->info().mac.bytes().data(), 6);
  put16(12, 0x0800);
  put16(kIp, 0x4500);
  put16(kIp + 2, frame.size() - kIp);
  frame[kIp + 8] = std::byte{64};
  frame[kIp + 9] = std::byte{17};
  const wire::Ipv4Address from(192, 0, 2, 2);
  const wire::Ipv4Address to(192, 0, 2, 1);
  std::memcpy(&frame[kIp + 12], from.bytes().data(), 4);
  std::memcpy(&frame[kIp + 16], to.bytes().data(), 4);
  put16(kIp + 10, wire::checksum(std::span(frame).subspan(kIp, 20)));
  put16(kUdp, 4000);
  put16(kUdp + 2, 5002);
  put16(kUdp + 4, frame.size() - kUdp);
  const auto length = static_cast<std::uint32_t>(frame.size() - kUdp);
  put16(kUdp + 6, wire::pseudo_header(from, to, 17, length).folded());

  packet::PassCounter passes;
  Burst burst;
  burst.push(packet::copy_of(frame, *pool_, passes));
  burst[0]->meta().offload = {.checksum = packet::Checksum::kNeeded,
                              .gso = packet::Gso::kUdp,
                              .checksum_start = kUdp,
                              .checksum_offset = 6,
                              .gso_size = kDatagram,
                              .header_length = kUdp + 8};
  ASSERT_EQ((*port)->tx_burst(0, burst, Instant{}), 1U);
  std::array<std::byte, 2000> datagram{};
  std::size_t received = 0;
  pollfd wait{.fd = socket.fd.get(), .events = POLLIN};
  while (received < kCount && ::poll(&wait, 1, 3000) == 1) {
    EXPECT_EQ(::recv(socket.fd.get(), datagram.data(), datagram.size(), 0),
              static_cast<ssize_t>(kDatagram));
    ++received;
  }
  EXPECT_EQ(received, kCount);
}

// The kernel learns from what it receives which queue a flow belongs to; whatever queue it
// chooses, every frame comes out of one.
TEST_F(Tap, SeveralQueuesServeOneDevice) {
  const auto other = testing::make_pool(1024);
  auto spec = TapSpec::parse("tl-many,peer=192.0.2.1/24");
  auto port = TapPort::open(*spec, {pool_.get(), other.get()});
  ASSERT_TRUE(port.has_value()) << port.error().message();
  EXPECT_EQ((*port)->info().queues, 2U);
  EXPECT_NE((*port)->fd(0), (*port)->fd(1));
  const UdpSocket socket(4001);
  sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(7), .sin_addr = {}};
  ::inet_pton(AF_INET, "192.0.2.255", &to.sin_addr);
  const int yes = 1;
  ASSERT_EQ(::setsockopt(socket.fd.get(), SOL_SOCKET, SO_BROADCAST, &yes, sizeof(yes)), 0);
  std::size_t received = 0;
  const auto is_ours = [](const Packet& frame) { return frame.size() == 42 + 333; };
  const std::array<std::byte, 333> payload{};
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(::sendto(socket.fd.get(), payload.data(), payload.size(), 0,
                       reinterpret_cast<sockaddr*>(&to), sizeof(to)),
              static_cast<ssize_t>(payload.size()));
  }
  const Instant give_up = monotonic_now() + std::chrono::seconds(3);
  Burst burst;
  while (received < 10 && monotonic_now() < give_up) {
    for (unsigned queue = 0; queue < 2; ++queue) {
      (*port)->rx_burst(queue, burst, monotonic_now());
      for (const PacketPtr& frame : burst) {
        EXPECT_EQ(frame->meta().queue, queue);
        if (is_ours(*frame)) ++received;
      }
      burst.clear();
    }
  }
  EXPECT_EQ(received, 10U);
}

}  // namespace
}  // namespace tideline::port
