// SPDX-License-Identifier: Apache-2.0
#include "port/xdp_queue.h"

#include <fmt/core.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "packet/copy.h"
#include "port/xdp_program.h"

namespace tideline::port {
namespace {

using packet::kHeadroom;
using packet::kSegmentSize;
using packet::Pass;

// Linux 6.6; Debian 12's linux/if_xdp.h is of 6.1.
constexpr std::uint16_t kUseSg = 1 << 4;            // XDP_USE_SG
constexpr std::uint32_t kPacketContinues = 1 << 0;  // XDP_PKT_CONTD

// A socket that was closed frees its queue a little later, unannounced: how often and how long to
// wait for it.
constexpr int kBusyTries = 500;
constexpr Duration kBusyWait = std::chrono::milliseconds(2);

// Till the next look for free segments, or for room on the wire.
constexpr Duration kRetry = std::chrono::milliseconds(1);

std::unexpected<Error> fail_with(int error, std::string what, std::string remedy = {}) {
  errno = -error;
  return fail_errno(std::move(what), std::move(remedy));
}

}  // namespace

Result<std::unique_ptr<XdpQueue>> XdpQueue::open(const XdpQueueOptions& options, Pool& pool) {
  for (int tries = 1;; ++tries) {
    std::unique_ptr<XdpQueue> queue(new XdpQueue(options, pool));
    Status created = queue->create();
    if (created) return queue;
    if (created.error().errno_value != EBUSY || tries == kBusyTries) {
      return fail(std::move(created.error()));
    }
    std::this_thread::sleep_for(kBusyWait);
  }
}

XdpQueue::XdpQueue(XdpQueueOptions options, Pool& pool)
    : options_(std::move(options)),
      pool_(pool),
      memory_(pool.memory()),
      in_flight_(memory_.size() / kSegmentSize, kRing),
      lent_(memory_.size() / kSegmentSize),
      // The other half stays for what is to be sent.
      lent_target_(std::min<std::size_t>(kRing, lent_.size() / 2)) {}

XdpQueue::~XdpQueue() {
  // From here the kernel touches no segment.
  socket_.reset();
  umem_.reset();
  for (Packet* packet : lent_) PacketPtr(packet).reset();
}

Status XdpQueue::create() {
  const std::string where = fmt::format("queue {} of '{}'", options_.queue, options_.interface);
  const xsk_umem_config memory{.fill_size = kRing,
                               .comp_size = kRing,
                               .frame_size = kSegmentSize,
                               .frame_headroom = 0,
                               .flags = 0};
  xsk_umem* umem = nullptr;
  int error =
      xsk_umem__create(&umem, memory_.data(), memory_.size(), &fill_, &completion_, &memory);
  if (error != 0) {
    return fail_with(
        error, fmt::format("cannot use {} MiB of memory for AF_XDP", memory_.size() >> 20),
        error == -ENOBUFS ? "raise the limit of locked memory (ulimit -l), or run as root"
                          : kXdpNeedsCapabilities);
  }
  umem_.reset(umem);
  xsk_socket_config config{};
  config.rx_size = kRing;
  config.tx_size = kRing;
  config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
  config.bind_flags = static_cast<std::uint16_t>(XDP_USE_NEED_WAKEUP |
                                                 (options_.zero_copy ? XDP_ZEROCOPY : XDP_COPY) |
                                                 (options_.multi_buffer ? kUseSg : 0));
  xsk_socket* socket = nullptr;
  error = xsk_socket__create(&socket, options_.interface.c_str(), options_.queue, umem, &rx_, &tx_,
                             &config);
  if (error == -EBUSY) {
    return fail_with(error, fmt::format("another program has an AF_XDP socket on {}", where),
                     "end that program");
  }
  if (error != 0) return fail_with(error, fmt::format("cannot open an AF_XDP socket on {}", where));
  socket_.reset(socket);
  // Frames on their way count against the send buffer; the ring is the limit that is meant.
  constexpr int kBuffer = static_cast<int>(std::size_t{kRing} * 2 * kSegmentSize);
  if (::setsockopt(fd(), SOL_SOCKET, SO_SNDBUFFORCE, &kBuffer, sizeof(kBuffer)) != 0) {
    ::setsockopt(fd(), SOL_SOCKET, SO_SNDBUF, &kBuffer, sizeof(kBuffer));
  }
  refill({});
  return {};
}

// Lends segments to the kernel, up to the target.
void XdpQueue::refill(Instant now) {
  std::array<PacketPtr, kBatch> fresh;
  while (lent_count_ + kBatch <= lent_target_) {
    const std::size_t got = pool_.get_burst(fresh);
    std::uint32_t at = 0;
    // The ring has room for all that may be lent.
    if (got == 0 || xsk_ring_prod__reserve(&fill_, static_cast<std::uint32_t>(got), &at) == 0) {
      break;
    }
    for (std::size_t i = 0; i < got; ++i) {
      const auto offset =
          static_cast<std::size_t>(fresh[i]->first().bytes().data() - memory_.data());
      const std::size_t chunk = offset / kSegmentSize;
      *xsk_ring_prod__fill_addr(&fill_, at++) = chunk * kSegmentSize;
      lent_[chunk] = fresh[i].release();
    }
    xsk_ring_prod__submit(&fill_, static_cast<std::uint32_t>(got));
    lent_count_ += got;
  }
  // Where the driver sleeps for want of buffers.
  if (xsk_ring_prod__needs_wakeup(&fill_) != 0) {
    ::recvfrom(fd(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
  }
  retry_at_ = lent_count_ < lent_target_ / 2 || unsent_ ? now + kRetry : kNever;
}

// Takes back the descriptors that the kernel has sent.
void XdpQueue::reap() {
  std::uint32_t at = 0;
  while (const std::uint32_t count = xsk_ring_cons__peek(&completion_, kBatch, &at)) {
    for (std::uint32_t i = 0; i < count; ++i) {
      in_flight_.complete(*xsk_ring_cons__comp_addr(&completion_, at + i));
    }
    xsk_ring_cons__release(&completion_, count);
  }
}

std::size_t XdpQueue::receive(Burst& burst, Instant now, QueueStats& stats) {
  reap();
  if (unsent_) kick();
  std::size_t frames = 0;
  std::uint32_t at = 0;
  // A descriptor ends at most one frame.
  while (const std::uint32_t count =
             xsk_ring_cons__peek(&rx_, static_cast<std::uint32_t>(burst.room()), &at)) {
    for (std::uint32_t i = 0; i < count; ++i) {
      const xdp_desc& descriptor = *xsk_ring_cons__rx_desc(&rx_, at + i);
      PacketPtr piece = take(descriptor);
      if (partial_ == nullptr) {
        partial_ = std::move(piece);
      } else {
        partial_->append(std::move(piece));
      }
      if ((descriptor.options & kPacketContinues) != 0) continue;
      PacketPtr frame = std::move(partial_);
      if (!finish(frame, now, stats)) continue;
      burst.push(std::move(frame));
      ++frames;
    }
    xsk_ring_cons__release(&rx_, count);
  }
  refill(now);
  return frames;
}

// The segment that the kernel has received into.
PacketPtr XdpQueue::take(const xdp_desc& descriptor) {
  const std::size_t chunk = descriptor.addr / kSegmentSize;
  const std::size_t skip = descriptor.addr % kSegmentSize - kHeadroom;
  PacketPtr packet(std::exchange(lent_[chunk], nullptr));
  --lent_count_;
  packet->append(skip + descriptor.len);
  packet->trim_front(skip);
  return packet;
}

// False if the frame was dropped.
bool XdpQueue::finish(PacketPtr& frame, Instant now, QueueStats& stats) {
  if (!options_.zero_copy) stats.passes.add(Pass::kKernelCopy, frame->size());
  if (frame->size() < kMinFrame || frame->size() > options_.max_frame) {
    stats.drop(frame->size() < kMinFrame ? Drop::kRxShort : Drop::kRxTruncated);
    frame.reset();
    return false;
  }
  frame->meta().timestamp = now;
  frame->meta().queue = static_cast<std::uint16_t>(options_.queue);
  stats.received(frame->size());
  return true;
}

bool XdpQueue::is_in_pool(std::span<const std::byte> bytes) const {
  const std::byte* end = memory_.data() + memory_.size();
  return bytes.data() >= memory_.data() && bytes.data() + bytes.size() <= end;
}

// Whether the kernel can send the frame from where it lies.
bool XdpQueue::fits(const Packet& frame) const {
  if (frame.segment_count() > (options_.multi_buffer ? kMaxDescriptors : 1)) return false;
  for (const packet::Segment* each = &frame.first(); each != nullptr; each = each->next()) {
    if (!is_in_pool(each->bytes())) return false;
  }
  return true;
}

bool XdpQueue::send(PacketPtr frame, QueueStats& stats) {
  if (!fits(*frame)) {
    frame = packet::copy_of(*frame, pool_, stats.passes);
    if (frame == nullptr) {
      stats.drop(Drop::kTxPool);
      return false;
    }
  }
  std::array<std::uint64_t, kMaxDescriptors> addresses{};
  std::array<std::uint32_t, kMaxDescriptors> lengths{};
  std::size_t count = 0;
  for (const packet::Segment* each = &frame->first(); each != nullptr; each = each->next()) {
    if (each->bytes().empty()) continue;  // a first segment whose bytes were trimmed
    addresses[count] = static_cast<std::uint64_t>(each->bytes().data() - memory_.data());
    lengths[count++] = static_cast<std::uint32_t>(each->bytes().size());
  }
  std::uint32_t at = 0;
  if (in_flight_.room() < count) reap();
  if (in_flight_.room() < count ||
      xsk_ring_prod__reserve(&tx_, static_cast<std::uint32_t>(count), &at) == 0) {
    stats.drop(Drop::kTxFull);
    return false;
  }
  for (std::size_t i = 0; i < count; ++i) {
    *xsk_ring_prod__tx_desc(&tx_, at++) = {
        .addr = addresses[i], .len = lengths[i], .options = i + 1 < count ? kPacketContinues : 0};
  }
  xsk_ring_prod__submit(&tx_, static_cast<std::uint32_t>(count));
  stats.sent(frame->size());
  if (!options_.zero_copy) stats.passes.add(Pass::kKernelCopy, frame->size());
  in_flight_.add(std::move(frame), std::span(addresses).first(count));
  return true;
}

bool XdpQueue::drained() const {
  return __atomic_load_n(tx_.consumer, __ATOMIC_ACQUIRE) == tx_.cached_prod;
}

// Has the kernel send what lies in the ring. It sends some 32 descriptors at a time where it
// copies. What it does not manage now stays until the next call of receive or send.
void XdpQueue::kick() {
  unsent_ = false;
  if (xsk_ring_prod__needs_wakeup(&tx_) == 0) return;
  std::uint32_t before = 0;
  do {
    before = __atomic_load_n(tx_.consumer, __ATOMIC_RELAXED);
    ::sendto(fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0);
  } while (!drained() && __atomic_load_n(tx_.consumer, __ATOMIC_RELAXED) != before);
  unsent_ = !drained();
}

std::size_t XdpQueue::room() {
  reap();
  return std::min(Burst::kCapacity, in_flight_.room() / kMaxDescriptors);
}

void XdpQueue::count_drops(QueueStats& stats) {
  xdp_statistics kernel{};
  socklen_t size = sizeof(kernel);
  if (::getsockopt(fd(), SOL_XDP, XDP_STATISTICS, &kernel, &size) != 0) return;
  const KernelDrops now{.rx_ring_full = kernel.rx_ring_full,
                        .rx_dropped = kernel.rx_dropped,
                        .fill_empty = kernel.rx_fill_ring_empty_descs,
                        .tx_invalid = kernel.tx_invalid_descs};
  const KernelDrops before = std::exchange(kernel_drops_, now);
  const std::uint64_t dropped = now.rx_dropped - before.rx_dropped;
  // Dropped for want of a buffer, or else for its length.
  const std::uint64_t starved = std::min(dropped, now.fill_empty - before.fill_empty);
  stats.drop(Drop::kRxFull, now.rx_ring_full - before.rx_ring_full);
  stats.drop(Drop::kRxPool, starved);
  stats.drop(Drop::kRxTruncated, dropped - starved);
  stats.drop(Drop::kTxRefused, now.tx_invalid - before.tx_invalid);
}

}  // namespace tideline::port
