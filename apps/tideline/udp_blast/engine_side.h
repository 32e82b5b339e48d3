// SPDX-License-Identifier: Apache-2.0
// Runs of udp-blast over tideline: a sender and a sink on a host of their own. Thread: the
// worker's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "engine/worker.h"
#include "ip/udp.h"
#include "packet/packet.h"
#include "packet/pass_counter.h"
#include "udp_blast/progress.h"
#include "udp_blast/sink.h"
#include "udp_blast/source.h"

namespace tideline::app::blast {

class EngineSource final : public engine::Task, private ip::UdpHandler, private Outlet {
 public:
  // With `offload`, datagrams that fit one packet leave many behind one header.
  EngineSource(engine::Worker& worker, std::size_t mtu, const wire::Ipv6Address& sink,
               const Plan& plan, bool offload, Progress& progress);
  ~EngineSource();

  Instant next_deadline() const override;
  void run_timers(Instant now) override;
  bool is_done() const override { return source_.is_over() || error_ || conflict_; }

  const Source& source() const { return source_; }
  // How many datagrams a packet holds.
  std::size_t per_packet() const { return per_packet_; }
  // Why the host cannot send at all.
  const std::optional<ip::Discard>& error() const { return error_; }

 private:
  void receive(packet::PacketPtr payload, const ip::UdpPath& path, Instant now) override;
  void failed(const ip::PathError& error, Instant now) override;
  std::size_t room() override;
  std::size_t send_data(std::uint64_t first, std::size_t count, Instant now) override;
  void send_message(wire::Bytes message, Instant now) override;
  Effort effort() override;

  bool is_ready(Instant now);
  packet::PacketPtr make_data(std::uint64_t first, std::size_t count, Instant now);
  bool hand_over(packet::PacketPtr payload, Instant now);

  engine::Worker& worker_;
  ip::Stack& stack_;
  Plan plan_;
  Progress& progress_;
  ip::UdpPath path_;
  std::size_t per_packet_ = 1;
  std::size_t frames_per_packet_ = 1;
  packet::PassCounter passes_;
  Instant ready_at_{};  // when to look whether the addresses serve; kNever when they do
  bool conflict_ = false;
  std::optional<ip::Discard> error_;
  Source source_;
};

class EngineSink final : public engine::Task, private ip::UdpHandler, private SinkIo {
 public:
  EngineSink(engine::Worker& worker, std::uint64_t count, Progress& progress, std::string ready);
  ~EngineSink();

  Instant next_deadline() const override { return std::min(due_, sink_.next_deadline()); }
  void run_timers(Instant now) override;
  bool is_done() const override { return done_; }

  const Sink& sink() const { return sink_; }

 private:
  void receive(packet::PacketPtr payload, const ip::UdpPath& path, Instant now) override;
  void failed(const ip::PathError& /*error*/, Instant /*now*/) override {}
  void answer(const ip::UdpEndpoint& to, wire::Bytes message, Instant now) override;
  Effort effort() override;

  engine::Worker& worker_;
  ip::Stack& stack_;
  Progress& progress_;
  std::string ready_;  // what to say when the addresses serve; empty afterwards
  Instant due_{};
  bool done_ = false;
  Sink sink_;
};

}  // namespace tideline::app::blast
