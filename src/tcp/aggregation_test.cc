// SPDX-License-Identifier: Apache-2.0
#include "tcp/aggregation.h"

#include <gtest/gtest.h>

#include "ip/test_host.h"
#include "wire/tcp.h"

namespace tideline::tcp {
namespace {

using ip::ByteVector;

struct Sent {
  std::uint32_t seq = 1000;
  std::size_t size = 1000;
  std::uint16_t flags = wire::kTcpAck;
  std::uint32_t ack = 77;
  std::uint16_t window = 500;
  std::uint32_t stamp = 5;
  std::uint8_t code = 0;  // of an authentication option: its first byte; 0: there is none
  std::uint8_t traffic_class = 0;
  std::uint16_t port = 4000;
  bool six = false;
  bool bad_sum = false;
};

// Byte i of the stream is i, so that a merged frame shows where its bytes came from.
ByteVector frame_of(const Sent& sent) {
  wire::Tcp header{.source_port = sent.port,
                   .destination_port = 7,
                   .sequence_number = sent.seq,
                   .acknowledgment_number = sent.ack,
                   .flags = sent.flags,
                   .window = sent.window};
  header.options.timestamps = {.value = sent.stamp, .echo = 9};
  if (sent.code != 0) {
    auto& option = header.options.authentication.emplace();
    option.mac_size = 12;
    option.mac[0] = std::byte{sent.code};
  }
  ByteVector bytes(header.header_size() + sent.size);
  wire::emit(header, bytes);
  for (std::size_t i = 0; i < sent.size; ++i) {
    bytes[header.header_size() + i] = static_cast<std::byte>(sent.seq + i);
  }
  const auto length = static_cast<std::uint32_t>(bytes.size());
  auto sum = sent.six ? wire::pseudo_header(ip::kPeer6, ip::kOurs6, wire::kProtocolTcp, length)
                      : wire::pseudo_header(ip::kPeer4, ip::kOurs4, wire::kProtocolTcp, length);
  sum.add(bytes);
  wire::view_as<wire::TcpHeader>(wire::MutableBytes(bytes)).checksum =
      wire::be16(static_cast<std::uint16_t>(sum.checksum() ^ (sent.bad_sum ? 1 : 0)));
  if (sent.six) {
    return ip::ipv6({.traffic_class = sent.traffic_class,
                     .next_header = wire::kProtocolTcp,
                     .source = ip::kPeer6,
                     .destination = ip::kOurs6},
                    bytes);
  }
  return ip::ipv4({.traffic_class = sent.traffic_class,
                   .protocol = wire::kProtocolTcp,
                   .source = ip::kPeer4,
                   .destination = ip::kOurs4},
                  bytes);
}

class Aggregation : public testing::Test {
 protected:
  // The payload sizes of what comes out, each checked byte by byte.
  std::vector<std::size_t> run(const std::vector<Sent>& frames) {
    packet::Burst burst;
    packet::PassCounter passes;
    for (const Sent& sent : frames) burst.push(packet::copy_of(frame_of(sent), *pool_, passes));
    aggregator_.run(burst);
    std::vector<std::size_t> sizes;
    out_.clear();
    for (packet::PacketPtr& frame : burst) {
      const ByteVector bytes = ip::contents(*frame);
      const auto layout = wire::parse_layout(bytes);
      EXPECT_TRUE(layout.has_value()) << "a frame that IP would not take";
      if (!layout) continue;
      const std::uint32_t seq = layout->tcp(bytes).sequence_number.value();
      for (std::size_t i = 0; i < layout->payload_size(); ++i) {
        EXPECT_EQ(bytes[layout->payload + i], static_cast<std::byte>(seq + i)) << i;
      }
      sizes.push_back(layout->payload_size());
      out_.push_back(frame->meta().offload);
      flags_ = layout->tcp(bytes).flags();
    }
    return sizes;
  }

