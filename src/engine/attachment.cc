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
#include "port/shm/port.h"
#include "port/tap.h"

namespace tideline::engine {
namespace {

using packet::Pool;

constexpr std::size_t kDefaultMtu = 1500;

std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

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

Result<std::unique_ptr<port::Port>> open_shm(std::string_view name, std::size_t mtu, Wire& wire,
                                             const AttachmentOptions& options) {
  port::ShmPortOptions shm{.mtu = mtu, .promiscuous = options.promiscuous};
  shm.claim.wanted = slot_for<wire::Ipv4Address>(options.ip4);
  if (!shm.claim.wanted) shm.claim.wanted = slot_for<wire::Ipv6Address>(options.ip6);
  shm.claim.highest_first = options.promiscuous;
  auto port = port::ShmPort::open(name, wire.pool.get(), shm, monotonic_now());
  if (!port) return fail(std::move(port.error()));
  if (!options.promiscuous && options.ip4.empty()) {
    wire.leased4.push_back(port::shm::leased_ipv4((*port)->slot()));
    wire.leased = wire.leased4.front().address.to_text();
  }
  if (!options.promiscuous && options.ip6.empty()) {
    wire.leased6.push_back(port::shm::leased_ipv6((*port)->slot()));
    wire.leased += (wire.leased.empty() ? "" : " and ") + wire.leased6.front().address.to_text();
  }
  return as_port(std::move(port));
}

Result<std::unique_ptr<port::Port>> open_port(Wire& wire, const AttachmentOptions& options) {
  const std::string_view name = options.wire;
  const std::size_t own_mtu = options.mtu == 0 ? kDefaultMtu : options.mtu;
  Pool& pool = *wire.pool;
  if (name.starts_with("shm:")) return open_shm(name.substr(4), own_mtu, wire, options);
  if (name.starts_with("tap:")) {
    auto spec = port::TapSpec::parse(name.substr(4));
    if (!spec) return fail(std::move(spec.error()));
    spec->mtu = own_mtu;
    return as_port(port::TapPort::open(*spec, {&pool}));
  }
  if (name.starts_with("packet:")) {
    return as_port(port::PacketPort::open(std::string(name.substr(7)), {&pool}));
  }
  if (name.starts_with("xdp:")) {
    const auto spec = port::XdpSpec::parse(name.substr(4));
    if (!spec) return fail(spec.error());
    return as_port(port::XdpPort::open(*spec, {&pool}));
  }
  if (name.starts_with("dgram:")) return open_dgram(name.substr(6), own_mtu, pool);
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("there is no wire like '{}'", name),
               .remedy = "see `tideline ports` for the kinds of wires"});
}

Status set_gateways(const std::vector<std::string>& texts, HostOptions& host) {
  for (const std::string& text : texts) {
    if (text.find(':') == std::string::npos) {
      auto gateway = wire::Ipv4Address::from_text(text);
      if (!gateway) return fail(std::move(gateway.error()));
      host.gateway4 = *gateway;
    } else {
      auto gateway = wire::Ipv6Address::from_text(text);
      if (!gateway) return fail(std::move(gateway.error()));
      host.gateway6 = *gateway;
    }
  }
  return {};
}

Result<HostOptions> host_options(const AttachmentOptions& options, const Wire& wire,
                                 std::size_t mtu) {
  HostOptions host{.mtu = static_cast<std::uint16_t>(std::min<std::size_t>(mtu, 65535)),
                   .leased_addresses = !wire.leased.empty()};
  auto ip4 = parse_prefixes<wire::Ipv4Address>(options.ip4);
  if (!ip4) return fail(std::move(ip4.error()));
  auto ip6 = parse_prefixes<wire::Ipv6Address>(options.ip6);
  if (!ip6) return fail(std::move(ip6.error()));
  host.ipv4 = ip4->empty() ? wire.leased4 : std::move(*ip4);
  host.ipv6 = ip6->empty() ? wire.leased6 : std::move(*ip6);
  if (host.ipv4.empty() && host.ipv6.empty()) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = "this host has no address",
                 .remedy = "give it one: --ip 192.0.2.2/24 or --ip6 2001:db8::2/64"});
  }
  if (Status s = set_gateways(options.gateways, host); !s) return fail(std::move(s.error()));
  return host;
}

}  // namespace

Result<Wire> open_wire(const AttachmentOptions& options) {
  Wire wire{.seed = options.seed ? *options.seed : random_seed()};
  auto pool = Pool::create({.segments = 8192, .loans = 2048});
  if (!pool) return fail(std::move(pool.error()));
  wire.pool = std::move(*pool);
  auto port = open_port(wire, options);
  if (!port) return fail(std::move(port.error()));
  wire.port = std::move(*port);
  const std::size_t wire_mtu = wire.port->info().mtu;
  if (options.mtu > wire_mtu) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("{} carries packets of {} bytes, not {}", options.wire,
                                     wire_mtu, options.mtu),
                 .remedy = "raise the interface's MTU (ip link set IF mtu N)"});
  }
  if (!options.impair.empty()) {
    auto spec = port::ImpairmentSpec::parse(options.impair);
    if (!spec) return fail(std::move(spec.error()));
    wire.port = std::make_unique<port::ImpairedPort>(std::move(wire.port), *spec, wire.seed,
                                                     port::QueuePools{wire.pool.get()});
  }
  if (!options.capture.empty()) {
    const auto wall = std::chrono::system_clock::now().time_since_epoch();
    auto writer =
        port::PcapWriter::create(options.capture, wall - monotonic_now().time_since_epoch());
    if (!writer) return fail(std::move(writer.error()));
    wire.capture = std::move(*writer);
    wire.port = std::make_unique<port::CapturePort>(std::move(wire.port), wire.capture,
                                                    nic::write_segments);
  }
  return wire;
}

Result<Attachment> attach(const AttachmentOptions& options) {
  auto wire = open_wire(options);
  if (!wire) return fail(std::move(wire.error()));
  const std::size_t mtu = options.mtu == 0 ? wire->port->info().mtu : options.mtu;
  auto host = host_options(options, *wire, mtu);
  if (!host) return fail(std::move(host.error()));
  auto worker = Worker::create(std::move(wire->pool), std::move(wire->port), random_seed());
  if (!worker) return fail(std::move(worker.error()));
  if (Status s = (*worker)->add_host(*host); !s) return fail(std::move(s.error()));
  return Attachment{.worker = std::move(*worker),
                    .capture = std::move(wire->capture),
                    .seed = wire->seed,
                    .mtu = mtu,
                    .leased = std::move(wire->leased),
                    .host = std::move(*host)};
}

}  // namespace tideline::engine
