// SPDX-License-Identifier: Apache-2.0
#include "engine/queue_server.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "engine/served_socket.h"

namespace tideline::engine {
namespace {

constexpr Duration kLookEvery = std::chrono::microseconds(20);
constexpr Duration kAwake = std::chrono::milliseconds(1);  // without work, until it is armed
constexpr Duration kGreetingTime = std::chrono::seconds(5);
constexpr Duration kAcceptAgain = std::chrono::milliseconds(100);
constexpr int kAcceptsAtOnce = 8;
constexpr std::size_t kMostChannels = 65535;
// Beyond a user's quota, who are told so.
constexpr std::size_t kMostRefused = 16;
// Of a user, descriptors whose close does not return: from then on there are no new ones.
constexpr std::size_t kMostUnclosed = 1024;

}  // namespace

Result<std::unique_ptr<QueueServer>> QueueServer::create(Worker& worker, UniqueFd listening,
                                                         Policy policy) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("cannot make an epoll instance");
  std::unique_ptr<QueueServer> server(
      new QueueServer(worker, std::move(listening), std::move(epoll), std::move(policy)));
  const int fd = server->listening_.get();
  if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
      !server->watch(fd, EPOLLIN | EPOLLET, Source::kListening, 0, 0)) {
    return fail_errno("cannot listen for programs");
  }
  return server;
}

QueueServer::QueueServer(Worker& worker, UniqueFd listening, UniqueFd epoll, Policy policy)
    : worker_(worker),
      listening_(std::move(listening)),
      epoll_(std::move(epoll)),
      policy_(std::move(policy)),
      sockets_(worker) {}

QueueServer::~QueueServer() = default;

void QueueServer::serve_rdma(rdma::Device& device) { rdma_.emplace(device, worker_); }

void QueueServer::leave_rdma() {
  for (Place& place : places_) {
    if (place.channel != nullptr) place.channel->end(EndReason::kStopped);
  }
  rdma_.reset();
}

bool QueueServer::watch(int fd, std::uint32_t events, Source source, std::uint32_t number,
                        std::uint32_t generation) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = std::uint64_t{static_cast<std::uint8_t>(source)} << 56 |
                   std::uint64_t{generation & 0xff'ffff} << 32 | number;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

bool QueueServer::watch_attach(int fd, const ServedChannel& channel) {
  return watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET, Source::kAttach, channel.number(),
               places_[channel.number()].generation);
}

bool QueueServer::watch_bell(int fd, const ServedChannel& channel) {
  return watch(fd, EPOLLIN | EPOLLET, Source::kBell, channel.number(),
               places_[channel.number()].generation);
}

// --- The loop.

Instant QueueServer::next_deadline() const {
  const bool unfinished =
      came_ > 0 || accept_again_ ||
      std::ranges::any_of(active_, [](const ServedChannel* each) { return each->has_work(); });
  if (unfinished) return {};
  const Instant rdma = rdma_ ? rdma_->next_deadline() : kNever;
  return std::min({greetings_due_, accept_at_, sockets_.next_rest(), rdma});
}

bool QueueServer::has_work(Instant now) {
  if (came_ == 0 && now >= look_at_) look(now);
  return next_deadline() <= now;
}

void QueueServer::arm() {
  for (ServedChannel* channel : active_) {
    if (channel->state() == ServedChannel::State::kServing) channel->arm();
  }
}

void QueueServer::disarm() {
  for (ServedChannel* channel : active_) channel->disarm();
  look_at_ = {};
}

void QueueServer::look(Instant now) {
  look_at_ = now + kLookEvery;
  came_ = std::max(0, ::epoll_wait(epoll_.get(), events_.data(), kEventsAtOnce, 0));
}

bool QueueServer::run(Instant now) {
  if (came_ == 0 && now >= look_at_) look(now);
  bool worked = came_ > 0;
  take_events(now);
  if (accept_again_ || accept_at_ <= now) accept_some(now);
  if (greetings_due_ <= now) drop_silent(now);
  sockets_.let_rest(now);
  // Channels may begin meanwhile (a fork), and are looked at in this turn, too.
  for (std::size_t i = 0; i < active_.size();) {
    ServedChannel& channel = *active_[i];
    worked |= channel.run(now);
    if (channel.is_gone()) {
      remove(channel);
    } else if (now - channel.last_work() <= kAwake || channel.has_work() || !fall_asleep(channel)) {
      ++i;
      continue;
    }
    active_[i] = active_.back();
    active_.pop_back();
  }
  if (rdma_) worked |= rdma_->run(now);
  return worked;
}

void QueueServer::end_turn() {
  for (ServedChannel* channel : ringing_) channel->ring_bells();
  ringing_.clear();
}

void QueueServer::activate(ServedChannel& channel) {
  Place& place = places_[channel.number()];
  if (std::exchange(place.active, true)) return;
  channel.disarm();
  active_.push_back(&channel);
}

