// SPDX-License-Identifier: Apache-2.0
#include "port/af_xdp.h"

#include <fmt/core.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "packet/checksum.h"
#include "port/interface.h"
#include "port/xdp_program.h"
#include "port/xdp_queue.h"

namespace tideline::port {
namespace {

constexpr std::array<std::string_view, 3> kModeNames{"zerocopy", "copy", "generic"};
constexpr std::size_t kFewestSegments = 256;

std::optional<XdpMode> mode_named(std::string_view name) {
  for (std::size_t i = 0; i < kModeNames.size(); ++i) {
    if (kModeNames[i] == name) return static_cast<XdpMode>(i);
  }
  return std::nullopt;
}

// Whether another mode may work where this one did not.
bool is_unsupported(const Error& error) {
  switch (error.errno_value) {
    case EPERM:
    case EACCES:
    case EBUSY:
    case ENOBUFS:
    case ENODEV:
    case ENETDOWN:
      return false;
    default:
      return true;
  }
}

bool is_kernels(const wire::Ipv6Address& address) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return false;
  bool found = false;
  for (const ifaddrs* each = list; each != nullptr && !found; each = each->ifa_next) {
    if (each->ifa_addr == nullptr) continue;
    if (each->ifa_addr->sa_family == AF_INET) {
      const auto* in = reinterpret_cast<const sockaddr_in*>(each->ifa_addr);
      found = address == wire::Ipv6Address::mapped(wire::Ipv4Address(ntohl(in->sin_addr.s_addr)));
    } else if (each->ifa_addr->sa_family == AF_INET6) {
      const auto* in6 = reinterpret_cast<const sockaddr_in6*>(each->ifa_addr);
      found = std::memcmp(address.bytes().data(), &in6->sin6_addr, sizeof(in6->sin6_addr)) == 0;
    }
  }
  ::freeifaddrs(list);
  return found;
}

Status check_queues(const std::string& interface, const QueuePools& pools) {
  const unsigned queues = receive_queues(interface);
  for (const Pool* pool : pools) {
    if (pool->memory().size() / packet::kSegmentSize < kFewestSegments) {
      return fail({.kind = ErrorKind::kUsage,
                   .what = fmt::format("an AF_XDP queue needs {} segments", kFewestSegments)});
    }
  }
  if (queues == pools.size()) return {};
  return fail({.what = fmt::format("'{}' has {} receive queues, and {} would be served", interface,
                                   queues, pools.size()),
               .remedy = fmt::format(
                   "set their number with `ethtool -L {0} combined {1}`, or `rx {1}` where "
                   "they are counted apart",
                   interface, pools.size())});
}

// Whether the port takes frames of several segments, and sums them: see tx_burst. A kernel that
// copies takes a page of its own for each descriptor after a frame's first, which costs more than
// the frame itself; so whoever sends joins a frame in the pass that sums it, if one segment holds
// it.
bool pays_to_gather(XdpMode mode, std::size_t max_frame) {
  return mode == XdpMode::kZeroCopy || max_frame > packet::kSegmentSize - packet::kHeadroom;
}

}  // namespace

std::string_view name_of(XdpMode mode) { return kModeNames[static_cast<std::size_t>(mode)]; }

Result<XdpSpec> XdpSpec::parse(std::string_view text) {
  XdpSpec spec;
  std::size_t comma = text.find(',');
  spec.interface = text.substr(0, comma);
  while (comma != std::string_view::npos) {
    text.remove_prefix(comma + 1);
    comma = text.find(',');
    const std::string_view option = text.substr(0, comma);
    const auto mode =
        option.starts_with("mode=") ? mode_named(option.substr(5)) : std::optional<XdpMode>();
    if (mode) {
      spec.modes = {*mode};
    } else if (option == "all") {
      spec.take_all = true;
    } else {
      return fail({.kind = ErrorKind::kUsage,
                   .what = fmt::format("an XDP wire has no option '{}'", option),
                   .remedy = "write it like xdp:eth0, xdp:eth0,mode=zerocopy, mode=copy or "
                             "mode=generic; add ,all to take every frame"});
    }
  }
  if (spec.interface.empty()) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = "an XDP wire needs an interface",
                 .remedy = "write it like xdp:eth0"});
  }
  return spec;
}

// What opening tries for one mode after the other.
struct XdpPort::Attachment {
  const XdpSpec& spec;
  const QueuePools& pools;
  Interface interface;
  XdpProgram program;
  Queues queues{};
  bool multi_buffer = true;

  std::size_t max_frame() const { return interface.mtu + kEthernetHeader + 4; }

  Status open_queues(bool zero_copy) {
    queues.clear();
    for (unsigned i = 0; i < pools.size(); ++i) {
      auto queue = XdpQueue::open({.interface = spec.interface,
                                   .queue = i,
                                   .zero_copy = zero_copy,
                                   .multi_buffer = multi_buffer,
                                   .max_frame = max_frame()},
                                  *pools[i]);
      if (!queue) return fail(std::move(queue.error()));
      if (Status s = program.set_socket(i, (*queue)->fd()); !s) return s;
      queues.push_back(std::move(*queue));
    }
    return {};
  }

  std::string remedy(XdpMode mode, bool needs_several) const {
    if (mode == XdpMode::kZeroCopy) {
      return fmt::format("its driver may not support zero-copy: try xdp:{},mode=copy",
                         spec.interface);
    }
    if (!needs_several) return {};
    constexpr std::size_t kSingle = XdpQueue::kSingleBuffer;
    return fmt::format(
        "frames beyond {} bytes need Linux 6.6 and the driver's help: try an MTU of at most {}",
        kSingle, kSingle - kEthernetHeader - 4);
  }

