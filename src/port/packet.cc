// SPDX-License-Identifier: Apache-2.0
#include "port/packet.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <utility>

#include "base/bits.h"
#include "packet/copy.h"
#include "port/interface.h"
#include "port/vnet_header.h"

namespace tideline::port {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;
// A slot: the ring's header, alignment, the offload header, and the longest frame.
constexpr std::size_t kSlot = align_up<std::size_t>(
    TPACKET2_HDRLEN + std::size_t{2} * TPACKET_ALIGNMENT + sizeof(VnetHeader) + kMaxGsoFrame,
    TPACKET_ALIGNMENT);
constexpr unsigned kSlotsPerBlock = kBlock / kSlot;
static_assert(kSlotsPerBlock == 15);
// Where the kernel looks for a frame to send, in its slot.
constexpr std::size_t kTxData = TPACKET2_HDRLEN - sizeof(sockaddr_ll);

constexpr const char* kPacketRemedy = "run as root, or give the program CAP_NET_RAW";

std::atomic_ref<__u32> status_of(std::byte* slot) {
  return std::atomic_ref<__u32>(reinterpret_cast<tpacket2_hdr*>(slot)->tp_status);
}

template <typename T>
Status set_option(int socket, int option, const T& value, const char* what) {
  if (::setsockopt(socket, SOL_PACKET, option, &value, sizeof(value)) == 0) return {};
  return fail_errno(fmt::format("cannot {} on a packet socket", what), kPacketRemedy);
}

tpacket_req ring_request(unsigned blocks) {
  return {.tp_block_size = kBlock,
          .tp_block_nr = blocks,
          .tp_frame_size = kSlot,
          .tp_frame_nr = blocks * kSlotsPerBlock};
}

Status configure(int socket, int interface, const PacketPortOptions& options) {
  const packet_mreq membership{.mr_ifindex = interface,
                               .mr_type = static_cast<unsigned short>(
                                   options.promiscuous ? PACKET_MR_PROMISC : PACKET_MR_ALLMULTI)};
  if (Status s = set_option(socket, PACKET_VERSION, int{TPACKET_V2}, "use TPACKET_V2"); !s) {
    return s;
  }
  if (Status s = set_option(socket, PACKET_VNET_HDR, 1, "exchange offload headers"); !s) return s;
  if (Status s = set_option(socket, PACKET_IGNORE_OUTGOING, 1, "ignore what we send"); !s) return s;
  // A frame that the kernel refuses is skipped; else it would block those behind it.
  if (Status s = set_option(socket, PACKET_LOSS, 1, "skip refused frames"); !s) return s;
  if (Status s = set_option(socket, PACKET_ADD_MEMBERSHIP, membership, "receive what is not ours");
      !s) {
    return s;
  }
  if (Status s =
          set_option(socket, PACKET_RX_RING, ring_request(options.rx_blocks), "get a receive ring");
      !s) {
    return s;
  }
  // Frames on their way count against the send buffer; the ring is the limit that is meant.
  const int buffer = static_cast<int>(options.tx_blocks * kBlock);
  if (::setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)) != 0) {
    ::setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
  }
  return set_option(socket, PACKET_TX_RING, ring_request(options.tx_blocks), "get a send ring");
}

// Makes the sockets one group, over which the kernel spreads flows.
Status join_fanout(int socket, int& group) {
  constexpr int kFlagUniqueId = 0x2000;
  int argument = PACKET_FANOUT_HASH << 16;
  argument |= group < 0 ? kFlagUniqueId << 16 : group;
  if (Status s = set_option(socket, PACKET_FANOUT, argument, "share an interface among queues");
      !s) {
    return s;
  }
  socklen_t size = sizeof(argument);
  if (::getsockopt(socket, SOL_PACKET, PACKET_FANOUT, &argument, &size) != 0) {
    return fail_errno("cannot read the number of a packet fanout group");
  }
  group = argument & 0xffff;
  return {};
}

}  // namespace

// Slots do not cross blocks.
std::byte* PacketPort::Slots::at(unsigned index) const {
  return memory + index / kSlotsPerBlock * kBlock + index % kSlotsPerBlock * kSlot;
}

