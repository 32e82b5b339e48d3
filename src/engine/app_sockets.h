// SPDX-License-Identifier: Apache-2.0
// Sockets of a program whose engine runs in it (placement `app`): client/sockets.h over the gate of
// AppEngine. Sockets are made once and used again; nothing is freed, for the program may call at
// any moment until the process is gone.
//
// Thread: any; what hears of TCP and UDP runs under the gate.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "client/sockets.h"
#include "engine/app_engine.h"
#include "engine/reports.h"
#include "engine/socket_values.h"
#include "packet/pass_counter.h"

namespace tideline::engine {

class AppDatagram;
class AppStream;

// pthread_cancel must not end a thread that holds the engine: nobody would give it back.
class Uncancelled {
 public:
  Uncancelled() { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  Uncancelled(const Uncancelled&) = delete;
  Uncancelled& operator=(const Uncancelled&) = delete;
  ~Uncancelled() { ::pthread_setcancelstate(before_, nullptr); }

 private:
  int before_ = 0;
};

class AppSockets final : public client::Sockets {
 public:
  // The engine's host has all its addresses, and outlives this.
  explicit AppSockets(AppEngine& engine);
  AppSockets(const AppSockets&) = delete;
  AppSockets& operator=(const AppSockets&) = delete;
  ~AppSockets();

  client::Outcome<client::Socket*> open(client::SocketType type) override;
  bool owns(const wire::Ipv6Address& address) override;
  bool reaches(const wire::Ipv6Address& address) override;
  std::optional<wire::Ipv6Address> own_address(bool ipv4) override;
  Result<std::unique_ptr<client::Waiter>> take_waiter() override;
  void give_waiter(std::unique_ptr<client::Waiter> waiter) override;
  void poll() override {
    const Uncancelled whole;
    engine_.poll();
  }
  Sleep begin_sleep(bool drives) override;
  void end_sleep(const Sleep& sleep) override;
  bool is_alive() override { return engine_.state() == ring::GateState::kOpen; }
  void finish(Duration limit) override;

  // --- For its sockets. `body(worker, now)` runs under the gate.
  template <typename Body>
  client::Outcome<void> locked(AppEngine::Turn turn, Body&& body) {
    const Uncancelled whole;
    if (engine_.exclusively(body, turn)) return {};
    return std::unexpected(client::Failure::kForked);
  }

  // The next report, of a socket that says in `reported` whether there are any; the error of its
  // next call is then that of the report behind it.
  std::optional<client::Report> take_report(Reports& reports, std::atomic<bool>& reported,
                                            std::atomic<client::Failure>& error);

  // --- The rest under the gate.
  Worker& worker() { return *worker_; }
  tcp::Tcp& tcp() { return worker_->host()->tcp(); }
  ip::Stack& stack() { return worker_->host()->stack(); }
  packet::PassCounter& passes() { return passes_; }
  AppStream& take_stream();
  void give_back(AppStream& stream) { free_streams_.push_back(&stream); }
  void give_back(AppDatagram& datagram) { free_datagrams_.push_back(&datagram); }
  // Memory of a stream's buffer: a power of two of bytes, from 64 KiB to 64 MiB, that takes no room
  // until it is used. Empty: there is none.
  std::span<std::byte> take_buffer(std::size_t wanted);
  static std::size_t buffer_size(std::size_t wanted);
  void give_buffer(std::span<std::byte> buffer);
  // Whether a stream other than `self` has the endpoint, or one that cannot share it has its port.
  bool is_taken(const Binding& wanted, const AppStream* self) const;

 private:
  AppEngine& engine_;
  Worker* worker_ = nullptr;
  packet::PassCounter passes_;  // of copies between the program and its sockets
  std::vector<std::unique_ptr<AppStream>> streams_;
  std::vector<std::unique_ptr<AppDatagram>> datagrams_;
  std::vector<AppStream*> free_streams_;
  std::vector<AppDatagram*> free_datagrams_;
  std::vector<std::span<std::byte>> free_buffers_;  // the last used first
  std::mutex waiters_mutex_;
  std::vector<std::unique_ptr<client::Waiter>> free_waiters_;
};

}  // namespace tideline::engine
