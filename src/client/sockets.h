// SPDX-License-Identifier: Apache-2.0
// An engine's sockets as a shim sees them, wherever the engine runs: in the program itself
// (engine/app_sockets.h) or behind a queue pair (queue_sockets.h). Nothing here blocks: who must
// wait looks at readiness(), drives the engine with poll(), and sleeps on a Waiter's doorbell.
//
// Events are the bits of poll(2), which are those of epoll_event.
//
// Thread: any, unless a function says otherwise. A socket that is closed must not be used again;
// until then calls on it may race with each other.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/error.h"
#include "base/fd.h"
#include "base/time.h"
#include "client/types.h"
#include "client/waiter.h"

namespace tideline::client {

class Socket {
 public:
  // --- Control. Port 0: one that is free.
  virtual Outcome<void> bind(const Endpoint& local, Sharing sharing) = 0;
  virtual Outcome<void> listen(std::uint32_t backlog) = 0;
  // A stream: kInProgress, and readiness() tells (POLLOUT), take_error() why not. A datagram
  // socket: its peer from now on; without `remote` it has none any more.
  virtual Outcome<void> connect(const std::optional<Endpoint>& remote) = 0;
  // The connection that has waited longest.
  virtual Outcome<Socket*> accept() = 0;
  virtual Outcome<void> shut_down(bool receiving, bool sending) = 0;
  // What was written is still sent, unless `abort`.
  virtual void close(bool abort) = 0;
  virtual void set_options(const Options& options) = 0;
  // Of a stream. kInvalid: it is none that fits, or is in use; kNoMemory: there are too many.
  virtual Outcome<void> change_keys(const KeyChange& /*change*/) {
    return std::unexpected(Failure::kNotSupported);
  }

  // Of a stream: its keys, and the one of that index.
  virtual Outcome<KeyState> read_key(std::uint32_t /*index*/) {
    return std::unexpected(Failure::kNotSupported);
  }

  // --- Data. Of a stream, as much as can be done now; of a datagram socket, one datagram.
  virtual Outcome<std::size_t> send(std::span<const iovec> from,
                                    const std::optional<Endpoint>& to) = 0;
  // Of a stream.
  virtual Outcome<std::size_t> send_with(std::span<const iovec> from, const SendHints& /*hints*/) {
    return send(from, std::nullopt);
  }
  // A datagram.
  virtual Outcome<std::size_t> send_by(std::span<const iovec> from,
                                       const std::optional<Endpoint>& to,
                                       const DatagramWay& /*way*/) {
    return send(from, to);
  }
  virtual Outcome<Received> receive(std::span<const iovec> into, bool peek) = 0;

  // Of a stream: the urgent byte, apart from the others. kWouldBlock: it has yet to come; kInvalid:
  // there is none, or it is among the others.
  virtual Outcome<std::size_t> receive_urgent(std::span<const iovec> /*into*/, bool /*peek*/) {
    return std::unexpected(Failure::kInvalid);
  }
  // Whether the urgent byte is the next.
  virtual bool is_at_mark() { return false; }
  // What the network has said, if it is to be kept (Options), one by one. After it take_error() is
  // about the next, if there is one.
  virtual std::optional<Report> take_report() { return std::nullopt; }
  // Is not a part of readiness().
  virtual bool has_reports() { return false; }

  // --- What holds now. Those of `wanted`, and POLLERR and POLLHUP in any case.
  virtual unsigned readiness(unsigned wanted) = 0;
  // Bytes that receive() would find; of a datagram socket those of the next datagram.
  virtual std::size_t readable_bytes() = 0;
  // Of a stream: how many may wait there at least, when nobody reads.
  virtual std::size_t receive_capacity() { return 0; }
  // Of a connection: bytes that were sent, and that the peer has not acknowledged.
  virtual std::size_t outgoing_bytes() { return 0; }
  // SO_ERROR: told once.
  virtual Failure take_error() = 0;
  virtual Endpoint local() = 0;
  virtual std::optional<Endpoint> remote() = 0;
  virtual Info info() = 0;

  // --- Who is to be told when readiness may have changed: `waiter` gets the hint, until unwatch()
  // or close(). A socket may have many waiters.
  virtual void watch(Waiter& waiter, unsigned hint) = 0;
  virtual void unwatch(Waiter& waiter, unsigned hint) = 0;

  // A descriptor that stands for the socket wherever the kernel carries it, and holds it: past
  // exec(), and to other processes. kNotSupported where the engine is in the program.
  virtual Outcome<UniqueFd> token() { return std::unexpected(Failure::kNotSupported); }

 protected:
  ~Socket() = default;
};

class Sockets {
 public:
  virtual Outcome<Socket*> open(SocketType type) = 0;
  // What a token of somebody's stands for.
  struct Adopted {
    Socket* socket = nullptr;
    SocketType type = SocketType::kStream;
  };
  virtual Outcome<Adopted> adopt(int /*token*/) { return std::unexpected(Failure::kNotSupported); }
  // Whether the address is one of the host's, and whether the host's routes lead to it. Constant
  // while the program runs.
  virtual bool owns(const wire::Ipv6Address& address) = 0;
  virtual bool reaches(const wire::Ipv6Address& address) = 0;
  // One of the host's, to stand for 127.0.0.1 or ::1.
  virtual std::optional<wire::Ipv6Address> own_address(bool ipv4) = 0;

  // A waiting context for calls on these sockets, the last that was given back first. It is given
  // back, and never destroyed: the engine may ring it at any moment.
  virtual Result<std::unique_ptr<Waiter>> take_waiter() = 0;
  virtual void give_waiter(std::unique_ptr<Waiter> waiter) = 0;

  // Does what there is to do, unless somebody else is at it. Cheap if there is nothing.
  virtual void poll() = 0;
  // The calling thread is about to sleep in the kernel, its waiter armed. If it can sleep on a
  // second descriptor (`drives`), it may be asked to: what comes there is work for poll(). It looks
  // at its sockets once more between the two calls.
  struct Sleep {
    int descriptor = -1;        // to sleep on, too; -1: none
    Instant deadline = kNever;  // when to wake up at the latest
    std::uint32_t number = 0;   // the engine's
  };
  virtual Sleep begin_sleep(bool drives) = 0;
  virtual void end_sleep(const Sleep& sleep) = 0;
  // False in a forked child of the program whose engine it is: all calls then fail with kForked.
  virtual bool is_alive() = 0;
  // Around fork(), on the thread that forks. In the child: whether its sockets are still good; its
  // waiters are not.
  virtual void before_fork() {}
  virtual void after_fork_in_parent() {}
  virtual bool after_fork_in_child() { return false; }
  // Whether these sockets cannot do without that descriptor, which is not the program's to close.
  virtual bool keeps(int /*descriptor*/) { return false; }
  // The program ends: closes what is open, and gives peers the time to take what was written, as
  // long as that goes on, at most for `limit`.
  virtual void finish(Duration limit) = 0;
  // Payload that the program's own threads have copied, where the engine does not count it: each
  // byte is a pass.
  virtual std::uint64_t copied_bytes() const { return 0; }

 protected:
  ~Sockets() = default;
};

}  // namespace tideline::client
