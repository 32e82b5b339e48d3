// SPDX-License-Identifier: Apache-2.0
#include "engine/attachment.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "nic/segmenter.h"
#include "port/af_xdp.h"
#include "port/capture.h"
#include "port/dgram.h"
#include "port/impairment.h"
#include "port/packet.h"
#include "port/pcap_port.h"
#include "port/shm/port.h"
#include "port/tap.h"

namespace tideline::engine {
namespace {

using packet::Pool;

constexpr std::size_t kDefaultMtu = 1500;

template <typename T>
Result<std::unique_ptr<port::Port>> as_port(Result<std::unique_ptr<T>> opened) {
  if (!opened) return fail(std::move(opened.error()));
  return std::unique_ptr<port::Port>(std::move(*opened));
}

template <typename Address>
Result<std::vector<wire::Prefix<Address>>> parse_prefixes(const std::vector<std::string>& texts) {
  std::vector<wire::Prefix<Address>> prefixes;
  for (const std::string& text : texts) {
    auto prefix = wire::Prefix<Address>::from_text(text);
    if (!prefix) return fail(std::move(prefix.error()));
    prefixes.push_back(*prefix);
  }
  return prefixes;
}

Result<std::unique_ptr<port::Port>> open_dgram(std::string_view paths, std::size_t mtu,
                                               Pool& pool) {
  const std::size_t comma = paths.find(',');
  if (comma == std::string_view::npos) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("'dgram:{}' names one path", paths),
                 .remedy = "write it like dgram:/tmp/mine,/tmp/theirs"});
  }
  // Two programs on one machine: each its own address.
  const std::uint64_t random = random_seed();
  const auto byte = [&](int index) { return static_cast<std::uint8_t>(random >> (8 * index)); };
  const wire::MacAddress mac({0x02, byte(0), byte(1), byte(2), byte(3), byte(4)});
  return as_port(port::DgramPort::open(std::string(paths.substr(0, comma)),
                                       std::string(paths.substr(comma + 1)), &pool,
                                       {.mtu = mtu, .mac = mac}));
}

// An address that goes with a slot is taken together with the slot, so that nobody leases it.
template <typename Address>
std::optional<unsigned> slot_for(const std::vector<std::string>& addresses) {
  for (const std::string& text : addresses) {
    const auto prefix = wire::Prefix<Address>::from_text(text);
    if (!prefix) continue;
    if (const auto slot = port::shm::slot_of(prefix->address)) return slot;
  }
  return std::nullopt;
}

Result<std::unique_ptr<port::Port>> open_shm(std::string_view name, std::size_t mtu, Pool& pool,
                                             bool all, const AttachmentOptions& options,
                                             Leases& leases) {
  port::ShmPortOptions shm{.mtu = mtu, .promiscuous = all, .peers = options.peers};
  shm.claim.wanted = slot_for<wire::Ipv4Address>(options.ip4);
  if (!shm.claim.wanted) shm.claim.wanted = slot_for<wire::Ipv6Address>(options.ip6);
  shm.claim.highest_first = all;
  shm.sizes.shared_bytes = options.shared_memory;
  shm.lends_shared = options.shared_memory > 0;
  auto port = port::ShmPort::open(name, &pool, shm, monotonic_now());
  if (!port) return fail(std::move(port.error()));
  const unsigned slot = (*port)->slot();
  if (!all && options.ip4.empty()) leases.ipv4.push_back(port::shm::leased_ipv4(slot));
  if (!all && options.ip6.empty()) leases.ipv6.push_back(port::shm::leased_ipv6(slot));
  return as_port(std::move(port));
}

// Of the instants of this process, as wall time: for captures.
Duration epoch() {
  return std::chrono::system_clock::now().time_since_epoch() - monotonic_now().time_since_epoch();
}

Result<std::unique_ptr<port::Port>> open_port(std::string_view name, Pool& pool, bool all,
                                              const AttachmentOptions& options, Leases& leases) {
  const std::size_t own_mtu = options.mtu == 0 ? kDefaultMtu : options.mtu;
  if (name.starts_with("shm:")) {
    return open_shm(name.substr(4), own_mtu, pool, all, options, leases);
  }
  if (name.starts_with("tap:")) {
    auto spec = port::TapSpec::parse(name.substr(4));
    if (!spec) return fail(std::move(spec.error()));
    spec->mtu = own_mtu;
    return as_port(port::TapPort::open(*spec, {&pool}));
  }
  if (name.starts_with("packet:")) {
    return as_port(
        port::PacketPort::open(std::string(name.substr(7)), {&pool}, {.promiscuous = all}));
  }
  if (name.starts_with("xdp:")) {
    auto spec = port::XdpSpec::parse(name.substr(4));
    if (!spec) return fail(std::move(spec.error()));
    spec->take_all |= all;
    return as_port(port::XdpPort::open(*spec, {&pool}));
  }
  if (name.starts_with("dgram:")) return open_dgram(name.substr(6), own_mtu, pool);
  if (name == "memory") {
    return fail({.kind = ErrorKind::kUsage,
                 .what = "a memory wire joins hosts of one program, and this command has one",
                 .remedy = "between programs use shm:NAME"});
  }
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("there is no wire like '{}'", name),
               .remedy = "see `tideline ports` for the kinds of wires"});
}

