// SPDX-License-Identifier: Apache-2.0
// For tests: an engine with a queue-pair server whose turns the test drives, and raw clients, which
// keep the rules or break them as they are told to.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "client/records.h"
#include "engine/queue_server.h"
#include "port/memory.h"
#include "queue/channel.h"
#include "queue/doorbell.h"
#include "queue/fifo_view.h"
#include "queue/messages.h"
#include "queue/socket_page.h"

namespace tideline::engine {

inline constexpr wire::Ipv6Address kOwn(0x20010db800000000, 1);

// What a stream of tests carries: bytes that tell where in it they belong.
inline std::string pattern(std::uint64_t from, std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((from + i) * 13 >> 4);
  return text;
}

inline Result<UniqueFd> listen_at(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ::unlink(path.c_str());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(fd.get(), 64) != 0) {
    return fail_errno("cannot listen at " + path);
  }
  return fd;
}

// A worker whose host talks to itself, and its server. The test thread drives it with until().
class TestEngine {
 public:
  explicit TestEngine(ClientPolicy policy = {.admitted = true}, bool local_bypass = true)
      : policy_(std::move(policy)) {
    auto wire = port::MemoryPort::create_pair({});
    auto pool = packet::Pool::create({.segments = 4096, .loans = 2048, .huge_pages = false});
    other_end_ = std::move(wire->right);
    worker_ = std::move(*Worker::create(std::move(*pool), std::move(wire->left), 1));
    EXPECT_TRUE(worker_->add_host({.ipv6 = {{kOwn, 64}},
                                   .leased_addresses = true,
                                   .configure_ipv6 = false,
                                   .tcp = {.local_bypass = local_bypass}}));
    path_ = testing::TempDir() + "queue-server-" + std::to_string(::getpid());
    server_ = std::move(*QueueServer::create(*worker_, std::move(*listen_at(path_)),
                                             [this](const ucred&) { return policy_; }));
    worker_->set_service(server_.get());
  }
  ~TestEngine() {
    // Packets change hands on this wire: none may be under way when the pool goes.
    EXPECT_TRUE(until([this] {
      drain();
      return worker_->pool().in_use() == 0;
    }));
    worker_.reset();  // before the memory that its frames borrow
    ::unlink(path_.c_str());
  }

  const std::string& path() const { return path_; }
  Worker& worker() { return *worker_; }
  QueueServer& server() { return *server_; }
  ClientPolicy& policy() { return policy_; }

  // Drives the engine until `done`; false if it does not come to pass in 20 seconds.
  template <typename Done>
  bool until(Done&& done) {
    const Instant end = now() + std::chrono::seconds(20);
    while (!done()) {
      const Instant now = this->now();
      if (now > end) return false;
      if (drives_) {
        worker_->turn(now);
      } else {
        ::usleep(20);
      }
    }
    return true;
  }
  // Another thread, or process, drives the worker: until() only waits.
  void stop_driving() { drives_ = false; }
  void drive_again() { drives_ = true; }
  void turns(int count) {
    while (count-- > 0) worker_->turn(now());
  }
  // As if so much time had passed meanwhile.
  void skip(Duration time) { skipped_ += time; }
  Instant now() const { return monotonic_now() + skipped_; }

 private:
  void drain() {
    packet::Burst burst;
    while (other_end_->rx_burst(0, burst, {}) > 0) burst.clear();
  }

  bool drives_ = true;
  Duration skipped_{};
  ClientPolicy policy_;
  std::string path_;
  std::unique_ptr<port::Port> other_end_;
  std::unique_ptr<QueueServer> server_;
  std::unique_ptr<Worker> worker_;
};

// A client without threads. `Drive` is until(): it lets the engine do its part.
class RawClient {
 public:
  explicit RawClient(TestEngine& engine) : engine_(engine) {}

