// SPDX-License-Identifier: Apache-2.0
#include "engine/served_channel.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <utility>

#include "base/bits.h"
#include "base/memfd.h"
#include "engine/queue_server.h"
#include "engine/served_socket.h"
#include "engine/socket_values.h"
#include "queue/doorbell.h"

namespace tideline::engine {
namespace {

using client::Failure;

// Of one channel in one turn, so that all get theirs.
constexpr int kLooksAtOnce = 64;
constexpr int kLetGoAtOnce = 64;
// For what a socket still has to send, before it is let go of.
constexpr Duration kDrainTime = std::chrono::milliseconds(200);

}  // namespace

ServedChannel::ServedChannel(QueueServer& server, std::uint16_t number, UniqueFd attach,
                             const ucred& peer, std::shared_ptr<const ClientPolicy> policy)
    : server_(server),
      number_(number),
      attach_(std::move(attach)),
      peer_(peer),
      policy_(std::move(policy)) {}

ServedChannel::~ServedChannel() = default;

ClientInfo ServedChannel::info() const {
  return {.pid = peer_.pid,
          .uid = peer_.uid,
          .gid = peer_.gid,
          .program = program_,
          .channel = number_,
          .family = family_ ? family_->number() : 0,
          .sockets = held_,
          .memory = family_ ? family_->fifo_bytes() : 0,
          .most_sockets = policy_->most_sockets,
          .most_memory = policy_->most_memory,
          .calls = calls_};
}

bool ServedChannel::may_bind(const client::Endpoint& local) const {
  const ClientPolicy& policy = *policy_;
  if (local.port != 0 && (local.port < policy.first_port || local.port > policy.last_port)) {
    return false;
  }
  return policy.addresses.empty() ||
         std::ranges::any_of(policy.addresses, [&](const wire::Ipv6Prefix& prefix) {
           return prefix.contains(local.address);
         });
}

client::Outcome<wire::Ipv6Address> ServedChannel::source_for(
    const wire::Ipv6Address& remote) const {
  ip::Stack& stack = server_.sockets().stack();
  const auto best = stack.source_for(remote);
  if (!best) return refuse(Failure::kNetworkUnreachable);
  if (may_bind({.address = *best})) return *best;
  // Another one of the same version.
  for (const wire::Ipv4Prefix& each : stack.addresses().ipv4()) {
    const auto address = wire::Ipv6Address::mapped(each.address);
    if (remote.is_mapped() && may_bind({.address = address})) return address;
  }
  for (const auto& each : stack.addresses().ipv6()) {
    const wire::Ipv6Address& address = each.prefix.address;
    const bool fits = !remote.is_mapped() && each.state != ip::AddressState::kTentative &&
                      address.is_link_local() == remote.is_link_local();
    if (fits && may_bind({.address = address})) return address;
  }
  return refuse(Failure::kNotPermitted);
}

wire::Ipv6Address ServedChannel::bound_by_itself(const wire::Ipv6Address& source) const {
  return policy_->addresses.empty() ? wire::Ipv6Address() : source;
}

void ServedChannel::hint_waiter(std::uint16_t waiter, unsigned hint) {
  if (waiter >= bells_.size()) return;
  memory().waiters[waiter].hint(hint);
  hinted_waiters_[waiter / 64] |= std::uint64_t{1} << waiter % 64;
  if (!std::exchange(rings_, true)) server_.ring_later(*this);
}

void ServedChannel::ring_bells() {
  rings_ = false;
  for (std::size_t word = 0; word < hinted_waiters_.size(); ++word) {
    for (std::uint64_t bits = std::exchange(hinted_waiters_[word], 0); bits != 0;
         bits &= bits - 1) {
      auto& bell = bells_[word * 64 + static_cast<unsigned>(std::countr_zero(bits))];
      if (bell && bell->notifier.should_ring()) queue::Doorbell::ring(bell->ringer.get());
    }
  }
}

void ServedChannel::ring_waiter(std::uint16_t waiter) {
  if (waiter < bells_.size() && bells_[waiter]) queue::Doorbell::ring(bells_[waiter]->ringer.get());
}

bool ServedChannel::make_memory(std::vector<UniqueFd>& for_program) {
  constexpr std::size_t kSize = align_up(sizeof(queue::ChannelMemory), kPageSize);
  auto fd = create_memfd("tideline-channel", kSize, PageKind::kNormal);
  if (!fd) return false;
  auto mapping = Mapping::map(fd->get(), kSize, Access::kReadWrite);
  if (!mapping || !seal_memfd(fd->get(), Sharing::kReadWrite)) return false;
  // Present from now on: no touch of it can fail.
  if (!mapping->populate()) return false;
  bell_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  UniqueFd bell(::fcntl(bell_.get(), F_DUPFD_CLOEXEC, 0));
  if (!bell || !server_.watch_bell(bell_.get(), *this)) return false;
  memory_ = std::move(*mapping);
  for_program.push_back(std::move(*fd));
  for_program.push_back(std::move(bell));
  return true;
}

std::vector<UniqueFd> ServedChannel::begin_as_child(const ServedChannel& parent, Instant now) {
  std::vector<UniqueFd> fds;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return {};
  attach_ = UniqueFd(ends[0]);
  fds.emplace_back(ends[1]);
  if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0 || !server_.watch_attach(ends[0], *this) ||
      !make_memory(fds)) {
    return {};
  }
  program_ = parent.program_;
  family_ = parent.family_;
  sockets_.resize(parent.sockets_.size());
  for (std::uint32_t handle = 1; handle < sockets_.size(); ++handle) {
    sockets_[handle] = parent.sockets_[handle];
    if (sockets_[handle] != nullptr) sockets_[handle]->hold(*this, handle);
  }
  free_handles_ = parent.free_handles_;
  families_ = parent.families_;
  held_ = parent.held_;
  state_ = State::kServing;
  last_work_ = now;
  return fds;
}

