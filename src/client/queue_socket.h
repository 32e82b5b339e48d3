// SPDX-License-Identifier: Apache-2.0
// What streams and datagram sockets behind a queue pair have in common: the page, the calls on a
// handle, who watches. Thread: any.
#pragma once

#include <sched.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "client/queue_sockets.h"
#include "client/records.h"
#include "client/sockets.h"
#include "queue/fifo_view.h"
#include "queue/socket_page.h"

namespace tideline::client {

class QueueSocket : public Socket {
 public:
  Outcome<void> bind(const Endpoint& local, Sharing sharing) final;
  Failure take_error() final;
  Endpoint local() final;
  Info info() final;
  void set_options(const Options& options) final;
  Outcome<void> change_keys(const KeyChange& change) final;
  Outcome<KeyState> read_key(std::uint32_t index) final;
  void watch(Waiter& waiter, unsigned hint) final;
  void unwatch(Waiter& waiter, unsigned hint) final;
  std::optional<Report> take_report() final;
  bool has_reports() final { return has(queue::kReported); }
  Outcome<UniqueFd> token() final { return sockets_.channel().token(handle_); }

 protected:
  explicit QueueSocket(QueueSockets& sockets) : sockets_(sockets) {}
  ~QueueSocket() = default;

  // A life begins: `where` is the engine's answer.
  bool begin(const queue::Response& where);
  // Without locks: what the engine, or another process, moves is seen at the next look.
  queue::FifoView outgoing() const { return {*family_, page_->outgoing_places, page_->outgoing}; }
  queue::FifoView incoming() const { return {*family_, page_->incoming_places, page_->incoming}; }
  bool has_fifos() const { return outgoing().is_mapped() && incoming().is_mapped(); }
  // Whether a writer that waits for room has enough; if not, it will be told.
  bool has_room() const;
  // What others can see of it, a port, is free when this returns; a connection's end may wait.
  void close_handle(bool abort, bool may_wait);

  queue::Request request(queue::Op op, std::uint16_t flags = 0) const {
    return {.op = op, .flags = flags, .handle = handle_};
  }
  Outcome<queue::Response> call(const queue::Request& request) {
    return sockets_.channel().call(request);
  }
  std::uint32_t flags() const {
    const std::uint32_t flags = page_->flags.load(std::memory_order_acquire);
    return sockets_.channel().is_gone() ? flags | queue::kEnded : flags;
  }
  bool has(std::uint32_t flag) const { return (flags() & flag) != 0; }
  void hint() { sockets_.channel().hint(handle_); }
  std::optional<Endpoint> remote_in_page() const;

  // One call at a time, of all processes that share the socket.
  class Guard {
   public:
    Guard(QueueSocket& socket, std::atomic<std::uint32_t>& lock);
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    ~Guard() { lock_.store(0, std::memory_order_release); }

   private:
    std::atomic<std::uint32_t>& lock_;
  };

  QueueSockets& sockets_;
  std::uint32_t handle_ = 0;
  queue::SocketPage* page_ = nullptr;
  FamilyView* family_ = nullptr;
  Options options_;  // as they were last set here
};

// Copies between a FIFO, from `offset` on, and scattered memory: as much as can be mapped.
std::size_t copy_in(const queue::FifoView& fifo, std::uint64_t offset, std::span<const iovec> from,
                    std::size_t size);
std::size_t copy_out(const queue::FifoView& fifo, std::uint64_t offset, std::span<const iovec> into,
                     std::size_t size);

inline std::size_t size_of(std::span<const iovec> parts) {
  std::size_t size = 0;
  for (const iovec& part : parts) size += part.iov_len;
  return size;
}

}  // namespace tideline::client
