// SPDX-License-Identifier: Apache-2.0
#include "port/tap.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "port/interface.h"

// UDP segmentation came with Linux 6.2; older headers lack it.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

namespace tideline::port {
namespace {

constexpr const char* kTapRemedy =
    "run as root, or give the program CAP_NET_ADMIN; in a container, pass --device /dev/net/tun";

Result<UniqueFd> open_queue(const std::string& name, bool several) {
  UniqueFd file(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!file) return fail_errno("cannot open /dev/net/tun", kTapRemedy);
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), sizeof(request.ifr_name) - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (several) request.ifr_flags |= IFF_MULTI_QUEUE;
  if (::ioctl(file.get(), TUNSETIFF, &request) != 0) {
    return fail_errno(fmt::format("cannot create the TAP '{}'", name),
                      errno == EBUSY ? "another program uses it: choose another name" : kTapRemedy);
  }
  int size = sizeof(VnetHeader);
  if (::ioctl(file.get(), TUNSETVNETHDRSZ, &size) != 0) {
    return fail_errno(fmt::format("cannot set up offload headers on the TAP '{}'", name));
  }
  return file;
}

// Tells the kernel what it may leave to us, which is everything. Returns whether UDP segmentation
// is among it.
Result<bool> accept_offloads(int file) {
  constexpr unsigned kTcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (::ioctl(file, TUNSETOFFLOAD, kTcp | TUN_F_USO4 | TUN_F_USO6) == 0) return true;
  if (::ioctl(file, TUNSETOFFLOAD, kTcp) == 0) return false;
  return fail_errno("cannot set up the offloads of a TAP");
}

Status set_up_kernel_side(const TapSpec& spec) {
  if (Status s = set_interface_mtu(spec.name, spec.mtu); !s) return s;
  if (Status s = bring_interface_up(spec.name); !s) return s;
  const auto interface = read_interface(spec.name);
  if (!interface) return fail(interface.error());
  if (spec.peer) {
    if (Status s = add_interface_address(interface->index, *spec.peer); !s) return s;
  }
  if (spec.peer6) return add_interface_address(interface->index, *spec.peer6);
  return {};
}

// Ours differs from the kernel's in the last byte.
wire::MacAddress other_end_of(const wire::MacAddress& kernel) {
  auto bytes = kernel.bytes();
  bytes[5] ^= 1;
  return wire::MacAddress(bytes);
}

}  // namespace

Result<TapSpec> TapSpec::parse(std::string_view text) {
  TapSpec spec;
  const auto part = [&text] {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view front = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    return front;
  };
  spec.name = part();
  if (spec.name.empty() || spec.name.size() >= IFNAMSIZ ||
      spec.name.find('/') != std::string::npos) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("'{}' cannot be the name of a TAP", spec.name),
                 .remedy = "choose 1 to 15 characters without '/'"});
  }
  while (!text.empty()) {
    const std::string_view option = part();
    if (option.starts_with("peer=")) {
      auto prefix = wire::Ipv4Prefix::from_text(option.substr(5));
      if (!prefix) return fail(std::move(prefix.error()));
      spec.peer = *prefix;
    } else if (option.starts_with("peer6=")) {
      auto prefix = wire::Ipv6Prefix::from_text(option.substr(6));
      if (!prefix) return fail(std::move(prefix.error()));
      spec.peer6 = *prefix;
    } else {
      return fail({.kind = ErrorKind::kUsage,
                   .what = fmt::format("a TAP has no option '{}'", option),
                   .remedy = "write it like tap:tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64"});
    }
  }
  return spec;
}

Result<std::unique_ptr<TapPort>> TapPort::open(const TapSpec& spec, const QueuePools& pools) {
  std::vector<Queue> queues;
  bool uso = false;
  for (Pool* pool : pools) {
    auto file = open_queue(spec.name, pools.size() > 1);
    if (!file) return fail(std::move(file.error()));
    auto offloads = accept_offloads(file->get());
    if (!offloads) return fail(std::move(offloads.error()));
    uso = *offloads;
    Queue queue;
    queue.file = std::move(*file);
    queue.pool = pool;
    queues.push_back(std::move(queue));
  }
  if (Status s = set_up_kernel_side(spec); !s) return fail(std::move(s.error()));
  auto interface = read_interface(spec.name);
  if (!interface) return fail(std::move(interface.error()));
  PortInfo info{.name = "tap:" + spec.name,
                .mac = other_end_of(interface->mac),
                .mtu = spec.mtu,
                .queues = static_cast<unsigned>(pools.size()),
                .capabilities = {.rx_checksum = true,
                                 .tx_checksum = true,
                                 .scatter_gather = true,
                                 .tso4 = true,
                                 .tso6 = true,
                                 .uso = uso,
                                 .max_frame = spec.mtu + kEthernetHeader + 4}};
  return std::unique_ptr<TapPort>(new TapPort(std::move(info), std::move(queues)));
}

