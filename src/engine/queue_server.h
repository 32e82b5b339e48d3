// SPDX-License-Identifier: Apache-2.0
// The engine's half of the queue pair: programs of this machine attach to it, and use sockets of
// its worker's host. docs/queue-pair.md is the specification, and says what a hostile program
// cannot do.
//
//   listening socket, attach sockets, eventfds, tokens --> one epoll instance --> run(), sleeps
//
// A channel with work is looked at in each turn; after a millisecond without, its board is armed,
// and it costs nothing until its eventfd rings.
//
// Thread: the worker's. Whoever else wants something asks by Worker::ask().
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/time.h"
#include "engine/client_policy.h"
#include "engine/end_reason.h"
#include "engine/fd_closer.h"
#include "engine/served_channel.h"
#include "engine/served_rdma.h"
#include "engine/served_sockets.h"
#include "engine/served_tokens.h"
#include "engine/worker.h"

namespace tideline::engine {

class QueueServer final : public Service {
 public:
  // Asked once for each program that attaches, on the worker's thread: it must not block.
  using Policy = std::function<ClientPolicy(const ucred&)>;
  // Told of each channel that has ended, for a log.
  using Log = std::function<void(const ClientInfo&, EndReason)>;

  // On a listening AF_UNIX SOCK_SEQPACKET socket. The worker has a host; it is told of the server
  // (set_service) by the caller. The server outlives the worker, or all frames that its host has
  // made, for they borrow from the programs' memory.
  static Result<std::unique_ptr<QueueServer>> create(Worker& worker, UniqueFd listening,
                                                     Policy policy);
  QueueServer(const QueueServer&) = delete;
  QueueServer& operator=(const QueueServer&) = delete;
  ~QueueServer();

  void set_log(Log log) { log_ = std::move(log); }
  // Programs may use that device, too. Before the first of them attaches; it outlives the server,
  // and the calling thread's fault handlers are installed (base/fault_handler.h).
  void serve_rdma(rdma::Device& device);
  // What programs have of it goes. They are to have been told that they end.
  void leave_rdma();

  // --- Service.
  Instant next_deadline() const override;
  bool run(Instant now) override;
  bool has_work(Instant now) override;
  int fd() const override { return epoll_.get(); }
  void arm() override;
  void disarm() override;
  void end_turn() override;

  // --- For reports.
  void for_each_client(const std::function<void(const ClientInfo&)>& visit) const;
  std::uint64_t ended(EndReason reason) const { return ended_[static_cast<std::size_t>(reason)]; }
  std::size_t clients() const { return channels_; }
  const packet::PassCounter& passes() const { return sockets_.passes(); }

  // --- Towards the end.
  // Nobody attaches any more.
  void stop_accepting();
  // All channels end as if their programs had: what was written is still sent.
  void end_all(Instant now);
  // Nothing is left: neither a channel nor a socket that TCP works for.
  bool is_idle() const { return channels_ == 0 && sockets_.in_use() == 0; }

  // --- For its channels.
  ServedSockets& sockets() { return sockets_; }
  // Null: there are no verbs.
  ServedRdma* rdma() { return rdma_ ? &*rdma_ : nullptr; }
  bool charge(const ServedChannel& channel, const RdmaUse& use);
  void release(const ServedChannel& channel, const RdmaUse& use);
  // Within the user's quota of descriptors.
  bool charge(const ServedChannel& channel, std::size_t descriptors);
  bool has_room_for(const ServedChannel& channel);
  std::shared_ptr<FamilyMemory> make_family(const ServedChannel& founder);
  // Null: quotas or descriptors do not suffice. `fds`: see ServedChannel::begin_as_child().
  ServedChannel* make_child(const ServedChannel& parent, std::vector<UniqueFd>& fds, Instant now);
  UniqueFd make_token(ServedSocket& socket, const ServedChannel& channel);
  ServedSocket* socket_of_token(int fd) const { return tokens_.find(fd); }
  // Rings what the channel has to ring, at the end of the turn.
  void ring_later(ServedChannel& channel) { ringing_.push_back(&channel); }
  bool watch_attach(int fd, const ServedChannel& channel);
  bool watch_bell(int fd, const ServedChannel& channel);
  void note_end(ServedChannel& channel, EndReason reason);
  // Closes what that user's programs may have made slow to close; it holds up no other's.
  void discard(UniqueFd fd, uid_t uid);

 private:
  enum class Source : std::uint8_t { kListening, kAttach, kBell, kToken };
  // A place for a channel, by its number.
  struct Place {
    std::unique_ptr<ServedChannel> channel;
    std::uint32_t generation = 0;  // tells old events from new
    bool active = false;
    Instant greets_until = kNever;
  };
  struct User {
    std::size_t channels = 0;
    std::size_t descriptors = 0;
    RdmaUse rdma{};
    std::unique_ptr<FdCloser> closer{};

    // Whether his descriptors are closed as they should be.
    bool closes() const;
  };
  static constexpr int kEventsAtOnce = 64;

  QueueServer(Worker& worker, UniqueFd listening, UniqueFd epoll, Policy policy);

  bool watch(int fd, std::uint32_t events, Source source, std::uint32_t number,
             std::uint32_t generation);
  // Asks the kernel what has come.
  void look(Instant now);
  void take_events(Instant now);
  void take_event(std::uint64_t data, Instant now);
  void accept_some(Instant now);
  // Null, and `attach` is still the caller's: there are too many.
  ServedChannel* add_channel(UniqueFd& attach, const ucred& peer,
                             std::shared_ptr<const ClientPolicy> policy);
  void activate(ServedChannel& channel);
  bool fall_asleep(ServedChannel& channel);
  void remove(ServedChannel& channel);
  void drop_silent(Instant now);
  void lose_token(std::uint32_t number, Instant now);
  User& user(uid_t uid);
  void forget_users();

  Worker& worker_;
  UniqueFd listening_;
  UniqueFd epoll_;
  Policy policy_;
  Log log_;
  ServedSockets sockets_;
  ServedTokens tokens_;
  std::optional<ServedRdma> rdma_;  // outlives the channels

  std::vector<Place> places_;
  std::deque<std::uint16_t> free_numbers_;  // the longest unused first
  std::vector<ServedChannel*> active_;
  std::vector<ServedChannel*> ringing_;
  std::size_t channels_ = 0;
  std::unordered_map<uid_t, User> users_;
  std::uint32_t next_family_ = 1;
  Instant greetings_due_ = kNever;

  std::array<epoll_event, kEventsAtOnce> events_{};
  int came_ = 0;  // of them
  bool accept_again_ = false;
  Instant look_at_{};
  Instant accept_at_ = kNever;
  std::array<std::uint64_t, kEndReasons> ended_{};
};

}  // namespace tideline::engine
