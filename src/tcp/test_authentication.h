// SPDX-License-Identifier: Apache-2.0
// Two hosts with keys (TCP-AO) in virtual time, and somebody on the wire between them, who reads
// everything and sends what he likes. For tests.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "tcp/authentication.h"
#include "tcp/test_net.h"

namespace tideline::tcp::test {

using Frame = std::vector<std::byte>;

MasterKey key_of(std::string_view secret, std::uint8_t send_id, std::uint8_t receive_id,
                 MacAlgorithm algorithm = MacAlgorithm::kHmacSha1);
// The same, as the other end has it.
MasterKey mirrored(MasterKey key);
SimKeys shared(const std::vector<MasterKey>& client_keys);

// A TCP segment as it is on the wire.
struct Captured {
  // Of an IP packet with its header at `l3`.
  Captured(const Frame& frame, std::size_t l3, std::size_t l4);
  // Null if the Ethernet frame has none.
  static std::unique_ptr<Captured> of(const Frame& frame);

  bool is_syn() const;  // without ACK
  // Of a segment that has it.
  static wire::AuthenticationOption& option_of(wire::Tcp& header);
  // What the code should be.
  MessageCode::Code code(MacAlgorithm algorithm, const TrafficKey& key, bool covers_options,
                         std::uint32_t extension, packet::Pool& pool) const;
  bool has(const MessageCode::Code& code) const;
  Seq end() const;

  bool ipv4;
  Endpoint source;
  Endpoint destination;
  wire::Tcp tcp;
  Frame header;
  Frame payload;
};

// The frame with another TCP segment in it, checksums right.
Frame with_segment(const Frame& frame, const wire::Tcp& header, const Frame& payload);

// Follows one connection from outside, with its keys: every segment of it must be authentic. Counts
// the wraps of sequence numbers as RFC 9187 does; the code of RFC 5925 §6.2 counts one twice, if
// what was before it comes again.
class Monitor {
 public:
  explicit Monitor(std::vector<MasterKey> client_keys);

  void see(unsigned from, const Frame& frame);

  std::vector<MasterKey> keys;  // as the client has them
  std::uint64_t codes = 0;
  std::size_t most_payload = 0;
  std::size_t most_sacks = 0;
  std::uint32_t highest_extension = 0;
  std::array<unsigned, 2> last_key{};  // that each side has sent with

 private:
  struct Side {
    std::uint32_t extend(std::uint32_t seq);

    std::uint32_t isn = 0;
    std::uint32_t highest = 0;
    std::uint32_t extension = 0;
  };

  std::unique_ptr<packet::Pool> pool_;
  std::array<Side, 2> sides_;
};

// How many segments a host has refused.
std::uint64_t refused(SimHost& host, Discard reason);
std::uint64_t refused(SimHost& host);  // for all reasons
void expect_nothing_left(SimNet& net);

// What comes to a host from neither.
void inject(SimHost& host, const Frame& frame, Instant now);

// A connection between two hosts, and the monitor.
struct AuthenticWorld {
  AuthenticWorld(const LinkOptions& link, const std::vector<MasterKey>& keys, bool ipv4 = true,
                 std::uint64_t size = 200'000, const Config& config = {});

  bool run(const std::function<bool()>& done);
  bool run_to_end();
  // All data is there, and both ends are still open.
  bool run_to_silence();
  Tcp& client() { return net.left().tcp; }
  Tcp& server() { return net.right().tcp; }

  Monitor monitor;
  SimNet net;
  std::array<std::vector<Frame>, 2> seen;  // with TCP in them
  std::unique_ptr<SimFlow> flow;
};

}  // namespace tideline::tcp::test
