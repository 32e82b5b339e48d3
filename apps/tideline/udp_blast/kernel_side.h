// SPDX-License-Identifier: Apache-2.0
// Runs of udp-blast over the kernel's sockets, the fastest way that Linux has: many datagrams in
// one buffer (UDP_SEGMENT, UDP_GRO), many buffers in one system call (sendmmsg, recvmmsg). udp(7).
// One thread.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "udp_blast/progress.h"
#include "udp_blast/sink.h"
#include "udp_blast/source.h"

namespace tideline::app::blast {

// Buffers for one system call, each of the longest datagram.
class MessageBatch {
 public:
  static constexpr std::size_t kMessages = 8;
  static constexpr std::size_t kBuffer = 65536;

  MessageBatch();

  std::byte* buffer(std::size_t message) { return &memory_[message * kBuffer]; }
  // Message `index` is to be sent: `size` bytes of its buffer, in datagrams of `segment`; 0 is one.
  void set_out(std::size_t index, std::size_t size, std::size_t segment);
  // All messages are to be received into.
  void set_in();
  // Of a received message: in datagrams of which size it came.
  std::size_t segment_of(std::size_t index);

  mmsghdr* headers() { return headers_.data(); }
  const mmsghdr& header(std::size_t index) const { return headers_[index]; }
  const sockaddr_storage& peer(std::size_t index) const { return peers_[index]; }

 private:
  struct alignas(cmsghdr) Control {
    std::array<std::byte, CMSG_SPACE(sizeof(int))> bytes;
  };

  std::vector<std::byte> memory_;
  std::array<mmsghdr, kMessages> headers_{};
  std::array<iovec, kMessages> pieces_{};
  std::array<sockaddr_storage, kMessages> peers_{};
  std::array<Control, kMessages> controls_{};
};

class KernelSource final : private Outlet {
 public:
  static Result<UniqueFd> connect(const wire::Ipv6Address& sink);

  KernelSource(UniqueFd socket, const Plan& plan, bool offload, Progress& progress);
  // Until the report is there, or SIGINT or SIGTERM.
  void run();

  const Source& source() const { return source_; }
  std::size_t per_packet() const { return per_packet_; }

 private:
  std::size_t room() override { return MessageBatch::kMessages * per_packet_; }
  std::size_t send_data(std::uint64_t first, std::size_t count, Instant now) override;
  void send_message(wire::Bytes message, Instant now) override;
  Effort effort() override { return {.cpu_ns = process_cpu_ns(), .copied = copied_}; }

  void hear(Instant now);
  void note_error();

  UniqueFd socket_;
  Plan plan_;
  Progress& progress_;
  std::size_t per_packet_ = 1;
  std::uint64_t copied_ = 0;
  MessageBatch batch_;
  Source source_;
};

class KernelSink final : private SinkIo {
 public:
  static Result<UniqueFd> listen();

  KernelSink(UniqueFd socket, std::uint64_t count, Progress& progress)
      : socket_(std::move(socket)), progress_(progress), sink_(*this, count) {}
  // Until `end`, the last report, or SIGINT or SIGTERM.
  void run(Instant end);

  const Sink& sink() const { return sink_; }
  std::uint64_t copied() const { return copied_; }

 private:
  void answer(const ip::UdpEndpoint& to, wire::Bytes message, Instant now) override;
  Effort effort() override { return {.cpu_ns = process_cpu_ns(), .copied = copied_}; }

  bool receive(Instant now);

  UniqueFd socket_;
  Progress& progress_;
  std::uint64_t copied_ = 0;
  MessageBatch batch_;
  Sink sink_;
};

}  // namespace tideline::app::blast