bool ServedChannel::has_work() const {
  if (state_ == State::kEnding) return true;
  if (wished_) return true;
  if (state_ == State::kGreeting) return false;
  return called_ || hinted_words_ != 0 || memory().engine.has_hints();
}

bool ServedChannel::run(Instant now) {
  if (state_ == State::kEnding) return let_go_of_some(now);
  bool worked = wished_ && read_wishes(now);
  if (state_ == State::kServing) worked |= take_hints();
  if (state_ == State::kServing && called_) worked |= answer_call(now);
  if (state_ == State::kServing) worked |= look_at_sockets(now);
  if (worked) last_work_ = now;
  return worked;
}

bool ServedChannel::take_hints() {
  queue::HintBoard& board = memory().engine;
  if (!board.has_hints()) return false;
  board.take([this](unsigned hint) {
    called_ |= hint == queue::ChannelMemory::kCallHint;
    look_later(hint);
  });
  return true;
}

void ServedChannel::look_later(std::uint32_t handle) {
  const unsigned hint = handle % kHints;
  hints_[hint / 64] |= std::uint64_t{1} << hint % 64;
  hinted_words_ |= std::uint64_t{1} << hint / 64;
}

// Begins where it has stopped the turn before, so that no socket waits for others for ever.
bool ServedChannel::look_at_sockets(Instant now) {
  if (hinted_words_ == 0) return false;
  std::array<std::uint32_t, kLooksAtOnce + queue::kMostSockets / kHints + 1> again;
  std::size_t unfinished = 0;
  for (int left = kLooksAtOnce; hinted_words_ != 0 && left > 0;) {
    const auto skip = std::countr_zero(std::rotr(hinted_words_, static_cast<int>(next_word_)));
    const unsigned word = (next_word_ + static_cast<unsigned>(skip)) % 64;
    const auto bit = static_cast<unsigned>(std::countr_zero(hints_[word]));
    hints_[word] &= hints_[word] - 1;
    if (hints_[word] == 0) {
      hinted_words_ &= ~(std::uint64_t{1} << word);
      next_word_ = (word + 1) % 64;
    } else {
      next_word_ = word;
    }
    if (verbs_ != nullptr) {
      const auto more = verbs_->look(word * 64 + bit, now);
      if (!more) {
        end(more.error());
        return true;
      }
      --left;
      if (*more) again[unfinished++] = word * 64 + bit;
    }
    for (std::uint32_t handle = word * 64 + bit; handle < sockets_.size(); handle += kHints) {
      if (sockets_[handle] == nullptr) continue;
      --left;
      const auto more = sockets_[handle]->look(*this, now);
      if (!more) {
        end(more.error());
        return true;
      }
      if (*more) again[unfinished++] = handle;
    }
  }
  for (std::size_t i = 0; i < unfinished; ++i) look_later(again[i]);
  return true;
}

std::uint32_t ServedChannel::add(ServedSocket& socket) {
  if (const std::uint32_t known = socket.handle_of(*this); known != 0) return known;
  auto handle = static_cast<std::uint32_t>(sockets_.size());
  if (free_handles_.empty()) {
    sockets_.push_back(nullptr);
  } else {
    handle = free_handles_.back();
    free_handles_.pop_back();
  }
  sockets_[handle] = &socket;
  socket.hold(*this, handle);
  ++held_;
  KnownFamily& family = families_[socket.family().number()];
  family.memory = &socket.family();
  ++family.sockets;
  return handle;
}

ServedSocket* ServedChannel::find(std::uint32_t handle) const {
  return handle < sockets_.size() ? sockets_[handle] : nullptr;
}

void ServedChannel::remove(std::uint32_t handle, bool abort, bool died, Instant now) {
  ServedSocket* socket = std::exchange(sockets_[handle], nullptr);
  const auto family = families_.find(socket->family().number());
  if (--family->second.sockets == 0) families_.erase(family);
  --held_;
  if (!died) free_handles_.push_back(handle);
  socket->let_go(*this, abort, died, now);
}

// Whether what was written to the socket is under way, or will never be.
bool ServedChannel::is_drained(ServedSocket& socket, Instant now) {
  const auto more = socket.look(*this, now);
  if (more.value_or(false)) {
    if (drains_until_ == kNever) drains_until_ = now + kDrainTime;
    if (now < drains_until_) return false;
  }
  drains_until_ = kNever;
  return true;
}

void ServedChannel::end(EndReason reason) {
  if (state_ == State::kEnding) return;
  state_ = State::kEnding;
  server_.note_end(*this, reason);
  verbs_.reset();
  // The program sees it at once, whoever closes the descriptor when.
  ::shutdown(attach_.get(), SHUT_RDWR);
  // What the program could still fill, or hear.
  for (auto& bell : bells_) {
    if (bell) server_.discard(std::move(bell->ringer), peer_.uid);
    bell.reset();
  }
  server_.discard(std::move(attach_), peer_.uid);
  server_.discard(std::move(bell_), peer_.uid);
}

bool ServedChannel::let_go_of_some(Instant now) {
  int left = kLetGoAtOnce;
  for (; ended_to_ < sockets_.size() && left > 0; ++ended_to_) {
    ServedSocket* socket = sockets_[ended_to_];
    if (socket == nullptr) continue;
    --left;
    if (!is_drained(*socket, now)) break;
    remove(static_cast<std::uint32_t>(ended_to_), false, true, now);
  }
  return true;
}

}  // namespace tideline::engine