Status set_gateways(const std::vector<std::string>& texts, HostOptions& host) {
  for (const std::string& text : texts) {
    if (text.find(':') == std::string::npos) {
      auto gateway = wire::Ipv4Address::from_text(text);
      if (!gateway) return fail(std::move(gateway.error()));
      host.gateways4.push_back(*gateway);
    } else {
      auto gateway = wire::Ipv6Address::from_text(text);
      if (!gateway) return fail(std::move(gateway.error()));
      host.gateways6.push_back(*gateway);
    }
  }
  return {};
}

}  // namespace

std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

std::string Leases::text() const {
  std::vector<std::string> addresses;
  addresses.reserve(ipv4.size() + ipv6.size());
  for (const auto& prefix : ipv4) addresses.push_back(prefix.address.to_text());
  for (const auto& prefix : ipv6) addresses.push_back(prefix.address.to_text());
  return fmt::format("{}", fmt::join(addresses, " and "));
}

WireOpener::WireOpener(const AttachmentOptions& options)
    : options_(options), seed_(options.seed ? *options.seed : random_seed()) {}

Result<std::unique_ptr<port::Port>> WireOpener::open(const std::string& wire, packet::Pool& pool,
                                                     bool all, Leases& leases) {
  auto opened = wire.starts_with("pcap:") ? open_pcap(wire.substr(5), pool)
                                          : open_port(wire, pool, all, options_, leases);
  if (!opened) return opened;
  std::unique_ptr<port::Port> port = std::move(*opened);
  const std::size_t wire_mtu = port->info().mtu;
  if (options_.mtu > wire_mtu) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("{} carries packets of {} bytes, not {}", wire, wire_mtu,
                                     options_.mtu),
                 .remedy = "raise the interface's MTU (ip link set IF mtu N)"});
  }
  if (!options_.impair.empty()) {
    auto spec = port::ImpairmentSpec::parse(options_.impair);
    if (!spec) return fail(std::move(spec.error()));
    port = std::make_unique<port::ImpairedPort>(std::move(port), *spec, seed_ + opened_,
                                                port::QueuePools{&pool});
  }
  if (!options_.capture.empty() && opened_ == 0) {
    auto writer = port::PcapWriter::create(options_.capture, epoch(), options_.capture_limit);
    if (!writer) return fail(std::move(writer.error()));
    capture_ = std::move(*writer);
    files_.push_back(capture_);
    port = std::make_unique<port::CapturePort>(std::move(port), capture_, nic::write_segments);
  }
  ++opened_;
  return port;
}

Result<std::unique_ptr<port::Port>> WireOpener::open_pcap(const std::string& words,
                                                          packet::Pool& pool) {
  auto spec = port::PcapSpec::parse(words);
  if (!spec) return fail(std::move(spec.error()));
  auto port = port::PcapPort::open(
      *spec, &pool, {.mtu = options_.mtu == 0 ? kDefaultMtu : options_.mtu, .epoch = epoch()});
  if (port && (*port)->output() != nullptr) files_.push_back((*port)->output());
  return as_port(std::move(port));
}

Status WireOpener::flush() {
  for (const auto& file : files_) {
    if (Status s = file->flush(); !s) return s;
  }
  return {};
}

Result<tcp::MtuProbing> parse_mtu_probing(std::string_view text) {
  if (text == "off") return tcp::MtuProbing::kOff;
  if (text == "black-hole") return tcp::MtuProbing::kBlackHole;
  if (text == "always") return tcp::MtuProbing::kAlways;
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("there is no MTU probing '{}'", text),
               .remedy = "choose off, black-hole or always"});
}

Result<HostOptions> host_options(const AttachmentOptions& options, const Leases& leases,
                                 std::size_t mtu) {
  constexpr std::size_t kLeastMtu = 1280;  // RFC 8200 §5
  if (mtu < kLeastMtu) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("packets of {} bytes are too short for a host", mtu),
                 .remedy = fmt::format("use an MTU of {} or more", kLeastMtu)});
  }
  // A replay has nobody who could object to an address, and its first frame comes at once.
  const bool is_replay = options.wire.starts_with("pcap:");
  HostOptions host{.mtu = static_cast<std::uint16_t>(std::min<std::size_t>(mtu, 65535)),
                   .leased_addresses = !leases.empty() || is_replay};
  auto ip4 = parse_prefixes<wire::Ipv4Address>(options.ip4);
  if (!ip4) return fail(std::move(ip4.error()));
  auto ip6 = parse_prefixes<wire::Ipv6Address>(options.ip6);
  if (!ip6) return fail(std::move(ip6.error()));
  host.ipv4 = options.ip4.empty() ? leases.ipv4 : *ip4;
  host.ipv6 = options.ip6.empty() ? leases.ipv6 : *ip6;
  if (host.ipv4.empty() && host.ipv6.empty()) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = "this host has no address",
                 .remedy = "give it one: --ip 192.0.2.2/24 or --ip6 2001:db8::2/64"});
  }
  if (Status s = set_gateways(options.gateways, host); !s) return fail(std::move(s.error()));
  host.tcp.local_bypass = options.local_bypass;
  const auto probing = parse_mtu_probing(options.mtu_probing);
  if (!probing) return fail(probing.error());
  host.tcp.mtu_probing = *probing;
  return host;
}

}  // namespace tideline::engine
