// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/broker.h"

#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/memfd.h"
#include "proofs/token/bells.h"
#include "proofs/token/fifo.h"

namespace proofs::token {

using tideline::fail_errno;
using tideline::Mapping;
using tideline::Result;
using tideline::Status;
using tideline::UniqueFd;

namespace {

struct SharedMemory {
  UniqueFd fd;
  Mapping mapping;
};

Result<SharedMemory> make_memory(const char* name, std::size_t size) {
  Result<UniqueFd> fd = tideline::create_memfd(name, size, tideline::PageKind::kNormal);
  if (!fd) return tideline::fail(fd.error());
  Result<Mapping> mapping = Mapping::map(fd->get(), size, tideline::Access::kReadWrite);
  if (!mapping) return tideline::fail(mapping.error());
  if (Status sealed = tideline::seal_memfd(fd->get(), tideline::Sharing::kReadWrite); !sealed) {
    return tideline::fail(sealed.error());
  }
  return SharedMemory{.fd = std::move(*fd), .mapping = std::move(*mapping)};
}

// The numbers 1 .. size-1, the smallest last: they are taken from the back.
std::vector<std::uint32_t> numbers(std::size_t size) {
  std::vector<std::uint32_t> all(size - 1);
  std::iota(all.rbegin(), all.rend(), 1U);
  return all;
}

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

}  // namespace

Result<std::unique_ptr<Broker>> Broker::create(const std::string& path) {
  std::unique_ptr<Broker> broker(new Broker());
  broker->epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  broker->acceptor_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!broker->epoll_ || !broker->acceptor_) return fail_errno("cannot make the broker's sockets");

  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return tideline::fail({.kind = tideline::ErrorKind::kUsage, .what = "the path is too long"});
  }
  std::copy(path.begin(), path.end(), address.sun_path);
  if (::bind(broker->acceptor_.get(), reinterpret_cast<const sockaddr*>(&address),
             sizeof(address)) != 0 ||
      ::chmod(path.c_str(), 0666) != 0 ||  // servers change their user; an engine has a policy here
      ::listen(broker->acceptor_.get(), 128) != 0) {
    return fail_errno(fmt::format("cannot listen at {}", path));
  }
  broker->name_ = fmt::format("{:x}", socket_cookie(broker->acceptor_.get()));

  Result<SharedMemory> board = make_memory("tideline-board", kBoardBytes);
  if (!board) return tideline::fail(board.error());
  broker->board_memory_ = std::move(board->fd);
  broker->board_mapping_ = std::move(board->mapping);
  broker->board().magic = kMagic;
  broker->free_bells_ = numbers(kMaxBells);
  broker->free_processes_ = numbers(kMaxProcesses);
  if (Status watched = broker->watch(broker->acceptor_.get(), Source::kAcceptor, 0); !watched) {
    return tideline::fail(watched.error());
  }
  return broker;
}

Status Broker::watch(int fd, Source source, std::uint64_t id) const {
  epoll_event event{.events = EPOLLIN | EPOLLRDHUP, .data = {}};
  event.data.u64 = id << 8 | static_cast<std::uint64_t>(source);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail_errno("cannot watch a descriptor");
  }
  return {};
}

void Broker::run_once(int timeout_ms) {
  std::array<epoll_event, 64> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout_ms);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t data = events[static_cast<std::size_t>(i)].data.u64;
    const std::uint64_t id = data >> 8;
    switch (static_cast<Source>(data & 0xff)) {
      case Source::kAcceptor:
        accept_client();
        break;
      case Source::kClient:
        serve_client(id);
        break;
      case Source::kListener:
        check_listener(id);
        break;
      case Source::kConnection:
        check_connection(id / 2, id % 2);
        break;
    }
  }
}

Counts Broker::counts() const {
  return {.clients = static_cast<std::uint32_t>(clients_.size()),
          .listeners = static_cast<std::uint32_t>(listeners_.size()),
          .connections = static_cast<std::uint32_t>(connections_.size()),
          .bells = static_cast<std::uint32_t>(kMaxBells - 1 - free_bells_.size())};
}