Result<PacketPort::Queue> PacketPort::open_queue(int interface, const PacketPortOptions& options,
                                                 Pool* pool) {
  Queue queue;
  queue.pool = pool;
  // Protocol 0: nothing is received before bind().
  queue.socket = UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!queue.socket) return fail_errno("cannot open a packet socket", kPacketRemedy);
  const int socket = queue.socket.get();
  if (Status s = configure(socket, interface, options); !s) return fail(std::move(s.error()));
  const std::size_t rx_size = options.rx_blocks * kBlock;
  auto rings = Mapping::map(socket, rx_size + options.tx_blocks * kBlock, Access::kReadWrite);
  if (!rings) return fail(std::move(rings.error()));
  queue.rings = std::move(*rings);
  queue.rx = {.memory = queue.rings.data(), .count = options.rx_blocks * kSlotsPerBlock};
  queue.tx = {.memory = queue.rings.data() + rx_size, .count = options.tx_blocks * kSlotsPerBlock};
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = interface;
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return fail_errno("cannot bind a packet socket to the interface");
  }
  return queue;
}

Result<std::unique_ptr<PacketPort>> PacketPort::open(const std::string& interface,
                                                     const QueuePools& pools,
                                                     const PacketPortOptions& options) {
  auto found = read_interface(interface);
  if (!found) return fail(std::move(found.error()));
  std::vector<Queue> queues;
  int group = -1;
  for (Pool* pool : pools) {
    auto queue = open_queue(found->index, options, pool);
    if (!queue) return fail(std::move(queue.error()));
    if (pools.size() > 1) {
      if (Status s = join_fanout(queue->socket.get(), group); !s) return fail(std::move(s.error()));
    }
    queues.push_back(std::move(*queue));
  }
  // Scatter/gather costs nothing here: the copy into the ring gathers.
  PortInfo info{.name = "packet:" + interface,
                .mac = found->mac,
                .mtu = found->mtu,
                .queues = static_cast<unsigned>(pools.size()),
                .capabilities = {.rx_checksum = true,
                                 .tx_checksum = true,
                                 .scatter_gather = true,
                                 .tso4 = true,
                                 .tso6 = true,
                                 .uso = true,
                                 .max_frame = found->mtu + kEthernetHeader + 4}};
  return std::unique_ptr<PacketPort>(new PacketPort(std::move(info), std::move(queues)));
}

std::size_t PacketPort::rx_burst(unsigned queue, Burst& burst, Instant now) {
  Queue& q = queues_[queue];
  if (q.unsent) kick(queue);
  std::size_t count = 0;
  while (!burst.full()) {
    std::byte* slot = q.rx.at(q.rx.next);
    // Acquire: the kernel has written the frame before it says so.
    if ((status_of(slot).load(std::memory_order_acquire) & TP_STATUS_USER) == 0) break;
    if (PacketPtr frame = receive(queue, slot); frame != nullptr) {
      frame->meta().timestamp = now;
      frame->meta().queue = static_cast<std::uint16_t>(queue);
      counters(queue).received(frame->size());
      burst.push(std::move(frame));
      ++count;
    }
    status_of(slot).store(TP_STATUS_KERNEL, std::memory_order_release);
    q.rx.advance();
  }
  return count;
}

