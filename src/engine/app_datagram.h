// SPDX-License-Identifier: Apache-2.0
// A UDP socket of a program's: packets that wait, as they came, in the engine's pool. Every call on
// its data takes the gate, for packets are the gate holder's. Thread: calls on any; what UDP tells,
// under the gate.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "client/sockets.h"
#include "engine/app_socket.h"
#include "engine/app_sockets.h"
#include "engine/reports.h"
#include "ip/udp.h"

namespace tideline::engine {

class AppDatagram final : public client::Socket, private ip::UdpHandler {
 public:
  static constexpr std::size_t kMostWaiting = 512;  // packets, of one or many datagrams
  // Of the engine's pool, that they may hold.
  static constexpr std::size_t kMostSegments = 2048;

  explicit AppDatagram(AppSockets& sockets) : sockets_(sockets) {}

  // Begins a life.
  void open();

  client::Outcome<void> bind(const client::Endpoint& local, client::Sharing sharing) override;
  client::Outcome<void> listen(std::uint32_t backlog) override;
  client::Outcome<void> connect(const std::optional<client::Endpoint>& remote) override;
  client::Outcome<client::Socket*> accept() override;
  client::Outcome<void> shut_down(bool receiving, bool sending) override;
  void close(bool abort) override;
  void set_options(const client::Options& options) override;
  client::Outcome<std::size_t> send(std::span<const iovec> from,
                                    const std::optional<client::Endpoint>& to) override {
    return send_by(from, to, {});
  }
  client::Outcome<std::size_t> send_by(std::span<const iovec> from,
                                       const std::optional<client::Endpoint>& to,
                                       const client::DatagramWay& way) override;
  client::Outcome<client::Received> receive(std::span<const iovec> into, bool peek) override;
  unsigned readiness(unsigned wanted) override;
  std::size_t readable_bytes() override;
  client::Failure take_error() override {
    return error_.exchange(client::Failure::kNone, std::memory_order_acq_rel);
  }
  std::optional<client::Report> take_report() override;
  bool has_reports() override { return reported_.load(std::memory_order_acquire); }
  client::Endpoint local() override;
  std::optional<client::Endpoint> remote() override;
  client::Info info() override;
  void watch(client::Waiter& waiter, unsigned hint) override;
  void unwatch(client::Waiter& waiter, unsigned hint) override;

 private:
  struct Waiting {
    packet::PacketPtr payload;
    ip::UdpPath path;
    std::size_t segments = 0;  // of the payload as it came
    Instant arrived{};
  };

  void receive(packet::PacketPtr payload, const ip::UdpPath& path, Instant now) override;
  void failed(const ip::PathError& error, Instant now) override;

  client::Outcome<void> bind_now(const client::Endpoint& local, client::Sharing sharing);
  client::Outcome<std::size_t> send_now(std::span<const iovec> from, const client::Endpoint& to,
                                        const client::DatagramWay& way, Instant now);
  client::Received take_now(std::span<const iovec> into, bool peek);
  // Of the first datagram that waits.
  std::size_t first_size() const;
  void drop_first();

  AppSockets& sockets_;
  std::atomic<std::size_t> count_{0};
  std::atomic<client::Failure> error_{client::Failure::kNone};
  std::atomic<bool> receiving_shut_{false};
  std::atomic<bool> reported_{false};

  // Under the gate.
  std::optional<client::Endpoint> bound_;
  std::optional<client::Endpoint> remote_;
  bool only_ipv6_ = false;
  std::array<Waiting, kMostWaiting> waiting_;
  std::size_t first_ = 0;
  std::size_t segments_ = 0;
  Reports reports_;
  Watchers watchers_;
};

}  // namespace tideline::engine
