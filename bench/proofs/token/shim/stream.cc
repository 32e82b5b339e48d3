// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/shim/stream.h"

#include <signal.h>
#include <sys/mman.h>

#include <algorithm>

#include "proofs/token/bells.h"
#include "proofs/token/shared_lock.h"
#include "proofs/token/shim/kernel.h"
#include "proofs/token/shim/process.h"
#include "proofs/token/shim/wait.h"

namespace proofs::token {
namespace {

constinit Pool<Stream> pool;

std::size_t total_size(std::span<const iovec> pieces) {
  std::size_t total = 0;
  for (const iovec& piece : pieces) total += piece.iov_len;
  return total;
}

// Calls `use(bytes)` for each buffer after the first `skip` bytes until it returns less than it was
// given.
template <typename Use>
std::size_t for_each_piece(std::span<const iovec> pieces, std::size_t skip, Use use) {
  std::size_t done = 0;
  for (const iovec& piece : pieces) {
    if (skip >= piece.iov_len) {
      skip -= piece.iov_len;
      continue;
    }
    const std::span<std::byte> bytes(static_cast<std::byte*>(piece.iov_base) + skip,
                                     piece.iov_len - skip);
    skip = 0;
    const std::size_t used = use(bytes);
    done += used;
    if (used < bytes.size()) break;
  }
  return done;
}

// A call that fails after it has moved some bytes says how many; the error comes again next time.
ssize_t so_far(std::size_t moved, ssize_t error) {
  return moved != 0 ? static_cast<ssize_t>(moved) : error;
}

ssize_t broken_pipe(int flags) {
  if ((flags & MSG_NOSIGNAL) == 0) ::raise(SIGPIPE);
  return -EPIPE;
}

}  // namespace

Stream* Stream::open(int memory, int far, std::uint32_t side) {
  void* at = ::mmap(nullptr, kConnectionBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  kernel::close(memory);
  Stream* stream = at == MAP_FAILED ? nullptr : pool.take();
  if (stream == nullptr) return nullptr;
  stream->page_ = static_cast<ConnectionPage*>(at);
  stream->data_ = static_cast<std::byte*>(at) + tideline::kPageSize;
  stream->side_ = side & 1;
  stream->far_ = far >= 0 ? Process::hide(far) : -1;
  stream->shut_read_ = false;
  stream->reset_told_ = false;
  stream->receive_timeout_ms = -1;
  stream->send_timeout_ms = -1;
  for (auto& option : stream->options) option = 0;
  stream->start();
  return stream;
}

void Stream::release() {
  ::munmap(page_, kConnectionBytes);
  if (far_ >= 0) {
    fd_table.set(far_, Kind::kUnknown);
    kernel::close(far_);
  }
  pool.give(this);
}

void Stream::notify_peer() {
  notify(page_->endpoint[1 - side_], process.board(), [this](std::uint32_t bell) {
    const kernel::KeepErrno keep;
    const std::byte wake{1};
    if (far_ >= 0) {
      kernel::send(far_, &wake, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
      process.ring(bell);
    }
  });
}

ssize_t Stream::put(std::span<const iovec> from, std::size_t skip, std::size_t size) {
  Direction& fifo = outgoing();
  const SharedLock lock(fifo.producer_lock, process.owner(), process.board());
  const std::optional<Piece> space = room(fifo, outgoing_data(), size);
  if (!space) return -ECONNRESET;
  const std::size_t done =
      for_each_piece(from, skip, [free = *space](std::span<const std::byte> bytes) mutable {
        const std::size_t copied = copy_in(free, bytes);
        free = rest(free, copied);
        return copied;
      });
  if (done != 0) publish(fifo, done);
  return static_cast<ssize_t>(done);
}

// Leaves word that room is wanted, and looks again, for the consumer may have missed the word.
bool Stream::space_after_asking() {
  outgoing().space_wanted.store(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return writable(outgoing()) || outgoing().reader_gone.load() != 0;
}

// May a call wait, and if so, has it come to anything? 1: try again; else the error to end with.
int Stream::wait_unless(int fd, short events, int flags) {
  if (nonblocking() || (flags & MSG_DONTWAIT) != 0) return -EAGAIN;
  const int waited = wait_for(fd, events, events == POLLIN ? receive_timeout_ms : send_timeout_ms);
  return waited == 0 ? -EAGAIN : waited;
}

template <typename Put>
ssize_t Stream::transmit(int fd, std::size_t size, int flags, Put put_after) {
  std::size_t sent = 0;
  while (true) {
    if (outgoing().ending.load() != Ending::kOpen || outgoing().reader_gone.load() != 0) {
      return sent != 0 ? static_cast<ssize_t>(sent) : broken_pipe(flags);
    }
    const ssize_t done = put_after(sent);
    if (done < 0) return so_far(sent, done);
    if (done > 0) notify_peer();
    sent += static_cast<std::size_t>(done);
    if (sent == size) return static_cast<ssize_t>(sent);
    if (space_after_asking()) continue;
    if (const int waited = wait_unless(fd, POLLOUT, flags); waited < 0) return so_far(sent, waited);
  }
}

ssize_t Stream::send(int fd, std::span<const iovec> from, int flags) {
  const std::size_t size = total_size(from);
  return transmit(fd, size, flags, [&](std::size_t sent) { return put(from, sent, size - sent); });
}

ssize_t Stream::take(std::span<const iovec> to, std::size_t skip, bool peek) {
  Direction& fifo = incoming();
  const SharedLock lock(fifo.consumer_lock, process.owner(), process.board());
  const std::optional<Piece> bytes = contents(fifo, incoming_data());
  if (!bytes) return -ECONNRESET;
  const std::size_t done =
      for_each_piece(to, skip, [left = *bytes](std::span<std::byte> buffer) mutable {
        const std::size_t copied = copy_out(buffer, left);
        left = rest(left, copied);
        return copied;
      });
  if (!peek && done != 0) consume(fifo, done);
  return static_cast<ssize_t>(done);
}

void Stream::after_consuming() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  Direction& fifo = incoming();
  if (fifo.space_wanted.load(std::memory_order_relaxed) == 0 || !writable(fifo)) return;
  fifo.space_wanted.store(0, std::memory_order_relaxed);
  notify_peer();
}

// What an empty FIFO means: 0 at the end of the stream, -EAGAIN for "not yet".
ssize_t Stream::ended() {
  switch (incoming().ending.load()) {
    case Ending::kOpen:
      return shut_read_.load(std::memory_order_relaxed) ? 0 : -EAGAIN;
    case Ending::kFin:
      break;
    case Ending::kReset:
      return reset_told_.exchange(true) ? 0 : -ECONNRESET;
  }
  return 0;
}

ssize_t Stream::receive(int fd, std::span<const iovec> to, int flags) {
  const bool peek = (flags & MSG_PEEK) != 0;
  const bool all = (flags & MSG_WAITALL) != 0 && !peek;
  const std::size_t size = total_size(to);
  if (size == 0) return 0;
  std::size_t received = 0;
  while (true) {
    // Before the look at the bytes: what was published before the end is then seen.
    const bool over = incoming().ending.load(std::memory_order_acquire) != Ending::kOpen ||
                      shut_read_.load(std::memory_order_relaxed);
    const ssize_t done = take(to, received, peek);
    if (done < 0) return done;
    if (done > 0 && !peek) after_consuming();
    received += static_cast<std::size_t>(done);
    if (received == size || (received != 0 && !all)) return static_cast<ssize_t>(received);
    if (over) return received != 0 ? static_cast<ssize_t>(received) : ended();
    if (const int waited = wait_unless(fd, POLLIN, flags); waited < 0) {
      return so_far(received, waited);
    }
  }
}

// The file is read straight into the FIFO: no copy of ours.
ssize_t Stream::put_file(int file, off_t* offset, std::size_t size) {
  Direction& fifo = outgoing();
  const SharedLock lock(fifo.producer_lock, process.owner(), process.board());
  const std::optional<Piece> space = room(fifo, outgoing_data(), size);
  if (!space) return -ECONNRESET;
  const std::size_t wanted = std::min(space->first.size(), size);
  if (wanted == 0) return 0;
  const ssize_t done = offset != nullptr ? ::pread(file, space->first.data(), wanted, *offset)
                                         : kernel::read(file, space->first.data(), wanted);
  if (done < 0) return -errno;
  if (done == 0) return -ENODATA;
  publish(fifo, static_cast<std::size_t>(done));
  if (offset != nullptr) *offset += done;
  return done;
}

ssize_t Stream::send_file(int fd, int file, off_t* offset, std::size_t size) {
  const ssize_t sent = transmit(
      fd, size, 0, [&](std::size_t already) { return put_file(file, offset, size - already); });
  return sent == -ENODATA ? 0 : sent;  // the file has ended
}

int Stream::shut_down(int how) {
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
  if (how != SHUT_WR) shut_read_ = true;
  if (how != SHUT_RD) {
    Ending open = Ending::kOpen;
    outgoing().ending.compare_exchange_strong(open, Ending::kFin);
    notify_peer();
  }
  // Waiters of our own side see the change, too.
  notify(endpoint(), process.board(), [](std::uint32_t bell) { process.ring(bell); });
  return 0;
}

short Stream::readiness(short wanted) {
  const Ending ending = incoming().ending.load(std::memory_order_acquire);
  int events = 0;
  if (used_bytes(incoming()) != 0) events |= POLLIN | POLLRDNORM;
  if (ending != Ending::kOpen || shut_read_.load(std::memory_order_relaxed)) {
    events |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (outgoing().ending.load(std::memory_order_relaxed) != Ending::kOpen) events |= POLLHUP;
  }
  if (ending == Ending::kReset) events |= POLLERR | POLLHUP;
  if ((wanted & (POLLOUT | POLLWRNORM)) != 0) {
    const bool gone = outgoing().reader_gone.load(std::memory_order_relaxed) != 0;
    if (gone || writable(outgoing()) || space_after_asking()) events |= POLLOUT | POLLWRNORM;
  }
  return static_cast<short>(events & (wanted | POLLERR | POLLHUP));
}

}  // namespace proofs::token
