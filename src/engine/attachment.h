// SPDX-License-Identifier: Apache-2.0
// From what a user names to a worker with a host: the wire, its addresses, what is done to frames
// on the way. For the command line and for shims alike; a shim takes the same words from the
// environment. Thread: the one that becomes the worker's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/host.h"
#include "engine/worker.h"
#include "packet/pool.h"
#include "port/pcap_file.h"
#include "port/port.h"
#include "port/shm/peers.h"

namespace tideline::engine {

inline constexpr const char* kDefaultWire = "shm:default";

// tcp::MtuProbing as users name it: off, black-hole, always.
inline constexpr const char* kDefaultMtuProbing = "black-hole";
Result<tcp::MtuProbing> parse_mtu_probing(std::string_view text);

struct AttachmentOptions {
  std::string wire = kDefaultWire;
  std::vector<std::string> ip4{};       // ADDRESS/LENGTH; none on shm: leased
  std::vector<std::string> ip6{};       //
  std::vector<std::string> gateways{};  // of either version, several of each
  std::size_t mtu = 0;                  // 0: the wire's
  std::string impair{};                 // port/impairment_spec.h
  std::optional<std::uint64_t> seed{};  // of the impairment
  std::string capture{};                // a file for the frames of the wire
  std::uint64_t capture_limit = 0;      // frames; 0: without limit
  bool local_bypass = true;             // tcp/bypass.h
  std::string mtu_probing = kDefaultMtuProbing;
  port::shm::Peers* peers = nullptr;  // of a shared segment
  // On a shared segment: bytes of memory that peers can read (port::Port::shared_memory); and, if
  // there are any, whoever copies from frames asks Packet::is_intact() afterwards.
  std::size_t shared_memory = 0;
};

// Addresses that a wire gave out, which nobody else on it can have.
struct Leases {
  std::vector<wire::Ipv4Prefix> ipv4;
  std::vector<wire::Ipv6Prefix> ipv6;

  bool empty() const { return ipv4.empty() && ipv6.empty(); }
  // "198.18.0.1 and 2001:db8:18::1".
  std::string text() const;
};

// What the options make of wires: opened, impaired, captured. Errors say what the user can do.
class WireOpener {
 public:
  explicit WireOpener(const AttachmentOptions& options);

  std::uint64_t seed() const { return seed_; }
  // The first wire that is opened is the one that is captured. `all`: frames for other stations are
  // wanted too, and no address is leased. `leases` outlives the call only.
  Result<std::unique_ptr<port::Port>> open(const std::string& wire, packet::Pool& pool, bool all,
                                           Leases& leases);
  // Frames captured so far.
  std::uint64_t captured() const { return capture_ == nullptr ? 0 : capture_->frames(); }
  // Writes out what was captured, and what was sent to files. An error says that frames are
  // missing.
  Status flush();

 private:
  Result<std::unique_ptr<port::Port>> open_pcap(const std::string& words, packet::Pool& pool);

  AttachmentOptions options_;
  std::uint64_t seed_;
  unsigned opened_ = 0;
  std::shared_ptr<port::PcapWriter> capture_;
  std::vector<std::shared_ptr<port::PcapWriter>> files_;  // all that are written
};

// A host as the options and the leases make it, with packets of `mtu` bytes at most.
Result<HostOptions> host_options(const AttachmentOptions& options, const Leases& leases,
                                 std::size_t mtu);

// Nobody can guess it.
std::uint64_t random_seed();

}  // namespace tideline::engine
