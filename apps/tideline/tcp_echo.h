// SPDX-License-Identifier: Apache-2.0
// TCP's part of `tideline echo`: RFC 862. Each connection sends from the FIFO into which it
// receives, so nothing is copied between the two. Thread: the worker's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <vector>

#include "tcp/byte_fifo.h"
#include "tcp/tcp.h"

namespace tideline::app {

class TcpEcho final : private tcp::ListenerOwner {
 public:
  explicit TcpEcho(tcp::Tcp& tcp) : tcp_(tcp) {}

  Status listen(std::uint16_t port);
  std::uint64_t connections() const { return connections_; }

 private:
  class Stream final : public tcp::StreamOwner {
   public:
    Stream(TcpEcho& echo, std::size_t size) : echo_(echo), memory_(size) {}

    tcp::Attachment attachment() {
      return {.owner = this, .send = &outgoing_, .receive = &incoming_};
    }

   private:
    void readable(tcp::ConnectionId id, Instant now) override;
    void peer_closed(tcp::ConnectionId id, Instant now) override;
    void writable(tcp::ConnectionId id, Instant now) override;
    void ended(tcp::ConnectionId /*id*/, tcp::End /*reason*/, Instant /*now*/) override {}
    void released(tcp::ConnectionId id, Instant now) override;

    TcpEcho& echo_;
    std::vector<std::byte> memory_;
    tcp::FifoIndices indices_;
    tcp::ByteFifo fifo_{memory_, indices_};
    tcp::OutgoingFifo outgoing_{fifo_};
    tcp::IncomingFifo incoming_{fifo_};
  };

  tcp::Attachment incoming(tcp::ListenerId listener, tcp::ConnectionId id, const tcp::Tuple& tuple,
                           Instant now) override;

  tcp::Tcp& tcp_;
  std::list<Stream> streams_;
  std::uint64_t connections_ = 0;
};

}  // namespace tideline::app
