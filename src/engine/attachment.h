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
#include <vector>

#include "base/error.h"
#include "engine/host.h"
#include "engine/worker.h"
#include "packet/pool.h"
#include "port/pcap_file.h"
#include "port/port.h"

namespace tideline::engine {

inline constexpr const char* kDefaultWire = "shm:default";

struct AttachmentOptions {
  std::string wire = kDefaultWire;
  std::vector<std::string> ip4{};       // ADDRESS/LENGTH; none on shm: leased
  std::vector<std::string> ip6{};       //
  std::vector<std::string> gateways{};  // of either version
  std::size_t mtu = 0;                  // 0: the wire's
  std::string impair{};                 // port/impairment_spec.h
  std::string capture{};                // a file for the frames of the wire
  std::optional<std::uint64_t> seed{};  // of the impairment
  bool promiscuous = false;             // sees the frames of others, has no address
};

// A wire that was opened. The pool serves its frames.
struct Wire {
  std::unique_ptr<packet::Pool> pool;
  std::unique_ptr<port::Port> port;
  std::shared_ptr<port::PcapWriter> capture;  // null without one
  std::uint64_t seed = 0;
  // Addresses that the wire gave out, and the same in words: "198.18.0.1 and 2001:db8:18::1".
  std::vector<wire::Ipv4Prefix> leased4;
  std::vector<wire::Ipv6Prefix> leased6;
  std::string leased;
};

struct Attachment {
  std::unique_ptr<Worker> worker;  // with its host
  std::shared_ptr<port::PcapWriter> capture;
  std::uint64_t seed = 0;
  std::size_t mtu = 0;
  std::string leased;
  HostOptions host;
};

// Errors say what the user can do about them.
Result<Wire> open_wire(const AttachmentOptions& options);
Result<Attachment> attach(const AttachmentOptions& options);

}  // namespace tideline::engine