void Broker::accept_client() {
  UniqueFd socket(::accept4(acceptor_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket || free_processes_.empty()) return;
  const std::uint64_t id = ++last_id_;
  if (!watch(socket.get(), Source::kClient, id)) return;
  const std::uint32_t process = free_processes_.back();
  free_processes_.pop_back();
  board().alive[process].store(id);
  clients_[id] = Client{.socket = std::move(socket), .process = process, .bells = {}};
}

void Broker::serve_client(std::uint64_t id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  Client& client = found->second;
  std::array<std::byte, 2 * sizeof(Request)> buffer;
  Result<tideline::ReceivedMessage> message =
      tideline::receive_with_fds(client.socket.get(), buffer);
  if (!message && message.error().errno_value == EAGAIN) return;
  const std::optional<Request> request =
      message ? parse_request(std::span(buffer).first(message->size), message->fds.size())
              : std::nullopt;
  if (!request) return drop_client(id);
  const Answer reply = answer(client, *request, message->fds);
  if (!tideline::send_with_fds(client.socket.get(), bytes_of(reply.reply), reply.fds)) {
    drop_client(id);
  }
}

// A process has ended (or broken the protocol): its bells leave every waiter list before their
// numbers are used again, and its locks may be taken over.
void Broker::drop_client(std::uint64_t id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  board().alive[found->second.process].store(0);
  free_processes_.insert(free_processes_.begin(), found->second.process);
  for (const std::uint32_t bell : found->second.bells) free_bell(bell);
  clients_.erase(found);
}

void Broker::free_bell(std::uint32_t bell) {
  for (const auto& [id, connection] : connections_) {
    for (Endpoint& endpoint : connection.page().endpoint) {
      for (std::size_t i = 0; i < kSlots; ++i) {
        const std::uint32_t word = endpoint.slots[i].load();
        if (word != 0 && slot_bell(word) == bell) remove_waiter(endpoint, static_cast<int>(i));
      }
    }
  }
  board().bells[bell].generation.store(0);
  board().bells[bell].armed.store(0);
  doorbells_[bell].reset();
  free_bells_.push_back(bell);
}

void Broker::ring(std::uint32_t bell) const {
  const std::uint64_t one = 1;
  if (doorbells_[bell]) {
    [[maybe_unused]] const ssize_t written =
        ::write(doorbells_[bell].get(), &one, sizeof(one));  // full: it is rung already
  }
}

bool Broker::drained_to_end(int far) {
  std::array<std::byte, 4096> discarded;
  const ssize_t size = ::recv(far, discarded.data(), discarded.size(), MSG_DONTWAIT);
  return size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
}

void Broker::check_listener(std::uint64_t id) {
  const auto found = listeners_.find(id);
  if (found == listeners_.end() || !drained_to_end(found->second.far.get())) return;
  cookies_.erase(found->second.cookie);
  listeners_.erase(found);
}

// EOF at the far end: nobody holds this side's token any more. The peer gets FIN, or RST if bytes
// were left unread, as from TCP.
void Broker::check_connection(std::uint64_t id, std::size_t side) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Connection& connection = found->second;
  if (!connection.far[side] || !drained_to_end(connection.far[side].get())) return;
  ConnectionPage& page = connection.page();
  const std::size_t peer = 1 - side;
  const bool unread = used_bytes(page.direction[peer]) != 0;
  page.direction[peer].reader_gone.store(1);
  if (unread) {
    page.direction[side].ending.store(Ending::kReset);
  } else if (page.direction[side].ending.load() == Ending::kOpen) {
    page.direction[side].ending.store(Ending::kFin);
  }
  notify(page.endpoint[peer], board(), [this](std::uint32_t bell) { ring(bell); });
  if (connection.far[peer]) ::shutdown(connection.far[peer].get(), SHUT_WR);  // RDHUP on the token
  cookies_.erase(connection.cookie[side]);
  connection.far[side].reset();
  if (!connection.far[peer]) connections_.erase(found);
}

Broker::Listener* Broker::find_listener(const Address& address) {
  Listener* wildcard = nullptr;
  for (auto& [id, listener] : listeners_) {
    if (listener.address == address) return &listener;
    if (listener.address.port == address.port && listener.address.ip == 0) wildcard = &listener;
  }
  return wildcard;
}

Broker::Answer Broker::answer(Client& client, const Request& request, std::span<UniqueFd> fds) {
  switch (request.op) {
    case Op::kHello: {
      Answer hello{.reply = {}, .fds = {board_memory_.get()}};
      hello.reply.process = client.process;
      hello.reply.incarnation = board().alive[client.process].load();
      return hello;
    }
    case Op::kListen:
      return listen_at(request.address);
    case Op::kConnect:
      return connect_to(request);
    case Op::kAttach:
      return attach(request, fds.front().get());
    case Op::kNewBell:
      return new_bell(client);
    case Op::kFindBell:
      return find_bell(request.bell);
    case Op::kCount:
      return {.reply = {.counts = counts()}, .fds = {}};
  }
  return {.reply = {.error = EINVAL}, .fds = {}};
}

Broker::Answer Broker::listen_at(const Address& wanted) {
  Address address = wanted;
  for (int tries = 0; address.port == 0 || find_listener(address) != nullptr; ++tries) {
    if (wanted.port != 0 || tries > 1000) return {.reply = {.error = EADDRINUSE}, .fds = {}};
    address.port = last_port_ = static_cast<std::uint16_t>(last_port_ % 25000 + 40000);
  }
  const std::uint64_t id = ++last_id_;
  Result<TokenPair> pair = make_token(SOCK_SEQPACKET, fmt::format("{}-l{}", name_, id));
  if (!pair || !watch(pair->far.get(), Source::kListener, id)) {
    return {.reply = {.error = ENFILE}, .fds = {}};
  }
  cookies_[pair->cookie] = {.kind = TokenKind::kListener, .id = id, .side = 0};
  listeners_[id] = {.address = address, .far = std::move(pair->far), .cookie = pair->cookie};
  Answer done{.reply = {.kind = TokenKind::kListener, .address = address},
              .fds = {pair->near.get()}};
  done.owned.push_back(std::move(pair->near));
  return done;
}

