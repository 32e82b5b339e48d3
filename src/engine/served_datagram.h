// SPDX-License-Identifier: Apache-2.0
// A UDP socket of programs behind queue pairs: datagrams as records in two FIFOs. What is sent is
// copied once, into packets; what arrives once, into the FIFO, and what has no room is dropped.
// Thread: the worker's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "engine/reports.h"
#include "engine/served_socket.h"
#include "engine/socket_values.h"
#include "ip/udp.h"
#include "queue/messages.h"

namespace tideline::engine {

class ServedDatagram final : public ServedSocket, private ip::UdpHandler {
 public:
  explicit ServedDatagram(ServedSockets& sockets)
      : ServedSocket(sockets, client::SocketType::kDatagram) {}

  // A life begins, held by nobody yet. False: there is no page, or no memory.
  bool open(const std::shared_ptr<FamilyMemory>& memory);

  client::Outcome<void> bind(const ServedChannel& caller, const client::Endpoint& local,
                             client::Sharing sharing) override;
  client::Outcome<void> listen(std::uint32_t backlog) override;
  client::Outcome<void> connect(const ServedChannel& caller,
                                const std::optional<client::Endpoint>& remote,
                                Instant now) override;
  client::Outcome<void> shut_down(bool receiving, bool sending, Instant now) override;
  void set_options(const client::Options& options, Instant /*now*/) override {
    reports_.set_options(options);
    only_ipv6_ = options.only_ipv6;
  }
  std::optional<client::Report> take_report() override;
  client::Info info() const override;
  client::Endpoint local() const override;
  // Sends what was written, up to a number of datagrams.
  std::expected<bool, EndReason> look(const ServedChannel& caller, Instant now) override;
  bool is_bound_beside(const client::Endpoint& local) const {
    return bound_ && bound_->port == local.port && overlap(bound_->address, local.address);
  }
  // As it was bound.
  client::Sharing sharing() const { return sharing_; }

 private:
  // A record as the program has written it, checked.
  struct Outgoing {
    queue::DatagramRecord record;
    std::uint64_t payload;  // where it begins
    std::uint64_t end;      // of the record
  };

  void close(bool abort, Instant now) override;
  void receive(packet::PacketPtr payload, const ip::UdpPath& path, Instant now) override;
  void failed(const ip::PathError& error, Instant now) override;

  client::Outcome<void> bind_now(const client::Endpoint& local, client::Sharing sharing);
  std::expected<Outgoing, EndReason> first_outgoing() const;
  // From which address it goes, the socket bound.
  client::Outcome<wire::Ipv6Address> prepare(const ServedChannel& caller,
                                             const queue::DatagramRecord& record, Instant now);
  // False: no memory now.
  bool send(const ServedChannel& caller, const Outgoing& outgoing, Instant now);
  bool put(const packet::Packet& payload, std::size_t offset, std::size_t size,
           const ip::UdpPath& path, Instant now);

  std::optional<client::Endpoint> bound_;
  std::optional<client::Endpoint> remote_;
  Reports reports_;
  client::Sharing sharing_ = client::Sharing::kNone;
  bool only_ipv6_ = false;
};

}  // namespace tideline::engine
