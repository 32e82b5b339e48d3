// SPDX-License-Identifier: Apache-2.0
// The whole data path allocates nothing once it is warm: port, nic, ip and back, on both sides, in
// virtual time. Echo requests and UDP datagrams that are answered, whole and in fragments, over
// ports that can everything and nothing, and over a bad link.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <memory>

#include "base/count_malloc.h"
#include "engine/host.h"
#include "port/impairment.h"
#include "port/memory.h"

namespace tideline::engine {
namespace {

using wire::Ipv4Address;
using wire::Ipv6Address;

constexpr std::uint16_t kPort = 7;

// A host, its function and its pool; the port is the caller's.
struct Station final : ip::UdpHandler, ip::EchoHandler {
  Station(std::uint8_t number, std::unique_ptr<packet::Pool> own_pool,
          std::unique_ptr<port::Port> own_port, Instant now)
      : pool(std::move(own_pool)),
        port(std::move(own_port)),
        rng(number),
        function(*port, 0, *pool, port->info().mac),
        host({}, function, *pool, rng) {
    const Ipv4Address ipv4(198, 18, 0, number);
    const Ipv6Address ipv6(0x20010db800000000, number);
    EXPECT_TRUE(host.configure({.ipv4 = {{ipv4, 24}}, .ipv6 = {{ipv6, 64}}}, now));
    EXPECT_TRUE(host.stack().udp().bind({.port = kPort}, *this));
    EXPECT_TRUE(host.stack().open_echo(1, *this));
    addresses = {Ipv6Address::mapped(ipv4), ipv6};
  }

  void turn(Instant now) {
    function.rx_burst(received, now);
    for (packet::PacketPtr& frame : received) host.stack().receive(std::move(frame), now);
    received.clear();
    if (host.stack().next_deadline() <= now) host.stack().run_timers(now);
    function.flush(now);
    pool->reclaim();
  }

  // Answers what comes from another port.
  void receive(packet::PacketPtr payload, const ip::UdpPath& path, Instant now) override {
    if (path.source.port == kPort) {
      ++answers;
      return;
    }
    payload->meta().offload = {};
    const ip::UdpPath back{.source = {.address = path.destination.address, .port = kPort},
                           .destination = {.address = path.source.address, .port = kPort}};
    EXPECT_TRUE(host.stack().udp().send(std::move(payload), back, now));
  }
  void failed(const ip::PathError&, Instant) override { ++failures; }
  void echo_replied(ip::EchoReply, Instant) override { ++answers; }
  void echo_failed(const ip::PathError&, Instant) override { ++failures; }

  std::unique_ptr<packet::Pool> pool;
  std::unique_ptr<port::Port> port;
  Rng rng;
  nic::Function function;
  Host host;
  packet::Burst received;
  std::array<Ipv6Address, 2> addresses;
  std::size_t answers = 0;
  std::size_t failures = 0;
};

std::unique_ptr<packet::Pool> make_pool() {
  auto pool = packet::Pool::create({.segments = 2048, .loans = 512, .huge_pages = false});
  EXPECT_TRUE(pool.has_value());
  return std::move(*pool);
}

class DataPath {
 public:
  DataPath(const port::Capabilities& capabilities, bool impaired) {
    auto ends = port::MemoryPort::create_pair({.capabilities = capabilities});
    EXPECT_TRUE(ends.has_value());
    auto left_pool = make_pool();
    std::unique_ptr<port::Port> left_port = std::move(ends->left);
    if (impaired) {
      const auto spec = port::ImpairmentSpec::parse("delay=1ms,dup=10%");
      EXPECT_TRUE(spec.has_value());
      left_port = std::make_unique<port::ImpairedPort>(std::move(left_port), *spec, 1,
                                                       port::QueuePools{left_pool.get()});
    }
    left = std::make_unique<Station>(1, std::move(left_pool), std::move(left_port), now);
    right = std::make_unique<Station>(2, make_pool(), std::move(ends->right), now);
    pass(std::chrono::seconds(5));  // duplicate address detection
  }
  ~DataPath() {
    // What is on the wire belongs to the other's pool.
    pass(std::chrono::seconds(1));
  }

  void pass(Duration duration) {
    for (const Instant end = now + duration; now < end; now += std::chrono::milliseconds(1)) {
      left->turn(now);
      right->turn(now);
    }
  }

  // A request of each kind and size; returns how many.
  std::size_t ask() {
    std::size_t asked = 0;
    for (const Ipv6Address& to : right->addresses) {
      const auto source = left->host.stack().source_for(to);
      if (!source) continue;
      for (const std::size_t size : {1U, 1000U, 5000U, 20'000U}) {
        const ip::UdpPath path{.source = {.address = *source, .port = 4000},
                               .destination = {.address = to, .port = kPort}};
        packet::PacketPtr datagram = left->pool->get_chain(size);
        packet::PacketPtr data = left->pool->get_chain(size);
        EXPECT_TRUE(left->host.stack().udp().send(std::move(datagram), path, now));
        EXPECT_TRUE(left->host.stack().ping(std::move(data), to, 1, 1, now));
        asked += 2;
        pass(std::chrono::milliseconds(10));
      }
    }
    return asked;
  }

  Instant now{std::chrono::hours(1)};
  std::unique_ptr<Station> left;
  std::unique_ptr<Station> right;
};

void expect_no_allocation(const port::Capabilities& capabilities, bool impaired) {
  DataPath path(capabilities, impaired);
  // Neighbours, path MTU, reassembly: everything has been used once.
  for (int round = 0; round < 3; ++round) path.ask();
  const std::size_t answers = path.left->answers;
  const std::size_t before = allocations;
  std::size_t asked = 0;
  for (int round = 0; round < 20; ++round) asked += path.ask();
  const std::size_t allocated = allocations - before;
  EXPECT_EQ(allocated, 0U);
  EXPECT_EQ(asked, 20U * 16);
  // A duplicated request is answered twice.
  EXPECT_GE(path.left->answers - answers, asked);
  EXPECT_EQ(path.left->failures + path.right->failures, 0U);
}

TEST(DataPathMalloc, IsNotCalledWhereThePortDoesAll) {
  expect_no_allocation(port::MemoryPortOptions{}.capabilities, false);
}

TEST(DataPathMalloc, IsNotCalledWhereSoftwareDoesAll) { expect_no_allocation({}, false); }

TEST(DataPathMalloc, IsNotCalledOnABadLink) {
  expect_no_allocation({.tx_checksum = true, .scatter_gather = true}, true);
}

TEST(DataPathMalloc, IsCounted) {
  const std::size_t before = allocations;
  const auto object = std::make_unique<std::array<std::byte, 100>>();
  EXPECT_NE(object, nullptr);
  EXPECT_GT(allocations, before);
}

}  // namespace
}  // namespace tideline::engine
