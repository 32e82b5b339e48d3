// SPDX-License-Identifier: Apache-2.0
// All sockets of a queue-pair server, and what they share: the host, the ports, who their channels
// are. Sockets are made once and used again. Thread: the worker's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/served_datagram.h"
#include "engine/served_stream.h"
#include "engine/socket_values.h"
#include "engine/worker.h"
#include "packet/pass_counter.h"

namespace tideline::engine {

class ServedSockets {
 public:
  // The worker has a host.
  explicit ServedSockets(Worker& worker) : worker_(worker) {}
  ServedSockets(const ServedSockets&) = delete;
  ServedSockets& operator=(const ServedSockets&) = delete;

  packet::Pool& pool() { return worker_.pool(); }
  tcp::Tcp& tcp() { return worker_.host()->tcp(); }
  ip::Stack& stack() { return worker_.host()->stack(); }
  packet::PassCounter& passes() { return passes_; }
  const packet::PassCounter& passes() const { return passes_; }

  // For who can wait: whether the wire takes more. What does not for long is not waited for.
  bool may_send(Instant now);

  // With a page in that memory; null: there is none.
  ServedStream* open_stream(const std::shared_ptr<FamilyMemory>& memory);
  ServedDatagram* open_datagram(const std::shared_ptr<FamilyMemory>& memory);
  void give_back(ServedStream& stream);
  void give_back(ServedDatagram& datagram);
  // Those that TCP still works for included.
  std::size_t in_use() const { return in_use_; }

  // Streams that have more memory than the least: now and then those that rest give it back.
  void note_large(ServedStream& stream, Instant now);
  void forget_large(ServedStream& stream);
  void let_rest(Instant now);
  Instant next_rest() const { return rest_at_; }

  // Whether another user's datagram socket is there for the endpoint, and does not share it as
  // SO_REUSEADDR does.
  bool is_anothers(const client::Endpoint& local, client::Sharing sharing,
                   std::uint64_t user) const;

  // Streams by what they have bound.
  bool is_taken(const Binding& wanted) const;
  void bound(ServedStream& stream);
  void unbound(ServedStream& stream);

  // Null: that channel is not there.
  ServedChannel* channel(std::uint16_t number) const {
    return number < channels_.size() ? channels_[number] : nullptr;
  }
  void set_channel(std::uint16_t number, ServedChannel* channel);

 private:
  Worker& worker_;
  Instant full_since_ = kNever;
  packet::PassCounter passes_;  // of copies between packets and FIFOs
  std::vector<std::unique_ptr<ServedStream>> streams_;
  std::vector<ServedStream*> free_streams_;
  std::vector<std::unique_ptr<ServedDatagram>> datagrams_;
  std::vector<ServedDatagram*> free_datagrams_;
  std::size_t in_use_ = 0;
  std::vector<ServedStream*> large_;
  std::size_t next_large_ = 0;
  Instant rest_at_ = kNever;
  std::unordered_multimap<std::uint16_t, ServedStream*> ports_;
  std::vector<ServedChannel*> channels_;
};

}  // namespace tideline::engine