  bool connect() {
    attach = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    engine_.path().copy(address.sun_path, sizeof(address.sun_path) - 1);
    return ::connect(attach.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) ==
           0;
  }
  // Whether it was admitted; if not, welcome says why.
  bool greet(const queue::Hello& hello = {}) {
    return connect() && tell(hello) && take_welcome(hear(welcome), 0);
  }
  // Of a parent: a channel for another client.
  std::unique_ptr<RawClient> fork() {
    auto child = std::make_unique<RawClient>(engine_);
    if (!tell(queue::WishMessage{.wish = queue::Wish::kFork})) return nullptr;
    hint(0);
    auto fds = hear(child->welcome);
    if (fds.size() != 3) return nullptr;
    child->attach = std::move(fds[0]);
    fds.erase(fds.begin());
    fds.emplace_back();
    if (!child->take_welcome(std::move(fds), 0)) return nullptr;
    child->families_ = families_;
    return child;
  }

  template <typename Message>
  bool tell(const Message& message, std::span<const int> fds = {}) {
    return send_with_fds(attach.get(), std::as_bytes(std::span(&message, 1)), fds).has_value();
  }
  // The next message of the engine's; nothing comes: 20 seconds.
  template <typename Message>
  std::vector<UniqueFd> hear(Message& message) {
    std::vector<UniqueFd> fds;
    heard = engine_.until([&] {
      char byte;
      return ::recv(attach.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0;
    });
    auto got = receive_with_fds(attach.get(), std::as_writable_bytes(std::span(&message, 1)));
    heard &= got && got->size == sizeof(message);
    if (got) fds = std::move(got->fds);
    return fds;
  }
  // Whether the engine has ended the channel.
  bool is_ended() const {
    char byte;
    return ::recv(attach.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0 ||
           (errno != EAGAIN && errno != EWOULDBLOCK);
  }

  queue::ChannelMemory& memory() { return *memory_.at<queue::ChannelMemory>(0); }
  bool has_memory() const { return bool(memory_); }
  void hint(std::uint32_t handle) {
    memory().engine.hint(handle);
    if (!notifier_ || !notifier_->should_ring()) return;
    const std::uint64_t one = 1;
    EXPECT_EQ(::write(bell.get(), &one, sizeof(one)), 8);
    ++rings;
  }
  void ask(const queue::Request& request) {
    queue::CallSlot& slot = memory().call;
    slot.request = request;
    slot.asked.fetch_add(1);
    hint(0);
  }
  bool is_answered() { return memory().call.answered.load() == memory().call.asked.load(); }
  queue::Response call(const queue::Request& request) {
    ask(request);
    EXPECT_TRUE(engine_.until([&] { return is_answered() || is_ended(); }));
    return memory().call.response;
  }
  client::Failure failure_of_call(const queue::Request& request) {
    return client::failure_from(call(request).failure);
  }

  // The memory of a family, whole.
  class Family final : public queue::FifoMemory {
   public:
    explicit Family(Mapping mapping) : mapping_(std::move(mapping)) {}
    std::span<std::byte> bytes() const { return mapping_.bytes(); }
    std::span<std::byte> ring(const queue::FifoPlace& place) override {
      if (place.size == 0 || place.size > bytes().size()) return {};
      if (place.offset > bytes().size() - place.size) return {};
      return bytes().subspan(place.offset, place.size);
    }

   private:
    Mapping mapping_;
  };

  // A socket that the client holds.
  struct Socket {
    std::uint32_t handle = 0;
    queue::SocketPage* page = nullptr;
    Family* family = nullptr;

    queue::FifoView out() const { return {*family, page->outgoing_places, page->outgoing}; }
    queue::FifoView in() const { return {*family, page->incoming_places, page->incoming}; }
    bool has(std::uint32_t flag) const { return (page->flags.load() & flag) != 0; }
  };
  Socket socket_of(const queue::Response& where) {
    auto found = families_.find(where.family);
    if (found == families_.end()) {
      queue::WishAnswer answer;
      EXPECT_TRUE(tell(queue::WishMessage{.wish = queue::Wish::kFamily, .number = where.family}));
      hint(0);
      const auto fds = hear(answer);
      if (fds.size() != 1) return {};
      found = families_.emplace(where.family, map(fds[0].get(), answer.size)).first;
    }
    Family& family = *found->second;
    return {.handle = where.handle,
            .page = reinterpret_cast<queue::SocketPage*>(
                family.bytes().subspan(where.page * queue::kPageSize).data()),
            .family = &family};
  }
  Socket open(client::SocketType type = client::SocketType::kStream) {
    queue::Request request{.op = queue::Op::kOpen};
    request.number = static_cast<std::uint32_t>(type);
    return socket_of(call(request));
  }
  client::Failure bind(const Socket& socket, std::uint16_t port, bool shared = false,
                       const wire::Ipv6Address& address = {}) {
    return failure_of_call(
        {.op = queue::Op::kBind,
         .flags = shared ? queue::kShared : std::uint16_t{0},
         .handle = socket.handle,
         .endpoint = client::to_record(client::Endpoint{.address = address, .port = port})});
  }
  client::Failure listen(const Socket& socket, std::uint32_t backlog = 16) {
    return failure_of_call({.op = queue::Op::kListen, .handle = socket.handle, .number = backlog});
  }
  client::Failure connect_to(const Socket& socket, std::uint16_t port) {
    return failure_of_call(
        {.op = queue::Op::kConnect,
         .flags = queue::kHasEndpoint,
         .handle = socket.handle,
         .endpoint = client::to_record(client::Endpoint{.address = kOwn, .port = port})});
  }
  client::Failure close(const Socket& socket, bool abort = false) {
    return failure_of_call({.op = queue::Op::kClose,
                            .flags = abort ? queue::kAbort : std::uint16_t{0},
                            .handle = socket.handle});
  }
  // As a program keeps the rules: bytes, then the index, then the hint.
  std::size_t write(const Socket& socket, std::string_view text) {
    const std::size_t size = socket.out().write(std::as_bytes(std::span(text)));
    if (size > 0) hint(socket.handle);
    return size;
  }
  std::string read(const Socket& socket, std::size_t most = 1 << 20) {
    queue::FifoView fifo = socket.in();
    std::string text(std::min(most, fifo.readable()), '\0');
    fifo.read(std::as_writable_bytes(std::span(text)));
    if (!text.empty()) hint(socket.handle);
    return text;
  }
  struct Pair {
    Socket listener;
    Socket near;
    Socket far;
  };
  // Two ends of one connection; `server` holds the listener and the far one.
  Pair join(RawClient& server, std::uint16_t port) {
    Pair pair;
    pair.listener = server.open();
    EXPECT_EQ(server.bind(pair.listener, port), client::Failure::kNone);
    EXPECT_EQ(server.listen(pair.listener), client::Failure::kNone);
    pair.near = open();
    EXPECT_EQ(connect_to(pair.near, port), client::Failure::kInProgress);
    EXPECT_TRUE(engine_.until([&] {
      return pair.near.has(queue::kConnected) && pair.listener.page->waiting.load() == 1;
    }));
    pair.far =
        server.socket_of(server.call({.op = queue::Op::kAccept, .handle = pair.listener.handle}));
    return pair;
  }
  // What a program does that dies.
  void die() {
    attach.reset();
    bell.reset();
  }

  UniqueFd attach;
  UniqueFd bell;
  queue::Welcome welcome;
  bool heard = false;
  int rings = 0;

 private:
  static std::shared_ptr<Family> map(int fd, std::size_t size) {
    auto mapping = Mapping::map(fd, size, Access::kReadWrite);
    EXPECT_TRUE(mapping.has_value());
    return std::make_shared<Family>(std::move(*mapping));
  }
  bool take_welcome(std::vector<UniqueFd> fds, std::size_t first) {
    if (!heard && !welcome.channel && fds.empty()) return false;
    if (welcome.refused != 0 || fds.size() != first + 3) return false;
    memory_ =
        std::move(*Mapping::map(fds[0].get(), sizeof(queue::ChannelMemory), Access::kReadWrite));
    bell = std::move(fds[1]);
    if (fds[2]) families_[welcome.family] = map(fds[2].get(), welcome.family_size);
    notifier_.emplace(memory().engine.flag());
    return true;
  }

  TestEngine& engine_;
  Mapping memory_;
  std::map<std::uint32_t, std::shared_ptr<Family>> families_;
  std::optional<ring::Notifier> notifier_;
};

}  // namespace tideline::engine
