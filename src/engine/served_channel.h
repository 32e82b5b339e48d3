// SPDX-License-Identifier: Apache-2.0
// A process behind a queue pair, as the engine has it: its memory, its handles, its calls and
// wishes. docs/queue-pair.md. The program is believed in nothing: what it writes is copied, then
// checked; a rule that is broken ends the channel and nothing else.
//
//   kGreeting -- Hello --> kServing -- attach socket ends, rule broken --> kEnding --> gone
//
// Thread: the worker's.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/mapping.h"
#include "base/time.h"
#include "client/types.h"
#include "engine/client_policy.h"
#include "engine/end_reason.h"
#include "engine/family_memory.h"
#include "engine/served_verbs.h"
#include "queue/channel.h"
#include "queue/messages.h"
#include "ring/wake_flag.h"

namespace tideline::engine {

class QueueServer;
class ServedSocket;

class ServedChannel {
 public:
  enum class State : std::uint8_t { kGreeting, kServing, kEnding };

  // Of a process that has connected, `peer`, and may do what `policy` says. The server outlives it.
  ServedChannel(QueueServer& server, std::uint16_t number, UniqueFd attach, const ucred& peer,
                std::shared_ptr<const ClientPolicy> policy);
  ServedChannel(const ServedChannel&) = delete;
  ServedChannel& operator=(const ServedChannel&) = delete;
  ~ServedChannel();

  std::uint16_t number() const { return number_; }
  State state() const { return state_; }
  const ucred& peer() const { return peer_; }
  ClientInfo info() const;

  // --- For sockets.
  bool may_bind(const client::Endpoint& local) const;
  // From which address it speaks to somebody; kNotPermitted if there is one, but not for it.
  client::Outcome<wire::Ipv6Address> source_for(const wire::Ipv6Address& remote) const;
  // What a datagram socket without an address of its own is bound to, before it sends from
  // `source`: any, or that one where the policy names some.
  wire::Ipv6Address bound_by_itself(const wire::Ipv6Address& source) const;
  // Rings its doorbell, if it sleeps, when the turn ends.
  void hint_waiter(std::uint16_t waiter, unsigned hint);

  // --- For verbs.
  FamilyMemory& family() const { return *family_; }
  // A byte for its doorbell, whether anybody sleeps or not.
  void ring_waiter(std::uint16_t waiter);

  // --- For the server.
  // One turn: hints, a call, some of the sockets. Returns whether there was anything to do.
  bool run(Instant now);
  bool has_work() const;
  // Nothing is left of one that ended.
  bool is_gone() const { return state_ == State::kEnding && held_ == 0; }
  Instant last_work() const { return last_work_; }
  int attach_fd() const { return attach_.get(); }
  int bell_fd() const { return bell_.get(); }
  const ClientPolicy& policy() const { return *policy_; }
  const std::shared_ptr<const ClientPolicy>& shared_policy() const { return policy_; }
  // Of the engine's, that it takes.
  std::size_t descriptors() const { return descriptors_; }
  void ring_bells();
  // Around sleeps: from arm() on, a hint rings the eventfd.
  void arm() {
    if (!std::exchange(armed_, true)) memory().engine.arm();
  }
  void disarm() {
    if (std::exchange(armed_, false)) memory().engine.disarm();
  }
  // Something has come on the attach socket, or it has ended.
  void attach_readable() { wished_ = true; }
  void end(EndReason reason);
  // A child's, with a channel of its own that holds what `parent` holds. Its end of the attach
  // socket, the memory and the eventfd are for the child. Empty: no descriptors were to be had.
  std::vector<UniqueFd> begin_as_child(const ServedChannel& parent, Instant now);

 private:
  // A doorbell of a waiting context of the program's.
  struct Bell {
    UniqueFd ringer;
    ring::Notifier notifier;
  };
  struct KnownFamily {
    const FamilyMemory* memory = nullptr;
    std::size_t sockets = 0;  // of it that are held
  };
  static constexpr unsigned kHints = queue::HintBoard::kHints;

