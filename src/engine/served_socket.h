// SPDX-License-Identifier: Apache-2.0
// A socket of programs behind queue pairs, as the engine has it: its page, who holds it, who is to
// be told. docs/queue-pair.md. Streams and datagram sockets derive from it.
//
// It lives while a channel or a token holds it; what TCP still sends for it after that is the
// stream's business. Thread: the worker's.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <vector>

#include "client/types.h"
#include "engine/end_reason.h"
#include "engine/family_memory.h"
#include "engine/served_fifo.h"
#include "queue/socket_page.h"

namespace tideline::engine {

class ServedChannel;
class ServedSockets;

class ServedSocket {
 public:
  ServedSocket(const ServedSocket&) = delete;
  ServedSocket& operator=(const ServedSocket&) = delete;

  client::SocketType type() const { return type_; }
  const FamilyMemory& family() const { return *family_; }
  std::uint32_t page_index() const { return page_index_; }

  // --- Who holds it. A channel holds it once, by that handle.
  void hold(ServedChannel& channel, std::uint32_t handle);
  // Its handle; 0: that channel does not hold it.
  std::uint32_t handle_of(const ServedChannel& channel) const;
  void hold_by_token() { ++tokens_; }
  // The last who lets go closes it; it may be gone afterwards. A channel that has `died` may have
  // left locks and watchers.
  void let_go(ServedChannel& channel, bool abort, bool died, Instant now);
  void let_go_of_token(Instant now);

  // --- What programs ask for.
  virtual client::Outcome<void> bind(const ServedChannel& caller, const client::Endpoint& local,
                                     client::Sharing sharing) = 0;
  virtual client::Outcome<void> listen(std::uint32_t backlog) = 0;
  virtual client::Outcome<void> connect(const ServedChannel& caller,
                                        const std::optional<client::Endpoint>& remote,
                                        Instant now) = 0;
  virtual client::Outcome<void> shut_down(bool receiving, bool sending, Instant now) = 0;
  virtual void set_options(const client::Options& options, Instant now) = 0;
  virtual std::optional<client::Report> take_report() { return std::nullopt; }
  virtual client::Outcome<void> change_keys(const client::KeyChange& /*change*/) {
    return std::unexpected(client::Failure::kNotSupported);
  }
  virtual client::Outcome<client::KeyState> read_key(std::uint32_t /*index*/) const {
    return std::unexpected(client::Failure::kNotSupported);
  }
  virtual client::Info info() const = 0;
  virtual client::Endpoint local() const = 0;
  // The program has moved its indices. Whether there is more to do later; or a rule was broken.
  virtual std::expected<bool, EndReason> look(const ServedChannel& caller, Instant now) = 0;

 protected:
  ServedSocket(ServedSockets& sockets, client::SocketType type) : sockets_(sockets), type_(type) {}
  ~ServedSocket() = default;

  // A life begins: with a page of its own. False: there is none.
  bool begin(std::shared_ptr<FamilyMemory> memory);
  // It ends: page and FIFOs can be used again.
  void end();
  // False: there is no memory.
  bool open_fifos(std::size_t outgoing, std::size_t incoming);
  void close_fifos();
  // Nobody holds it any more.
  virtual void close(bool abort, Instant now) = 0;

  bool is_held() const { return !holders_.empty() || tokens_ > 0; }
  queue::SocketPage& page() const { return *page_; }
  std::uint32_t flags() const { return flags_; }
  bool has(std::uint32_t flag) const { return (flags_ & flag) != 0; }
  void set_flags(std::uint32_t flags) {
    flags_ = flags;
    page_->flags.store(flags, std::memory_order_release);
  }
  void set_error(client::Failure failure) {
    page_->error.store(static_cast<std::uint32_t>(failure), std::memory_order_release);
  }
  void show_local(const client::Endpoint& local);
  void show_remote(const client::Endpoint& remote);
  // The channels that watch it.
  void tell() const;
  // Does something while programs are kept out by that lock of the page; not at all if one is in.
  template <typename Do>
  static void keep_out(std::atomic<std::uint32_t>& lock, Do&& something) {
    std::uint32_t open = 0;
    if (!lock.compare_exchange_strong(open, queue::kEngineLock, std::memory_order_acquire)) return;
    something();
    lock.store(0, std::memory_order_release);
  }

  ServedSockets& sockets_;
  std::shared_ptr<FamilyMemory> family_;
  ServedFifo outgoing_;
  ServedFifo incoming_;

 private:
  struct Holder {
    ServedChannel* channel;
    std::uint32_t handle;
  };

  void forget(const ServedChannel& channel) const;

  const client::SocketType type_;
  std::uint32_t page_index_ = 0;
  queue::SocketPage* page_ = nullptr;
  std::uint32_t flags_ = 0;  // as in the page, which others can write
  std::vector<Holder> holders_;
  unsigned tokens_ = 0;
};

}  // namespace tideline::engine