std::size_t TapPort::rx_burst(unsigned queue, Burst& burst, Instant now) {
  const std::size_t before = burst.size();
  while (!burst.full() && receive(queue, burst, now)) {
  }
  return burst.size() - before;
}

// Empty segments for the longest frame, or as many as there are.
void TapPort::refill(Queue& queue) {
  if (queue.ready == kPieces) return;
  queue.ready += queue.pool->get_burst(std::span(queue.pieces).subspan(queue.ready));
}

// Receives one frame, or drops it. False if there is none.
bool TapPort::receive(unsigned queue, Burst& burst, Instant now) {
  Queue& q = queues_[queue];
  QueueStats& stats = counters(queue);
  refill(q);
  VnetHeader header{};
  std::array<iovec, kPieces + 1> pieces;
  pieces[0] = {.iov_base = &header, .iov_len = sizeof(header)};
  std::size_t room = 0;
  for (std::size_t i = 0; i < q.ready; ++i) {
    packet::Segment& segment = q.pieces[i]->first();
    pieces[i + 1] = {.iov_base = segment.writable().data(), .iov_len = segment.tailroom()};
    room += segment.tailroom();
  }
  const ssize_t read = ::readv(q.file.get(), pieces.data(), static_cast<int>(q.ready + 1));
  if (read < static_cast<ssize_t>(sizeof(header))) return false;
  const std::size_t size = static_cast<std::size_t>(read) - sizeof(header);
  stats.passes.add(packet::Pass::kKernelCopy, size);
  if (q.ready == 0 || size >= room) {
    // The kernel cuts what does not fit. The last byte is given up to see that.
    stats.drop(q.ready == kPieces ? Drop::kRxTruncated : Drop::kRxPool);
    return true;
  }
  if (size < kMinFrame) {
    stats.drop(Drop::kRxShort);
    return true;
  }
  PacketPtr frame = take(q, size);
  if (!from_vnet(header, *frame)) {
    stats.drop(Drop::kRxOffload);
    return true;
  }
  frame->meta().timestamp = now;
  frame->meta().queue = static_cast<std::uint16_t>(queue);
  stats.received(size);
  burst.push(std::move(frame));
  return true;
}

// The first `size` bytes of the pieces as a packet; the pieces behind move up.
PacketPtr TapPort::take(Queue& queue, std::size_t size) {
  PacketPtr frame;
  std::size_t used = 0;
  for (; size > 0; ++used) {
    PacketPtr piece = std::move(queue.pieces[used]);
    const std::size_t part = std::min(size, piece->first().tailroom());
    piece->append(part);
    size -= part;
    if (frame == nullptr) {
      frame = std::move(piece);
    } else {
      frame->append(std::move(piece));
    }
  }
  std::move(queue.pieces.begin() + static_cast<std::ptrdiff_t>(used),
            queue.pieces.begin() + static_cast<std::ptrdiff_t>(queue.ready), queue.pieces.begin());
  queue.ready -= used;
  return frame;
}

std::size_t TapPort::tx_burst(unsigned queue, Burst& burst, Instant /*now*/) {
  std::size_t taken = 0;
  for (const PacketPtr& frame : burst) {
    if (frame != nullptr && admit(queue, *frame) && send(queue, *frame)) ++taken;
  }
  burst.clear();
  return taken;
}

bool TapPort::send(unsigned queue, const Packet& frame) {
  constexpr std::size_t kMaxPieces = 64;  // a 64 KiB frame, and to spare
  QueueStats& stats = counters(queue);
  VnetHeader header = to_vnet(frame.meta().offload);
  std::array<iovec, kMaxPieces> pieces;
  pieces[0] = {.iov_base = &header, .iov_len = sizeof(header)};
  int count = 1;
  for (const packet::Segment* s = &frame.first(); s != nullptr; s = s->next()) {
    if (s->bytes().empty()) continue;
    if (count == kMaxPieces) {
      stats.drop(Drop::kTxScattered);
      return false;
    }
    pieces[static_cast<std::size_t>(count++)] = {
        .iov_base = const_cast<std::byte*>(s->bytes().data()), .iov_len = s->bytes().size()};
  }
  if (::writev(queues_[queue].file.get(), pieces.data(), count) < 0) {
    stats.drop(errno == EAGAIN || errno == ENOBUFS ? Drop::kTxFull : Drop::kTxRefused);
    return false;
  }
  stats.sent(frame.size());
  stats.passes.add(packet::Pass::kKernelCopy, frame.size());
  return true;
}

}  // namespace tideline::port
