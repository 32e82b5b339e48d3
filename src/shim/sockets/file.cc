// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/file.h"

#include <algorithm>

namespace tideline::shim::sockets {
namespace {

constinit Pool<File> pool;

}  // namespace

File* File::open(int domain, client::SocketType type, bool nonblocking) {
  File* file = pool.take();
  if (file == nullptr) return nullptr;
  file->domain = domain;
  file->type = type;
  file->side.store(Side::kUndecided, std::memory_order_relaxed);
  file->ours.store(nullptr, std::memory_order_relaxed);
  file->nonblocking.store(nonblocking, std::memory_order_relaxed);
  file->receive_timeout_us.store(0, std::memory_order_relaxed);
  file->send_timeout_us.store(0, std::memory_order_relaxed);
  file->linger_s.store(-1, std::memory_order_relaxed);
  file->shares_address.store(false, std::memory_order_relaxed);
  file->shares_port.store(false, std::memory_order_relaxed);
  file->has_asked_kernel.store(false, std::memory_order_relaxed);
  file->header_info.store(0, std::memory_order_relaxed);
  file->zero_copy.store(false, std::memory_order_relaxed);
  file->tells_rest.store(false, std::memory_order_relaxed);
  file->least_read.store(1, std::memory_order_relaxed);
  file->tells_time.store(0, std::memory_order_relaxed);
  file->keys_are_ours.store(false, std::memory_order_relaxed);
  file->zero_copied.store(0, std::memory_order_relaxed);
  file->told.store(0, std::memory_order_relaxed);
  file->options = {};
  file->marks4 = file->marks6 = {};
  file->whole4 = file->whole6 = false;
  file->segment = 0;
  file->start();
  return file;
}

void File::release() {
  if (client::Socket* socket = ours.exchange(nullptr)) socket->close(linger_s.load() == 0);
  pool.give(this);
}

bool File::waits_for_more() const {
  const std::size_t least = least_read.load(std::memory_order_relaxed);
  if (least <= 1 || !is_stream()) return false;
  // The most that can be waited for: what is half full may be all that comes without a reader.
  const std::size_t target = std::min(least, socket().receive_capacity() / 2);
  if (socket().readable_bytes() >= target || socket().is_at_mark()) return false;
  constexpr unsigned kLast = POLLRDHUP | POLLHUP | POLLERR;
  return (socket().readiness(POLLRDHUP) & kLast) == 0;
}

void File::after_fork_in_child() { pool.unlock_after_fork(); }

}  // namespace tideline::shim::sockets