bool QueueServer::fall_asleep(ServedChannel& channel) {
  if (channel.state() == ServedChannel::State::kServing) {
    channel.arm();
    if (channel.has_work()) {
      channel.disarm();
      return false;
    }
  }
  places_[channel.number()].active = false;
  return true;
}

void QueueServer::take_events(Instant now) {
  const int came = std::exchange(came_, 0);
  for (int i = 0; i < came; ++i) {
    take_event(events_[static_cast<std::size_t>(i)].data.u64, now);
  }
}

void QueueServer::take_event(std::uint64_t data, Instant now) {
  const auto source = static_cast<Source>(data >> 56);
  const auto number = static_cast<std::uint32_t>(data);
  if (source == Source::kListening) {
    accept_again_ = true;
    return;
  }
  if (source == Source::kToken) {
    lose_token(number, now);
    return;
  }
  Place& place = places_[number];
  const auto generation = static_cast<std::uint32_t>(data >> 32) & 0xff'ffff;
  if (place.channel == nullptr || (place.generation & 0xff'ffff) != generation) return;
  if (place.channel->state() == ServedChannel::State::kEnding) return;
  if (source == Source::kAttach) place.channel->attach_readable();
  activate(*place.channel);
}

// --- Programs come.

void QueueServer::accept_some(Instant now) {
  accept_again_ = false;
  accept_at_ = kNever;
  if (!listening_) return;
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    UniqueFd attach(::accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!attach) {
      // Whatever lacks may be there later; who waits is not announced again.
      if (errno != EAGAIN && errno != EWOULDBLOCK) accept_at_ = now + kAcceptAgain;
      return;
    }
    ucred peer{};
    socklen_t size = sizeof(peer);
    if (::getsockopt(attach.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) continue;
    const auto policy = std::make_shared<const ClientPolicy>(policy_(peer));
    ServedChannel* channel = nullptr;
    if (user(peer.uid).channels < policy->most_channels + kMostRefused) {
      channel = add_channel(attach, peer, policy);
    }
    if (channel == nullptr) {
      discard(std::move(attach), peer.uid);
      forget_users();
      ++ended_[static_cast<std::size_t>(EndReason::kRefused)];
      continue;
    }
    if (!watch_attach(channel->attach_fd(), *channel)) {
      channel->end(EndReason::kRefused);
      continue;
    }
    places_[channel->number()].greets_until = now + kGreetingTime;
    greetings_due_ = std::min(greetings_due_, now + kGreetingTime);
  }
  accept_again_ = true;
}

ServedChannel* QueueServer::add_channel(UniqueFd& attach, const ucred& peer,
                                        std::shared_ptr<const ClientPolicy> policy) {
  User& owner = user(peer.uid);
  if (!owner.closes()) return nullptr;
  if (free_numbers_.empty()) {
    if (places_.size() == kMostChannels) return nullptr;
    free_numbers_.push_back(static_cast<std::uint16_t>(places_.size()));
    places_.emplace_back();
  }
  const std::uint16_t number = free_numbers_.front();
  free_numbers_.pop_front();
  Place& place = places_[number];
  ++place.generation;
  place.channel =
      std::make_unique<ServedChannel>(*this, number, std::move(attach), peer, std::move(policy));
  sockets_.set_channel(number, &*place.channel);
  ++owner.channels;
  owner.descriptors += place.channel->descriptors();
  ++channels_;
  return &*place.channel;
}

bool QueueServer::has_room_for(const ServedChannel& channel) {
  const User& owner = user(channel.peer().uid);
  return owner.channels <= channel.policy().most_channels &&
         owner.descriptors <= channel.policy().most_descriptors;
}

bool QueueServer::charge(const ServedChannel& channel, std::size_t descriptors) {
  User& owner = user(channel.peer().uid);
  if (owner.descriptors + descriptors > channel.policy().most_descriptors || !owner.closes()) {
    return false;
  }
  owner.descriptors += descriptors;
  return true;
}

bool QueueServer::charge(const ServedChannel& channel, const RdmaUse& use) {
  constexpr std::size_t kObjectsPerPair = 8;
  RdmaUse& used = user(channel.peer().uid).rdma;
  const ClientPolicy& policy = channel.policy();
  const std::size_t free_bytes =
      policy.most_registered - std::min(policy.most_registered, used.registered);
  if (used.queue_pairs + use.queue_pairs > policy.most_queue_pairs ||
      used.objects + use.objects > policy.most_queue_pairs * kObjectsPerPair ||
      use.registered > free_bytes) {
    return false;
  }
  used.queue_pairs += use.queue_pairs;
  used.objects += use.objects;
  used.registered += use.registered;
  return true;
}

void QueueServer::release(const ServedChannel& channel, const RdmaUse& use) {
  RdmaUse& used = user(channel.peer().uid).rdma;
  used.queue_pairs -= use.queue_pairs;
  used.objects -= use.objects;
  used.registered -= use.registered;
}

QueueServer::User& QueueServer::user(uid_t uid) {
  User& found = users_[uid];
  if (found.closer == nullptr) {
    if (auto closer = FdCloser::start()) found.closer = std::move(*closer);
  }
  return found;
}

bool QueueServer::User::closes() const {
  return closer != nullptr && closer->waiting() <= kMostUnclosed;
}

void QueueServer::forget_users() {
  std::erase_if(users_, [](const auto& entry) {
    const User& each = entry.second;
    return each.channels == 0 && each.descriptors == 0 &&
           (each.closer == nullptr || each.closer->waiting() == 0);
  });
}

void QueueServer::discard(UniqueFd fd, uid_t uid) {
  if (const User& owner = user(uid); owner.closer != nullptr) owner.closer->discard(std::move(fd));
}

std::shared_ptr<FamilyMemory> QueueServer::make_family(const ServedChannel& founder) {
  auto memory = FamilyMemory::create({.number = next_family_,
                                      .user = founder.peer().uid,
                                      .most_sockets = founder.policy().most_sockets,
                                      .most_memory = founder.policy().most_memory});
  if (!memory) return nullptr;
  ++next_family_;
  return *memory;
}

ServedChannel* QueueServer::make_child(const ServedChannel& parent, std::vector<UniqueFd>& fds,
                                       Instant now) {
  UniqueFd none;  // until it has a socketpair
  ServedChannel* child = add_channel(none, parent.peer(), parent.shared_policy());
  if (child == nullptr) return nullptr;
  if (has_room_for(*child)) fds = child->begin_as_child(parent, now);
  activate(*child);
  if (fds.size() == 3) return child;
  child->end(EndReason::kRefused);
  return nullptr;
}

void QueueServer::drop_silent(Instant now) {
  greetings_due_ = kNever;
  for (Place& place : places_) {
    if (place.channel == nullptr || place.channel->state() != ServedChannel::State::kGreeting) {
      continue;
    }
    if (place.greets_until <= now) {
      place.channel->end(EndReason::kSilent);
    } else {
      greetings_due_ = std::min(greetings_due_, place.greets_until);
    }
  }
}

// --- Programs go.

void QueueServer::note_end(ServedChannel& channel, EndReason reason) {
  ++ended_[static_cast<std::size_t>(reason)];
  for (const int fd : {channel.attach_fd(), channel.bell_fd()}) {
    if (fd >= 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  }
  // Nobody hints it any more.
  sockets_.set_channel(channel.number(), nullptr);
  activate(channel);
  if (log_) log_(channel.info(), reason);
}

void QueueServer::remove(ServedChannel& channel) {
  const std::uint16_t number = channel.number();
  const uid_t uid = channel.peer().uid;
  User& owner = user(uid);
  --owner.channels;
  owner.descriptors -= channel.descriptors();
  --channels_;
  forget_users();
  std::erase(ringing_, &channel);
  Place& place = places_[number];
  place.channel.reset();
  place.active = false;
  free_numbers_.push_back(number);
}

void QueueServer::stop_accepting() { listening_.reset(); }

void QueueServer::end_all(Instant now) {
  for (Place& place : places_) {
    if (place.channel != nullptr) place.channel->end(EndReason::kStopped);
  }
  std::vector<std::uint32_t> all;
  tokens_.for_each([&](std::uint32_t number, const auto& /*token*/) { all.push_back(number); });
  for (const std::uint32_t number : all) lose_token(number, now);
}

void QueueServer::for_each_client(const std::function<void(const ClientInfo&)>& visit) const {
  for (const Place& place : places_) {
    if (place.channel != nullptr && place.channel->state() == ServedChannel::State::kServing) {
      visit(place.channel->info());
    }
  }
}

// --- Tokens.

UniqueFd QueueServer::make_token(ServedSocket& socket, const ServedChannel& channel) {
  if (!charge(channel, 1)) return {};
  std::uint32_t number = 0;
  auto near = tokens_.make(socket, channel.peer().uid, number);
  if (near && watch(tokens_.far_of(number), EPOLLRDHUP | EPOLLET, Source::kToken, number, 0)) {
    socket.hold_by_token();
    return std::move(*near);
  }
  if (near) tokens_.remove(number);
  --user(channel.peer().uid).descriptors;
  return {};
}

void QueueServer::lose_token(std::uint32_t number, Instant now) {
  auto token = tokens_.remove(number);
  if (!token) return;
  --user(static_cast<uid_t>(token->owner)).descriptors;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, token->far.get(), nullptr);
  discard(std::move(token->far), static_cast<uid_t>(token->owner));
  forget_users();
  token->socket->let_go_of_token(now);
}

}  // namespace tideline::engine