Result<Broker::Pending> Broker::make_connection(const Address& from, const Address& to) {
  const std::uint64_t id = ++last_id_;
  Result<SharedMemory> memory = make_memory("tideline-connection", kConnectionBytes);
  if (!memory) return tideline::fail(memory.error());
  Pending pending{.id = id, .near = {}};
  Connection connection{
      .memory = std::move(memory->fd), .mapping = std::move(memory->mapping), .far = {}};
  for (const std::uint32_t side : {0U, 1U}) {
    Result<TokenPair> pair = make_token(SOCK_STREAM, fmt::format("{}-c{}.{}", name_, id, side));
    if (!pair) return tideline::fail(pair.error());
    if (Status watched = watch(pair->far.get(), Source::kConnection, id * 2 + side); !watched) {
      return tideline::fail(watched.error());
    }
    connection.far[side] = std::move(pair->far);
    connection.cookie[side] = pair->cookie;
    pending.near[side] = std::move(pair->near);
  }
  ConnectionPage& page = connection.page();
  page.magic = kMagic;
  page.id = id;
  page.address = {from, to};
  for (const std::uint32_t side : {0U, 1U}) {
    cookies_[connection.cookie[side]] = {.kind = TokenKind::kStream, .id = id, .side = side};
  }
  connections_.emplace(id, std::move(connection));
  return pending;
}

Broker::Answer Broker::connect_to(const Request& request) {
  Listener* listener = find_listener(request.address);
  if (listener == nullptr) return {.reply = {.error = ECONNREFUSED}, .fds = {}};
  Address from{.ip = request.address.ip};
  from.port = last_port_ = static_cast<std::uint16_t>((last_port_ - 40000 + 1) % 25000 + 40000);
  Result<Pending> made = make_connection(from, request.address);
  if (!made) return {.reply = {.error = ENFILE}, .fds = {}};

  // The accepting side's token travels through the listener's: the kernel queues it, any holder of
  // the listener may take it, and if none does, its end closes it again.
  const Connection& connection = connections_.at(made->id);
  const auto with_far = [&](std::vector<int> fds, std::size_t peer) {
    if (request.want_far != 0) fds.push_back(connection.far[peer].get());
    return fds;
  };
  const Reply offer{.kind = TokenKind::kStream, .side = 1};
  const std::vector<int> offered = with_far({made->near[1].get(), connection.memory.get()}, 0);
  if (!tideline::send_with_fds(listener->far.get(), bytes_of(offer), offered)) {
    return {.reply = {.error = ECONNREFUSED}, .fds = {}};  // the backlog is full
  }
  Answer done{.reply = {.kind = TokenKind::kStream, .side = 0},
              .fds = with_far({made->near[0].get(), connection.memory.get()}, 1)};
  done.owned.push_back(std::move(made->near[0]));
  return done;
}

Broker::Answer Broker::attach(const Request& request, int token) {
  const auto known = cookies_.find(socket_cookie(token));
  if (known == cookies_.end()) return {.reply = {.error = EBADF}, .fds = {}};
  const auto [kind, id, side] = known->second;
  if (kind == TokenKind::kListener) {
    return {.reply = {.kind = kind, .address = listeners_.at(id).address}, .fds = {}};
  }
  const Connection& connection = connections_.at(id);
  Answer done{.reply = {.kind = kind, .side = side}, .fds = {connection.memory.get()}};
  if (request.want_far != 0 && connection.far[1 - side]) {
    done.fds.push_back(connection.far[1 - side].get());
  }
  return done;
}

Broker::Answer Broker::new_bell(Client& client) {
  UniqueFd doorbell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!doorbell || free_bells_.empty()) return {.reply = {.error = ENFILE}, .fds = {}};
  const std::uint32_t number = free_bells_.back();
  free_bells_.pop_back();
  client.bells.push_back(number);
  Bell& bell = board().bells[number];
  for (auto& word : bell.hints) word.store(0);
  bell.generation.store(++last_generation_);
  doorbells_[number] = std::move(doorbell);
  return find_bell(number);
}

Broker::Answer Broker::find_bell(std::uint32_t bell) {
  if (!doorbells_[bell]) return {.reply = {.error = ENOENT}, .fds = {}};
  return {.reply = {.bell = bell, .generation = board().bells[bell].generation.load()},
          .fds = {doorbells_[bell].get()}};
}

}  // namespace proofs::token
