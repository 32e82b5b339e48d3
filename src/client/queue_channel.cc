// SPDX-License-Identifier: Apache-2.0
#include "client/queue_channel.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/thread.h"
#include "client/records.h"

namespace tideline::client {
namespace {

constexpr std::size_t kWatcherStack = std::size_t{64} << 10;

std::unexpected<Failure> refuse(Failure failure) { return std::unexpected(failure); }

// Of a call that waits: whoever sleeps looks again now and then.
constexpr timespec kNap{.tv_sec = 0, .tv_nsec = 100'000'000};

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t seen) {
  ::syscall(SYS_futex, &word, FUTEX_WAIT, seen, &kNap, nullptr, 0);
}

void futex_wake(std::atomic<std::uint32_t>& word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

template <typename Message>
std::span<const std::byte> bytes_of(const Message& message) {
  return std::as_bytes(std::span(&message, 1));
}

// A thread that holds a channel must not be cancelled: nobody would give it back.
class Uncancelled {
 public:
  Uncancelled() { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  Uncancelled(const Uncancelled&) = delete;
  Uncancelled& operator=(const Uncancelled&) = delete;
  ~Uncancelled() { ::pthread_setcancelstate(before_, nullptr); }

 private:
  int before_ = 0;
};

Result<UniqueFd> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return fail({.kind = ErrorKind::kUsage, .what = "the path '" + path + "' is too long"});
  }
  path.copy(address.sun_path, path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("cannot make a socket", "raise the limit of open files");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return fail_errno("cannot reach the front end at " + path, "start it: tideline up");
  }
  return socket;
}

}  // namespace

Result<std::unique_ptr<QueueChannel>> QueueChannel::attach(const std::string& path,
                                                           const std::string& program) {
  auto socket = connect_to(path);
  if (!socket) return fail(std::move(socket.error()));
  queue::Hello hello;
  program.copy(hello.program.data(), hello.program.size() - 1);
  if (const Status sent = send_with_fds(socket->get(), bytes_of(hello), {}); !sent) {
    return fail(sent.error());
  }
  std::unique_ptr<QueueChannel> channel(new QueueChannel());
  std::vector<UniqueFd> fds;
  const auto welcome = channel->receive_welcome(socket->get(), fds);
  if (!welcome) return fail(welcome.error());
  if (const Status joined = channel->join(std::move(*socket), *welcome, std::move(fds)); !joined) {
    return fail(joined.error());
  }
  return channel;
}

Result<queue::Welcome> QueueChannel::receive_welcome(int socket, std::vector<UniqueFd>& fds) {
  queue::Welcome welcome;
  auto received = receive_with_fds(socket, std::as_writable_bytes(std::span(&welcome, 1)));
  if (!received) return fail(received.error());
  if (received->size != sizeof(welcome) || welcome.magic != queue::kMagic) {
    return fail({.kind = ErrorKind::kPeer,
                 .what = "what answers is no front end of tideline's, or another version",
                 .remedy = "use programs and tidelined of one version"});
  }
  welcome.reason.back() = '\0';
  if (welcome.refused != 0) {
    return fail({.kind = ErrorKind::kPeer,
                 .what = std::string("the front end refuses: ") + welcome.reason.data()});
  }
  if (welcome.version != queue::kVersion || received->fds.size() != 3) {
    return fail({.kind = ErrorKind::kPeer,
                 .what = "the front end speaks version " + std::to_string(welcome.version) +
                         " of the queue pair, this program " + std::to_string(queue::kVersion),
                 .remedy = "use programs and tidelined of one version"});
  }
  fds = std::move(received->fds);
  return welcome;
}

Status QueueChannel::join(UniqueFd socket, const queue::Welcome& welcome,
                          std::vector<UniqueFd> fds) {
  auto memory = Mapping::map(fds[0].get(), sizeof(queue::ChannelMemory), Access::kReadWrite);
  if (!memory) return fail(memory.error());
  const auto known = std::ranges::find_if(
      families_, [&](const auto& family) { return family->number() == welcome.family; });
  if (known == families_.end()) {
    auto family = FamilyView::open(welcome.family, keep(std::move(fds[2])), welcome.family_size);
    if (!family) return fail(family.error());
    families_.push_back(std::move(*family));
  }
  memory_ = std::move(*memory);
  channel_ = memory_.at<queue::ChannelMemory>(0);
  socket_ = keep(std::move(socket));
  bell_ = keep(std::move(fds[1]));
  number_ = welcome.channel;
  rung_for_.store(0, std::memory_order_relaxed);
  waiters_ = 0;
  doorbells_.clear();
  watch_for_the_end();
  return {};
}