  Status attach(XdpMode mode) {
    const bool generic = mode == XdpMode::kGeneric;
    program.detach();
    if (Status s = program.attach(spec.interface, interface.index,
                                  generic ? XdpHook::kGeneric : XdpHook::kNative);
        !s) {
      return s;
    }
    multi_buffer = spec.multi_buffer;
    const bool needs_several = max_frame() > XdpQueue::kSingleBuffer;
    Status opened =
        fail({.what = fmt::format("an MTU of {} needs frames in several buffers", interface.mtu)});
    if (multi_buffer) opened = open_queues(mode == XdpMode::kZeroCopy);
    if (!opened && !needs_several && is_unsupported(opened.error())) {
      multi_buffer = false;
      opened = open_queues(mode == XdpMode::kZeroCopy);
    }
    if (!opened && opened.error().remedy.empty()) {
      opened.error().remedy = remedy(mode, needs_several);
    }
    return opened;
  }
};

Result<std::unique_ptr<XdpPort>> XdpPort::open(const XdpSpec& spec, const QueuePools& pools) {
  auto found = read_interface(spec.interface);
  if (!found) return fail(std::move(found.error()));
  if (Status s = check_queues(spec.interface, pools); !s) return fail(std::move(s.error()));
  UniqueFd groups(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!groups) {
    return fail_errno("cannot open a packet socket", kXdpNeedsCapabilities);
  }
  auto program = XdpProgram::load(spec.take_all);
  if (!program) return fail(std::move(program.error()));
  Attachment attachment{
      .spec = spec, .pools = pools, .interface = *found, .program = std::move(*program)};
  Status attached;
  for (const XdpMode mode : spec.modes) {
    attached = attachment.attach(mode);
    if (!attached && is_unsupported(attached.error())) continue;
    if (!attached) break;
    const bool gathers = pays_to_gather(mode, attachment.max_frame());
    PortInfo info{.name = "xdp:" + spec.interface,
                  .mac = found->mac,
                  .mtu = found->mtu,
                  .queues = static_cast<unsigned>(pools.size()),
                  .capabilities = {.tx_checksum = gathers,
                                   .scatter_gather = gathers,
                                   .max_frame = attachment.max_frame()}};
    std::unique_ptr<XdpPort> port(new XdpPort(std::move(info), found->index, mode,
                                              std::move(attachment.program), std::move(groups),
                                              std::move(attachment.queues)));
    if (spec.take_all) {
      if (Status s = port->join({}); !s) return fail(std::move(s.error()));
    }
    return port;
  }
  return fail(std::move(attached.error()));
}

XdpPort::XdpPort(PortInfo info, int interface, XdpMode mode, XdpProgram program, UniqueFd groups,
                 Queues queues)
    : Port(std::move(info)),
      interface_(interface),
      mode_(mode),
      program_(std::make_unique<XdpProgram>(std::move(program))),
      groups_(std::move(groups)),
      queues_(std::move(queues)) {}

XdpPort::~XdpPort() = default;

Status XdpPort::claim(const wire::Ipv6Address& address) {
  if (is_kernels(address)) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format(
                     "{} is an address of this machine's kernel, which {} would "
                     "cut off",
                     address.is_mapped() ? address.mapped_ipv4().to_text() : address.to_text(),
                     info().name),
                 .remedy = "give this host an address of its own"});
  }
  if (Status s = program_->claim(address); !s) return s;
  if (address.is_mapped()) {
    const wire::Ipv4Address ipv4 = address.mapped_ipv4();
    return ipv4.is_multicast() ? join(wire::MacAddress::for_multicast(ipv4)) : Status();
  }
  const wire::Ipv6Address group = address.is_multicast() ? address : address.solicited_node();
  return join(wire::MacAddress::for_multicast(group));
}

// Has the interface receive frames for this group, or everything if it is zero. packet(7).
Status XdpPort::join(const wire::MacAddress& group) {
  packet_mreq request{
      .mr_ifindex = interface_, .mr_type = PACKET_MR_MULTICAST, .mr_alen = sizeof(group)};
  if (group.is_zero()) request.mr_type = PACKET_MR_PROMISC;
  std::memcpy(request.mr_address, &group, sizeof(group));
  if (::setsockopt(groups_.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof(request)) ==
      0) {
    return {};
  }
  return fail_errno(fmt::format("cannot receive frames for {}", group.to_text()));
}

std::size_t XdpPort::rx_burst(unsigned queue, Burst& burst, Instant now) {
  return queues_[queue]->receive(burst, now, counters(queue));
}

std::size_t XdpPort::tx_burst(unsigned queue, Burst& burst, Instant /*now*/) {
  QueueStats& stats = counters(queue);
  std::size_t count = 0;
  for (PacketPtr& frame : burst) {
    if (frame == nullptr || !admit(queue, *frame)) continue;
    if (frame->meta().offload.checksum == packet::Checksum::kNeeded &&
        !packet::complete_checksum(*frame, stats.passes)) {
      stats.drop(Drop::kTxOffload);
      continue;
    }
    if (queues_[queue]->send(std::move(frame), stats)) ++count;
  }
  burst.clear();
  queues_[queue]->kick();
  return count;
}

std::size_t XdpPort::tx_room(unsigned queue) { return queues_[queue]->room(); }

int XdpPort::fd(unsigned queue) const { return queues_[queue]->fd(); }

Instant XdpPort::next_deadline(unsigned queue) const { return queues_[queue]->next_deadline(); }

QueueStats XdpPort::stats(unsigned queue) {
  queues_[queue]->count_drops(counters(queue));
  return counters(queue);
}

}  // namespace tideline::port
