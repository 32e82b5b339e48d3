// SPDX-License-Identifier: Apache-2.0
// What comes on a channel's attach socket: docs/queue-pair.md, "Attach".
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "engine/queue_server.h"
#include "engine/served_channel.h"
#include "engine/served_socket.h"
#include "queue/doorbell.h"

namespace tideline::engine {
namespace {

using client::Failure;
using queue::Hello;
using queue::Welcome;
using queue::Wish;
using queue::WishAnswer;
using queue::WishMessage;

constexpr int kWishesAtOnce = 4;

bool is_stream_of_unix(int fd) {
  int domain = 0;
  int type = 0;
  socklen_t size = sizeof(int);
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
         ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

// For people: what is no letter, digit or sign is a dot.
std::string printable(std::span<const char> text) {
  std::string result;
  for (const char each : text) {
    if (each == '\0') break;
    result += std::isprint(static_cast<unsigned char>(each)) != 0 ? each : '.';
  }
  return result;
}

}  // namespace

template <typename Message>
void ServedChannel::send(const Message& message, std::span<const int> fds) {
  if (!send_with_fds(attach_.get(), std::as_bytes(std::span(&message, 1)), fds)) {
    end(EndReason::kDeaf);
  }
}

bool ServedChannel::read_wishes(Instant now) {
  wished_ = false;
  for (int i = 0; i < kWishesAtOnce && state_ != State::kEnding; ++i) {
    alignas(Hello) std::array<std::byte, sizeof(Hello)> bytes{};
    auto message = receive_with_fds(attach_.get(), bytes);
    if (!message) {
      const int error = message.error().errno_value;
      if (error == EAGAIN || error == EWOULDBLOCK) return i > 0;
      end(error == 0 ? EndReason::kBadWish : EndReason::kClosed);
      return true;
    }
    if (message->size == 0) {
      end(EndReason::kClosed);
    } else if (state_ == State::kGreeting) {
      Hello hello;
      std::memcpy(&hello, bytes.data(), sizeof(hello));
      greet(*message, hello, now);
    } else if (message->size == sizeof(WishMessage)) {
      WishMessage wish;
      std::memcpy(&wish, bytes.data(), sizeof(wish));
      grant(wish, *message, now);
    } else {
      end(EndReason::kBadWish);
    }
    for (UniqueFd& fd : message->fds) {
      if (fd) server_.discard(std::move(fd), peer_.uid);
    }
  }
  wished_ = state_ != State::kEnding;
  return true;
}

void ServedChannel::refuse_greeting(EndReason why, const std::string& reason) {
  Welcome welcome{.refused = 1};
  reason.copy(welcome.reason.data(), welcome.reason.size() - 1);
  send(welcome, {});
  end(why);
}

void ServedChannel::greet(const ReceivedMessage& message, const Hello& hello, Instant now) {
  if (message.size != sizeof(hello) || hello.magic != queue::kMagic || !message.fds.empty()) {
    end(EndReason::kBadHello);
    return;
  }
  program_ = printable(hello.program);
  if (hello.version != queue::kVersion) {
    refuse_greeting(EndReason::kVersion,
                    fmt::format("it speaks version {} of the queue pair, and the program version "
                                "{}; use programs and tidelined of one version",
                                queue::kVersion, hello.version));
    return;
  }
  if (!policy_->admitted) return refuse_greeting(EndReason::kRefused, policy_->reason);
  if (!server_.has_room_for(*this)) {
    return refuse_greeting(EndReason::kRefused, "too many processes of this user are attached");
  }
  std::vector<UniqueFd> fds;
  family_ = server_.make_family(*this);
  if (!family_ || !make_memory(fds)) {
    return refuse_greeting(EndReason::kRefused, "it has no memory or descriptors for one more");
  }
  const int sent[] = {fds[0].get(), fds[1].get(), family_->fd()};
  state_ = State::kServing;
  last_work_ = now;
  send(Welcome{.channel = number_, .family = family_->number(), .family_size = family_->size()},
       sent);
}

void ServedChannel::grant(WishMessage wish, ReceivedMessage& message, Instant now) {
  const bool carries =
      wish.wish == Wish::kWaiter || wish.wish == Wish::kAdopt || wish.wish == Wish::kMemory;
  if (message.fds.size() != (carries ? 1U : 0U)) return end(EndReason::kBadWish);
  switch (wish.wish) {
    case Wish::kWaiter:
      return take_waiter(wish.number, std::move(message.fds[0]));
    case Wish::kFork:
      return give_child(now);
    case Wish::kFamily:
      return give_family(wish.number);
    case Wish::kToken:
      return give_token(wish.number);
    case Wish::kAdopt:
      return adopt(message.fds[0]);
    case Wish::kHeap:
      return give_heap();
    case Wish::kMemory:
      return take_memory(std::move(message.fds[0]));
  }
  end(EndReason::kBadWish);
}

void ServedChannel::take_waiter(std::uint32_t number, UniqueFd ringer) {
  if (number >= bells_.size() || bells_[number] || !is_stream_of_unix(ringer.get())) {
    server_.discard(std::move(ringer), peer_.uid);
    return end(EndReason::kBadWish);
  }
  if (!server_.charge(*this, 1)) {
    server_.discard(std::move(ringer), peer_.uid);
    return end(EndReason::kRefused);
  }
  ++descriptors_;
  Bell& bell =
      bells_[number].emplace(std::move(ringer), ring::Notifier(memory().waiters[number].flag()));
  // It may have been hinted, and sleep, before it had a bell.
  if (bell.notifier.should_ring()) queue::Doorbell::ring(bell.ringer.get());
}

void ServedChannel::give_child(Instant now) {
  std::vector<UniqueFd> fds;
  const ServedChannel* child = server_.make_child(*this, fds, now);
  if (child == nullptr) {
    Welcome refusal{.refused = 1};
    std::strncpy(refusal.reason.data(), "too many processes of this user are attached",
                 refusal.reason.size() - 1);
    return send(refusal, {});
  }
  const int sent[] = {fds[0].get(), fds[1].get(), fds[2].get()};
  send(
      Welcome{
          .channel = child->number(), .family = family_->number(), .family_size = family_->size()},
      sent);
}

// Of one that it has a socket of, or that it founded.
void ServedChannel::give_family(std::uint32_t number) {
  const auto known = families_.find(number);
  const FamilyMemory* memory = known == families_.end() ? nullptr : known->second.memory;
  if (number == family_->number()) memory = &*family_;
  if (memory == nullptr) return end(EndReason::kBadWish);
  const int fd = memory->fd();
  send(WishAnswer{.number = number, .size = memory->size()}, {&fd, 1});
}

void ServedChannel::give_token(std::uint32_t handle) {
  ServedSocket* socket = find(handle);
  if (socket == nullptr) return end(EndReason::kBadHandle);
  const UniqueFd near = server_.make_token(*socket, *this);
  if (!near) {
    return send(WishAnswer{.failure = static_cast<std::uint32_t>(Failure::kNoMemory)}, {});
  }
  const int fd = near.get();
  send(WishAnswer{.number = handle}, {&fd, 1});
}

ServedVerbs* ServedChannel::verbs() {
  if (verbs_ == nullptr && server_.rdma() != nullptr) {
    verbs_ = std::make_unique<ServedVerbs>(server_, *this, *server_.rdma());
  }
  return verbs_.get();
}

// Of another user's program we make no use.
void ServedChannel::take_memory(UniqueFd memory) {
  const bool taken = verbs() != nullptr && !verbs_->program().has_memory() &&
                     peer_.uid == ::geteuid() && ClientMemory::is_memory(memory.get()) &&
                     server_.charge(*this, 1);
  if (taken) {
    ++descriptors_;
    verbs_->program().set_memory(std::move(memory));
  } else {
    server_.discard(std::move(memory), peer_.uid);
  }
  const Failure failure = taken ? Failure::kNone : Failure::kNotPermitted;
  send(WishAnswer{.failure = static_cast<std::uint32_t>(failure)}, {});
}

void ServedChannel::give_heap() {
  const int fd = verbs() == nullptr ? -1 : verbs_->make_heap();
  if (fd < 0) {
    return send(WishAnswer{.failure = static_cast<std::uint32_t>(Failure::kNoMemory)}, {});
  }
  send(WishAnswer{.size = verbs_->heap_size()}, {&fd, 1});
}

void ServedChannel::adopt(const UniqueFd& token) {
  ServedSocket* socket = server_.socket_of_token(token.get());
  WishAnswer answer;
  if (socket == nullptr) {
    answer.failure = static_cast<std::uint32_t>(Failure::kInvalid);
  } else if (socket->family().user() != peer_.uid) {
    answer.failure = static_cast<std::uint32_t>(Failure::kNotPermitted);
  } else if (socket->handle_of(*this) == 0 && !has_free_handle()) {
    answer.failure = static_cast<std::uint32_t>(Failure::kNoMemory);
  } else {
    answer.number = add(*socket);
  }
  send(answer, {});
}

}  // namespace tideline::engine