  std::unique_ptr<packet::Pool> pool_ = ip::make_pool(256, 64);
  Aggregator aggregator_;
  std::vector<packet::Offload> out_;
  std::uint16_t flags_ = 0;  // of the last
};

using Sizes = std::vector<std::size_t>;

TEST_F(Aggregation, SegmentsInOrderBecomeOne) {
  for (const bool six : {false, true}) {
    EXPECT_EQ(run({{.seq = 1000, .six = six},
                   {.seq = 2000, .six = six},
                   {.seq = 3000, .size = 500, .flags = wire::kTcpAck | wire::kTcpPsh, .six = six}}),
              Sizes{2500});
    EXPECT_EQ(out_[0].gso_size, 1000);
    EXPECT_EQ(out_[0].gso, six ? packet::Gso::kTcpV6 : packet::Gso::kTcpV4);
    EXPECT_EQ(out_[0].checksum, packet::Checksum::kValid);
    EXPECT_EQ(flags_, wire::kTcpAck | wire::kTcpPsh);
  }
}

// The code of each is its own, and is lost if they are joined.
TEST_F(Aggregation, AuthenticatedSegmentsStayAsTheyAre) {
  EXPECT_EQ(run({{.seq = 1000, .code = 1}, {.seq = 2000, .code = 2}, {.seq = 3000, .code = 3}}),
            (Sizes{1000, 1000, 1000}));
}

TEST_F(Aggregation, AHoleEndsIt) {
  EXPECT_EQ(run({{.seq = 1000}, {.seq = 3000}, {.seq = 4000}}), (Sizes{1000, 2000}));
}

TEST_F(Aggregation, NothingPassesAnother) {
  EXPECT_EQ(run({{.seq = 1000}, {.seq = 3000}, {.seq = 2000}}), (Sizes{1000, 1000, 1000}));
}

TEST_F(Aggregation, OtherFlagsEndIt) {
  EXPECT_EQ(run({{.seq = 1000}, {.seq = 2000, .flags = wire::kTcpAck | wire::kTcpFin}}),
            (Sizes{1000, 1000}));
  EXPECT_EQ(run({{.seq = 1000, .flags = wire::kTcpAck | wire::kTcpPsh}, {.seq = 2000}}),
            (Sizes{1000, 1000}));
  EXPECT_EQ(run({{.seq = 1000, .flags = wire::kTcpAck | wire::kTcpEce}, {.seq = 2000}}),
            (Sizes{1000, 1000}));
  EXPECT_EQ(run({{.seq = 1000, .flags = wire::kTcpAck | wire::kTcpCwr},
                 {.seq = 2000, .flags = wire::kTcpAck | wire::kTcpEce}}),
            (Sizes{1000, 1000}));
}

// RFC 9768: a counter that stands still.
TEST_F(Aggregation, TheSameFlagsOfEcnDoNot) {
  constexpr std::uint16_t kFive = wire::kTcpAck | wire::kTcpAe | wire::kTcpEce;
  EXPECT_EQ(run({{.seq = 1000, .flags = kFive}, {.seq = 2000, .flags = kFive}}), (Sizes{2000}));
}

TEST_F(Aggregation, AnEcnMarkEndsIt) {
  EXPECT_EQ(run({{.seq = 1000, .traffic_class = 2}, {.seq = 2000, .traffic_class = 3}}),
            (Sizes{1000, 1000}));
}

TEST_F(Aggregation, OtherOptionsEndIt) {
  EXPECT_EQ(run({{.seq = 1000, .stamp = 5}, {.seq = 2000, .stamp = 6}}), (Sizes{1000, 1000}));
}

TEST_F(Aggregation, AnotherAcknowledgmentOrWindowEndsIt) {
  EXPECT_EQ(run({{.seq = 1000}, {.seq = 2000, .ack = 78}}), (Sizes{1000, 1000}));
  EXPECT_EQ(run({{.seq = 1000}, {.seq = 2000, .window = 499}}), (Sizes{1000, 1000}));
}

TEST_F(Aggregation, AShortSegmentIsTheLast) {
  EXPECT_EQ(run({{.seq = 1000}, {.seq = 2000, .size = 10}, {.seq = 2010}}), (Sizes{1010, 1000}));
  EXPECT_EQ(run({{.seq = 1000, .size = 10}, {.seq = 1010}}), (Sizes{10, 1000}));
}

TEST_F(Aggregation, ABadSumStaysAlone) {
  EXPECT_EQ(run({{.seq = 1000}, {.seq = 2000, .bad_sum = true}, {.seq = 3000}}),
            (Sizes{1000, 1000, 1000}));
  EXPECT_EQ(out_[1].checksum, packet::Checksum::kInPacket);
}

TEST_F(Aggregation, FlowsAreKeptApart) {
  EXPECT_EQ(run({{.seq = 1000, .port = 1},
                 {.seq = 1000, .port = 2},
                 {.seq = 2000, .port = 1},
                 {.seq = 2000, .port = 2}}),
            (Sizes{2000, 2000}));
}

TEST_F(Aggregation, PureAcksAreNotJoined) {
  EXPECT_EQ(run({{.seq = 1000, .size = 0}, {.seq = 1000, .size = 0}}), (Sizes{0, 0}));
}

TEST_F(Aggregation, IpHasA16BitLength) {
  std::vector<Sent> frames;
  frames.reserve(packet::Burst::kCapacity);
  for (std::uint32_t i = 0; i < 32; ++i) {
    frames.push_back({.seq = 1000 + i * 1400, .size = 1400});
  }
  EXPECT_EQ(run(frames), Sizes{44'800});
  frames.clear();
  for (std::uint32_t i = 0; i < 32; ++i) {
    frames.push_back({.seq = 1000 + i * 4000, .size = 4000});
  }
  EXPECT_EQ(run(frames), (Sizes{64'000, 64'000}));
}

}  // namespace
}  // namespace tideline::tcp