// A copy of the frame in `slot`; null if it was dropped.
PacketPtr PacketPort::receive(unsigned queue, const std::byte* slot) {
  constexpr std::size_t kAddresses = 12;  // the VLAN tag goes behind the two MAC addresses
  QueueStats& stats = counters(queue);
  tpacket2_hdr header;
  std::memcpy(&header, slot, sizeof(header));
  const std::span<const std::byte> bytes(slot + header.tp_mac, header.tp_snaplen);
  if (header.tp_snaplen < header.tp_len || bytes.size() < kMinFrame) {
    stats.drop(bytes.size() < kMinFrame ? Drop::kRxShort : Drop::kRxTruncated);
    return nullptr;
  }
  VnetHeader vnet;
  std::memcpy(&vnet, bytes.data() - sizeof(vnet), sizeof(vnet));
  // The kernel takes the tag out of the frame.
  std::array<std::uint16_t, 2> tag{};
  const std::size_t tag_size = (header.tp_status & TP_STATUS_VLAN_VALID) != 0 ? sizeof(tag) : 0;
  if (tag_size > 0) {
    const bool named = (header.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0;
    tag = {htons(named ? header.tp_vlan_tpid : ETH_P_8021Q), htons(header.tp_vlan_tci)};
    vnet.csum_start = static_cast<__u16>(vnet.csum_start + tag_size);
  }
  PacketPtr frame = queues_[queue].pool->get_chain(bytes.size() + tag_size);
  if (frame == nullptr) {
    stats.drop(Drop::kRxPool);
    return nullptr;
  }
  if (tag_size > 0) {
    packet::copy_in(*frame, 0, bytes.first(kAddresses), stats.passes);
    packet::copy_in(*frame, kAddresses, std::as_bytes(std::span(tag)), stats.passes);
    packet::copy_in(*frame, kAddresses + tag_size, bytes.subspan(kAddresses), stats.passes);
  } else {
    packet::copy_in(*frame, 0, bytes, stats.passes);
  }
  stats.passes.add(packet::Pass::kKernelCopy, bytes.size());
  if (!from_vnet(vnet, *frame)) {
    stats.drop(Drop::kRxOffload);
    return nullptr;
  }
  if ((header.tp_status & TP_STATUS_CSUM_VALID) != 0) {
    frame->meta().offload.checksum = packet::Checksum::kValid;
  }
  return frame;
}

std::size_t PacketPort::tx_burst(unsigned queue, Burst& burst, Instant /*now*/) {
  Queue& q = queues_[queue];
  QueueStats& stats = counters(queue);
  std::size_t count = 0;
  for (const PacketPtr& frame : burst) {
    if (frame == nullptr || !admit(queue, *frame)) continue;
    std::byte* slot = q.tx.at(q.tx.next);
    // Acquire: the kernel has finished with the slot before it says so.
    if (status_of(slot).load(std::memory_order_acquire) != TP_STATUS_AVAILABLE) {
      stats.drop(Drop::kTxFull);
      continue;
    }
    put_in_slot(queue, *frame, slot);
    q.unsent_bytes += frame->size();
    q.longest_unsent = std::max(q.longest_unsent, frame->size());
    q.last_slot = q.tx.next;
    q.tx.advance();
    stats.sent(frame->size());
    ++count;
  }
  burst.clear();
  if (count > 0 || q.unsent) kick(queue);
  return count;
}

void PacketPort::put_in_slot(unsigned queue, const Packet& frame, std::byte* slot) {
  const VnetHeader vnet = to_vnet(frame.meta().offload);
  std::byte* data = slot + kTxData;
  std::memcpy(data, &vnet, sizeof(vnet));
  packet::copy_out(frame, 0, {data + sizeof(vnet), frame.size()}, counters(queue).passes);
  reinterpret_cast<tpacket2_hdr*>(slot)->tp_len = static_cast<__u32>(sizeof(vnet) + frame.size());
  status_of(slot).store(TP_STATUS_SEND_REQUEST, std::memory_order_release);
}

// Has the kernel send what lies in the ring. What it does not manage now stays there until the next
// call of rx_burst or tx_burst. It says how many bytes have left, and passes over frames that it
// refuses: whatever is missing in the end, it has refused.
void PacketPort::kick(unsigned queue) {
  Queue& q = queues_[queue];
  const ssize_t left = ::send(q.socket.get(), nullptr, 0, MSG_DONTWAIT);
  if (left > 0) q.unsent_bytes -= std::min(q.unsent_bytes, static_cast<std::size_t>(left));
  q.unsent =
      status_of(q.tx.at(q.last_slot)).load(std::memory_order_acquire) == TP_STATUS_SEND_REQUEST;
  if (q.unsent) return;
  // At least so many frames.
  if (q.unsent_bytes > 0) {
    counters(queue).drop(Drop::kTxRefused,
                         (q.unsent_bytes + q.longest_unsent - 1) / q.longest_unsent);
  }
  q.unsent_bytes = q.longest_unsent = 0;
}

std::size_t PacketPort::tx_room(unsigned queue) {
  Slots slots = queues_[queue].tx;
  for (std::size_t room = 0; room < Burst::kCapacity; ++room) {
    std::byte* slot = slots.at(slots.next);
    if (status_of(slot).load(std::memory_order_acquire) != TP_STATUS_AVAILABLE) return room;
    slots.advance();
  }
  return Burst::kCapacity;
}

QueueStats PacketPort::stats(unsigned queue) {
  tpacket_stats kernel{};  // since the last time it was asked
  socklen_t size = sizeof(kernel);
  if (::getsockopt(fd(queue), SOL_PACKET, PACKET_STATISTICS, &kernel, &size) == 0) {
    counters(queue).drop(Drop::kRxFull, kernel.tp_drops);
  }
  return counters(queue);
}

}  // namespace tideline::port
