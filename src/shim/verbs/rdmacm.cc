// SPDX-License-Identifier: Apache-2.0
// What of librdmacm programs need also where they make no connections, as libfabric does for
// datagrams: the list of devices, and event channels, on which nothing ever comes. Thread: any.
#include <infiniband/verbs.h>
#include <pthread.h>
#include <rdma/rdma_cma.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace {

pthread_mutex_t open_mutex = PTHREAD_MUTEX_INITIALIZER;

// Open until the process ends, as librdmacm has it: programs never close these. Null if it cannot
// be opened.
ibv_context* open_once() {
  static ibv_context* context = nullptr;
  ::pthread_mutex_lock(&open_mutex);
  if (context == nullptr) {
    if (ibv_device** devices = ibv_get_device_list(nullptr); devices != nullptr) {
      context = ibv_open_device(devices[0]);
      ibv_free_device_list(devices);
    }
  }
  ::pthread_mutex_unlock(&open_mutex);
  return context;
}

}  // namespace

extern "C" {

ibv_context** rdma_get_devices(int* count) {
  if (count != nullptr) *count = 0;
  ibv_context* context = open_once();
  if (context == nullptr) return nullptr;
  // NOLINTNEXTLINE(cppcoreguidelines-no-malloc): freed by rdma_free_devices
  auto** list = static_cast<ibv_context**>(std::calloc(2, sizeof(ibv_context*)));
  if (list == nullptr) {
    errno = ENOMEM;
    return nullptr;
  }
  list[0] = context;
  if (count != nullptr) *count = 1;
  return list;
}

void rdma_free_devices(ibv_context** list) {
  std::free(static_cast<void*>(list));  // NOLINT(cppcoreguidelines-no-malloc)
}

rdma_event_channel* rdma_create_event_channel() {
  const int fd = ::eventfd(0, EFD_CLOEXEC);
  if (fd < 0) return nullptr;
  return std::make_unique<rdma_event_channel>(rdma_event_channel{.fd = fd}).release();
}

void rdma_destroy_event_channel(rdma_event_channel* channel) {
  const std::unique_ptr<rdma_event_channel> owner(channel);
  ::close(channel->fd);
}

// Blocks, or fails with EAGAIN, as the descriptor does.
int rdma_get_cm_event(rdma_event_channel* channel, rdma_cm_event** /*event*/) {
  std::uint64_t count = 0;
  if (::read(channel->fd, &count, sizeof(count)) >= 0) errno = EIO;
  return -1;
}

}  // extern "C"