// The same descriptor, which keeps() knows, above the numbers that programs choose themselves
// (shells, and whoever passes descriptors on at fixed numbers) if the limit of open files lets it.
UniqueFd QueueChannel::keep(UniqueFd fd) {
  constexpr int kFirst = 768;
  constexpr rlim_t kEnough = 1024;
  rlimit limit{};
  if (fd && ::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= kEnough) {
    if (UniqueFd high(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kFirst)); high) fd = std::move(high);
  }
  const auto number = static_cast<unsigned>(fd.get());
  if (number < kMostNumbers) {
    kept_[number / 64].fetch_or(std::uint64_t{1} << number % 64, std::memory_order_relaxed);
  }
  return fd;
}

// Before they are closed.
void QueueChannel::keep_no_more() {
  for (const UniqueFd* each : {&socket_, &bell_, &end_}) {
    const auto number = static_cast<unsigned>(each->get());
    if (number < kMostNumbers) {
      kept_[number / 64].fetch_and(~(std::uint64_t{1} << number % 64), std::memory_order_relaxed);
    }
  }
}

// By epoll: poll(2) fails in programs that allow themselves no descriptors.
void QueueChannel::watch_for_the_end() {
  end_ = keep(UniqueFd(::epoll_create1(EPOLL_CLOEXEC)));
  epoll_event event{.events = EPOLLHUP, .data = {}};
  if (::epoll_ctl(end_.get(), EPOLL_CTL_ADD, socket_.get(), &event) != 0) return;
  const auto thread = start_quiet_thread(&QueueChannel::watch, this, kWatcherStack,
                                         "the thread that watches the front end");
  // Without it, an end is noticed by calls alone.
  if (thread) ::pthread_detach(*thread);
}

// The channel is never freed once it serves.
void* QueueChannel::watch(void* object) {
  auto& channel = *static_cast<QueueChannel*>(object);
  epoll_event event{};
  while (::epoll_wait(channel.end_.get(), &event, 1, -1) < 0 && errno == EINTR) {
  }
  channel.gone_.store(true, std::memory_order_release);
  futex_wake(channel.channel_->call.answered);
  const std::scoped_lock lock(channel.waiters_mutex_);
  for (std::uint16_t waiter = 0; waiter < channel.waiters_; ++waiter) channel.tell_end(waiter);
  return nullptr;
}

// Whatever it watches is to be looked at.
void QueueChannel::tell_end(std::uint16_t waiter) {
  for (unsigned hint = 0; hint < queue::HintBoard::kHints; ++hint) {
    channel_->waiters[waiter].hint(hint);
  }
  queue::Doorbell::ring(doorbells_[waiter]);
}

