// SPDX-License-Identifier: Apache-2.0
// How perf uses the kernel: sockets that do not block, on one epoll set, with the face that
// engine_net.h has over tideline's API. One thread.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <tideline/endpoint.h>
#include <tideline/event.h>
#include <tideline/stream.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/time.h"
#include "udp_blast/effort.h"

namespace tideline::app::flow {

class KernelNet {
 public:
  class Stream;

  // A socket, as the epoll set knows it.
  struct Socket {
    KernelNet& net;
    UniqueFd fd;
    void* context = nullptr;
    bool connected = false;
    bool at_end = false;
    int error = 0;
    Endpoint remote{};

    ~Socket() { net.forget(*this); }
  };

  class Listener {
   public:
    void set_context(void* context) { socket_->context = context; }
    std::optional<Stream> accept();

   private:
    friend class KernelNet;
    explicit Listener(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}
    std::unique_ptr<Socket> socket_;
  };

  class Stream {
   public:
    using State = tideline::Stream::State;

    Stream() = default;
    explicit operator bool() const { return socket_ != nullptr; }
    void set_context(void* context) { socket_->context = context; }
    State state() const;
    std::optional<Error> error() const;
    Endpoint remote() const { return socket_->remote; }
    std::size_t read(std::span<std::byte> buffer);
    bool at_end() const { return socket_->at_end; }
    std::size_t write(std::span<const std::byte> bytes);
    void shut_down();
    void close() { socket_.reset(); }
    void abort();

   private:
    friend class KernelNet;
    friend class Listener;
    explicit Stream(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}
    std::unique_ptr<Socket> socket_;
  };

  static Result<std::unique_ptr<KernelNet>> create();

  Result<Listener> listen(std::uint16_t port, const ListenOptions& options);
  Result<Stream> connect(const Endpoint& remote, const StreamOptions& options);
  bool poll() { return look(0); }
  bool wait(Duration timeout);
  std::optional<Event> next();
  void drain(Duration /*timeout*/) {}  // the kernel sees to it

  std::size_t send(Stream& stream, std::size_t size);
  std::size_t take(Stream& stream, std::size_t most);
  blast::Effort effort() const { return {.cpu_ns = blast::process_cpu_ns(), .copied = copied_}; }

 private:
  explicit KernelNet(UniqueFd epoll);

  Status add(Socket& socket);
  void forget(const Socket& socket);
  bool look(int milliseconds);

  UniqueFd epoll_;
  std::array<epoll_event, 256> events_{};
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::vector<std::byte> payload_;
  std::uint64_t copied_ = 0;
};

}  // namespace tideline::app::flow
