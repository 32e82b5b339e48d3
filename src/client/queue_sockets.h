// SPDX-License-Identifier: Apache-2.0
// Sockets of a program whose engine runs in a front end (placement `frontend`): client/sockets.h
// over a channel. Data goes through shared memory without the engine's help; what changes a
// socket's state is a call. Sockets are made once and used again; nothing is freed, for the program
// may call at any moment until the process is gone.
//
// Thread: any, of this process and of children that were forked off it.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "client/queue_channel.h"
#include "client/sockets.h"

namespace tideline::client {

class QueueDatagram;
class QueueStream;

class QueueSockets final : public Sockets {
 public:
  // To the front end that listens at `path`.
  static Result<std::unique_ptr<QueueSockets>> attach(const std::string& path,
                                                      const std::string& program);
  QueueSockets(const QueueSockets&) = delete;
  QueueSockets& operator=(const QueueSockets&) = delete;
  ~QueueSockets();

  Outcome<Socket*> open(SocketType type) override;
  Outcome<Adopted> adopt(int token) override;
  bool owns(const wire::Ipv6Address& address) override;
  bool reaches(const wire::Ipv6Address& address) override;
  std::optional<wire::Ipv6Address> own_address(bool ipv4) override;
  Result<std::unique_ptr<Waiter>> take_waiter() override;
  void give_waiter(std::unique_ptr<Waiter> waiter) override;
  // The engine runs elsewhere, and is woken by hints.
  void poll() override {}
  Sleep begin_sleep(bool drives) override;
  void end_sleep(const Sleep& /*sleep*/) override {}
  bool is_alive() override { return true; }
  void before_fork() override;
  void after_fork_in_parent() override;
  bool after_fork_in_child() override;
  bool keeps(int descriptor) override { return channel_->keeps(descriptor); }
  // The front end sends on what was written.
  void finish(Duration /*limit*/) override {}
  std::uint64_t copied_bytes() const override { return copied_.load(std::memory_order_relaxed); }

  // --- For its sockets.
  QueueChannel& channel() { return *channel_; }
  // A stream of this process for what the engine has made, with a connection if `connected`; null:
  // there is no memory, and the engine is told that nobody holds it.
  QueueStream* take_stream(const queue::Response& where, bool connected);
  void give_back(QueueStream& stream);
  void give_back(QueueDatagram& datagram);
  // A socket had no slot left for a waiter, which looks again every millisecond.
  void crowd(bool more) { crowded_.fetch_add(more ? 1 : -1, std::memory_order_relaxed); }
  void count_copied(std::size_t bytes) { copied_.fetch_add(bytes, std::memory_order_relaxed); }

 private:
  explicit QueueSockets(std::unique_ptr<QueueChannel> channel);

  std::uint32_t route(const wire::Ipv6Address& address);
  QueueDatagram* take_datagram(const queue::Response& where);

  std::unique_ptr<QueueChannel> channel_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<QueueStream>> streams_;
  std::vector<QueueStream*> free_streams_;
  std::vector<std::unique_ptr<QueueDatagram>> datagrams_;
  std::vector<QueueDatagram*> free_datagrams_;
  std::vector<std::unique_ptr<Waiter>> free_waiters_;
  std::vector<std::unique_ptr<Waiter>> parents_waiters_;
  std::atomic<int> crowded_{0};
  std::atomic<std::uint64_t> copied_{0};  // payload, into FIFOs and out of them
};

}  // namespace tideline::client