void QueueChannel::hint(std::uint32_t handle) {
  queue::HintBoard& board = channel_->engine;
  board.hint(handle);
  // As ring::Notifier, for many threads.
  ring::StdMemory::full_fence();
  const std::uint64_t sequence = board.flag().sequence();
  if (sequence % 2 == 0 || rung_for_.exchange(sequence, std::memory_order_relaxed) == sequence) {
    return;
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(bell_.get(), &one, sizeof(one));
}

bool QueueChannel::begin_call() {
  // A signal handler has interrupted a call on its own thread.
  if (caller_.load(std::memory_order_relaxed) == ::pthread_self()) return false;
  call_mutex_.lock();
  caller_.store(::pthread_self(), std::memory_order_relaxed);
  return true;
}

void QueueChannel::end_call() {
  caller_.store({}, std::memory_order_relaxed);
  call_mutex_.unlock();
}

void QueueChannel::submit(const queue::Request& request) {
  queue::CallSlot& slot = channel_->call;
  slot.request = request;
  slot.asked.fetch_add(1, std::memory_order_release);
  hint(queue::ChannelMemory::kCallHint);
}

bool QueueChannel::wait_for_answer() {
  queue::CallSlot& slot = channel_->call;
  const std::uint32_t asked = slot.asked.load(std::memory_order_relaxed);
  const auto is_answered = [&] { return slot.answered.load(std::memory_order_acquire) == asked; };
  while (!is_answered()) {
    if (is_gone()) return false;
    const std::uint64_t begin = tsc_now();
    const std::uint64_t limit = budget_.limit(begin);
    bool found = false;
    while (!found && tsc_now() - begin < limit) {
      budget_.relax();
      found = is_answered();
    }
    if (found) {
      budget_.spun();
      return true;
    }
    slot.sleeps.store(1, std::memory_order_seq_cst);
    const std::uint32_t seen = slot.answered.load(std::memory_order_seq_cst);
    if (seen != asked && !is_gone()) futex_wait(slot.answered, seen);
    slot.sleeps.store(0, std::memory_order_relaxed);
    budget_.slept();
  }
  return true;
}

Outcome<queue::Response> QueueChannel::call(const queue::Request& request) {
  const Uncancelled whole;
  if (!begin_call()) return refuse(Failure::kForked);
  Outcome<queue::Response> result = refuse(Failure::kReset);
  if (wait_for_answer()) {  // of what was posted
    submit(request);
    if (wait_for_answer()) {
      const queue::Response response = channel_->call.response;
      const Failure failure = failure_from(response.failure);
      if (failure == Failure::kNone) {
        result = response;
      } else {
        result = refuse(failure);
      }
    }
  }
  end_call();
  return result;
}

Outcome<queue::VerbsResponse> QueueChannel::call_verbs(const queue::VerbsRequest& request) {
  const Uncancelled whole;
  if (!begin_call()) return refuse(Failure::kForked);
  Outcome<queue::VerbsResponse> result = refuse(Failure::kReset);
  if (wait_for_answer()) {
    channel_->call.verbs_request = request;
    submit({.op = queue::Op::kVerbs});
    if (wait_for_answer()) result = channel_->call.verbs_response;
  }
  end_call();
  return result;
}

Outcome<void> QueueChannel::change_keys(std::uint32_t handle, const queue::KeyRecord& key) {
  const Uncancelled whole;
  if (!begin_call()) return refuse(Failure::kForked);
  Outcome<void> result = refuse(Failure::kReset);
  if (wait_for_answer()) {
    channel_->call.key = key;
    submit({.op = queue::Op::kChangeKeys, .handle = handle});
    if (wait_for_answer()) {
      const Failure failure = failure_from(channel_->call.response.failure);
      result = failure == Failure::kNone ? Outcome<void>() : refuse(failure);
    }
  }
  end_call();
  return result;
}

Outcome<queue::KeyStateRecord> QueueChannel::read_key(std::uint32_t handle, std::uint32_t index) {
  const Uncancelled whole;
  if (!begin_call()) return refuse(Failure::kForked);
  Outcome<queue::KeyStateRecord> result = refuse(Failure::kReset);
  if (wait_for_answer()) {
    submit({.op = queue::Op::kReadKey, .handle = handle, .number = index});
    if (wait_for_answer()) {
      const Failure failure = failure_from(channel_->call.response.failure);
      if (failure == Failure::kNone) {
        result = channel_->call.key_state;
      } else {
        result = refuse(failure);
      }
      ::explicit_bzero(&channel_->call.key_state, sizeof(queue::KeyStateRecord));
    }
  }
  end_call();
  return result;
}

void QueueChannel::post(const queue::Request& request) {
  const Uncancelled whole;
  if (!begin_call()) return;
  if (wait_for_answer()) submit(request);
  end_call();
}

// A message on the attach socket, and its answer with at most one descriptor.
Outcome<queue::WishAnswer> QueueChannel::wish(const queue::WishMessage& message,
                                              std::span<const int> fds, UniqueFd* received) {
  const Uncancelled whole;
  if (!begin_call()) return refuse(Failure::kForked);
  queue::WishAnswer answer;
  Outcome<queue::WishAnswer> result = refuse(Failure::kReset);
  // In order: what was posted comes first.
  if (wait_for_answer() && send_with_fds(socket_.get(), bytes_of(message), fds)) {
    hint(queue::ChannelMemory::kCallHint);
    auto got = receive_with_fds(socket_.get(), std::as_writable_bytes(std::span(&answer, 1)));
    if (got && got->size == sizeof(answer)) {
      result = answer;
      if (answer.failure != 0) result = refuse(failure_from(answer.failure));
      if (received != nullptr && !got->fds.empty()) *received = std::move(got->fds.front());
    }
  }
  end_call();
  return result;
}

FamilyView* QueueChannel::family(std::uint32_t number) {
  const std::scoped_lock lock(families_mutex_);
  const auto known = std::ranges::find_if(
      families_, [&](const auto& family) { return family->number() == number; });
  if (known != families_.end()) return &**known;
  UniqueFd memory;
  const auto answer = wish({.wish = queue::Wish::kFamily, .number = number}, {}, &memory);
  if (!answer || !memory) return nullptr;
  auto opened = FamilyView::open(number, keep(std::move(memory)), answer->size);
  if (!opened) return nullptr;
  families_.push_back(std::move(*opened));
  return &*families_.back();
}

FamilyView* QueueChannel::own_family() {
  const std::scoped_lock lock(families_mutex_);
  return families_.empty() ? nullptr : &*families_.front();
}

UniqueFd QueueChannel::heap(std::uint64_t& size) {
  UniqueFd memory;
  const auto answer = wish({.wish = queue::Wish::kHeap}, {}, &memory);
  if (answer) size = answer->size;
  return memory;
}

void QueueChannel::give_memory() {
  const UniqueFd memory(::open("/proc/self/mem", O_RDWR | O_CLOEXEC));
  const int fd = memory.get();
  if (memory) [[maybe_unused]]
    const auto taken = wish({.wish = queue::Wish::kMemory}, {&fd, 1}, nullptr);
}

Outcome<UniqueFd> QueueChannel::token(std::uint32_t handle) {
  UniqueFd token;
  const auto answer = wish({.wish = queue::Wish::kToken, .number = handle}, {}, &token);
  if (!answer) return refuse(answer.error());
  if (!token) return refuse(Failure::kNoMemory);
  return token;
}

Outcome<std::uint32_t> QueueChannel::adopt(int token) {
  const auto answer = wish({.wish = queue::Wish::kAdopt}, {&token, 1}, nullptr);
  if (!answer) return refuse(answer.error());
  return answer->number;
}

queue::SocketPage* QueueChannel::page(const queue::Response& where) {
  FamilyView* view = family(where.family);
  return view == nullptr ? nullptr : view->page(where.page);
}

std::unique_ptr<Waiter> QueueChannel::make_waiter() {
  const std::scoped_lock lock(waiters_mutex_);
  if (waiters_ == queue::ChannelMemory::kWaiters) return nullptr;
  auto bell = queue::Doorbell::create();
  if (!bell) return nullptr;
  const queue::WishMessage wish{.wish = queue::Wish::kWaiter, .number = waiters_};
  const int ringer = bell->ringer.get();
  if (!send_with_fds(socket_.get(), bytes_of(wish), {&ringer, 1})) return nullptr;
  hint(queue::ChannelMemory::kCallHint);
  bell->sleeper = keep(std::move(bell->sleeper));
  bell->ringer = keep(std::move(bell->ringer));
  doorbells_.push_back(bell->ringer.get());
  if (is_gone()) tell_end(waiters_);
  queue::HintBoard& board = channel_->waiters[waiters_];
  return Waiter::create_shared(board, waiters_++, std::move(bell->sleeper),
                               std::move(bell->ringer));
}

void QueueChannel::before_fork() {
  // A signal handler forks in the middle of a call: the child's front end is gone.
  in_call_ = caller_.load(std::memory_order_relaxed) == ::pthread_self();
  if (in_call_) return;
  families_mutex_.lock();
  waiters_mutex_.lock();
  call_mutex_.lock();
  child_ = std::make_unique<Child>();
  const queue::WishMessage wish{.wish = queue::Wish::kFork};
  if (!wait_for_answer() || !send_with_fds(socket_.get(), bytes_of(wish), {})) return;
  hint(queue::ChannelMemory::kCallHint);
  std::vector<UniqueFd> fds;
  queue::Welcome welcome;
  auto received = receive_with_fds(socket_.get(), std::as_writable_bytes(std::span(&welcome, 1)));
  if (!received || received->size != sizeof(welcome) || welcome.refused != 0 ||
      received->fds.size() != 3) {
    return;
  }
  child_->welcome = welcome;
  child_->socket = std::move(received->fds[0]);
  child_->fds.push_back(std::move(received->fds[1]));
  child_->fds.push_back(std::move(received->fds[2]));
  child_->fds.emplace_back();  // the family is known
}

void QueueChannel::after_fork_in_parent() {
  child_.reset();
  if (in_call_) return;
  call_mutex_.unlock();
  waiters_mutex_.unlock();
  families_mutex_.unlock();
}

void QueueChannel::abandon() {
  gone_.store(true, std::memory_order_release);
  keep_no_more();
  socket_.reset();
  bell_.reset();
  end_.reset();
}

void QueueChannel::after_fork_in_child() {
  new (&families_mutex_) std::mutex;
  new (&waiters_mutex_) std::mutex;
  new (&call_mutex_) std::mutex;
  caller_.store({}, std::memory_order_relaxed);
  keep_no_more();
  for (const auto& family : families_) family->after_fork_in_child();
  const std::unique_ptr<Child> child = std::move(child_);
  // What the parent's waiters hold of its channel stays mapped, for the shim still has them.
  [[maybe_unused]] Mapping* const kept = new Mapping(std::move(memory_));
  if (child == nullptr || !child->socket ||
      !join(std::move(child->socket), child->welcome, std::move(child->fds))) {
    gone_.store(true, std::memory_order_release);
  }
}

}  // namespace tideline::client