  queue::ChannelMemory& memory() const { return *memory_.at<queue::ChannelMemory>(0); }

  // served_channel.cc
  bool make_memory(std::vector<UniqueFd>& for_program);
  bool take_hints();
  bool look_at_sockets(Instant now);
  void look_later(std::uint32_t handle);
  bool let_go_of_some(Instant now);
  bool has_free_handle() const {
    return !free_handles_.empty() || sockets_.size() < queue::kMostSockets;
  }
  // The handle of a socket that it holds from now on, or did before. There is a free one.
  std::uint32_t add(ServedSocket& socket);
  ServedSocket* find(std::uint32_t handle) const;
  void remove(std::uint32_t handle, bool abort, bool died, Instant now);
  bool is_drained(ServedSocket& socket, Instant now);

  // served_calls.cc
  bool answer_call(Instant now);
  // False: the call waits, or has ended the channel.
  bool answer_verbs(Instant now);
  // Nothing: the call waits, or has ended the channel.
  std::optional<queue::Response> execute(const queue::Request& request, Instant now);
  std::optional<queue::Response> execute_on(ServedSocket& socket, const queue::Request& request,
                                            Instant now);
  queue::Response open(const queue::Request& request);
  queue::Response accept(ServedSocket& listener, Instant now);
  queue::Response describe(std::uint32_t handle, const ServedSocket& socket) const;
  queue::Response route(const queue::Request& request) const;
  queue::Response own_address(bool ipv4) const;

  // served_wishes.cc
  bool read_wishes(Instant now);
  void greet(const ReceivedMessage& message, const queue::Hello& hello, Instant now);
  void refuse_greeting(EndReason why, const std::string& reason);
  void grant(queue::WishMessage wish, ReceivedMessage& message, Instant now);
  void take_waiter(std::uint32_t number, UniqueFd ringer);
  void give_child(Instant now);
  void give_family(std::uint32_t number);
  void give_token(std::uint32_t handle);
  void give_heap();
  void take_memory(UniqueFd memory);
  // Null: the front end has no verbs.
  ServedVerbs* verbs();
  void adopt(const UniqueFd& token);
  template <typename Message>
  void send(const Message& message, std::span<const int> fds);

  QueueServer& server_;
  const std::uint16_t number_;
  State state_ = State::kGreeting;
  UniqueFd attach_;
  UniqueFd bell_;  // an eventfd, only ever polled
  ucred peer_;
  std::shared_ptr<const ClientPolicy> policy_;
  std::string program_;
  std::shared_ptr<FamilyMemory> family_;
  Mapping memory_;

  bool armed_ = false;
  bool wished_ = false;
  bool called_ = false;
  std::uint32_t answered_ = 0;
  std::size_t descriptors_ = 2;
  Instant drains_until_ = kNever;  // of the socket that is about to be let go of
  std::uint64_t calls_ = 0;
  Instant last_work_{};

  // By handle; 0 is none.
  std::vector<ServedSocket*> sockets_{nullptr};
  std::vector<std::uint32_t> free_handles_;
  std::size_t held_ = 0;
  std::size_t ended_to_ = 1;  // handles before this one are let go of
  std::unordered_map<std::uint32_t, KnownFamily> families_;

  // Hints that were taken and not yet looked at: bits, and words that have some.
  std::array<std::uint64_t, kHints / 64> hints_{};
  std::uint64_t hinted_words_ = 0;
  unsigned next_word_ = 0;

  std::array<std::optional<Bell>, queue::ChannelMemory::kWaiters> bells_;
  // Waiters that were hinted in this turn: bits.
  std::array<std::uint64_t, queue::ChannelMemory::kWaiters / 64> hinted_waiters_{};
  bool rings_ = false;

  std::unique_ptr<ServedVerbs> verbs_;  // null: it has asked for nothing yet
  int verbs_put_off_ = 0;               // turns that the call has waited for what was posted
};

}  // namespace tideline::engine
