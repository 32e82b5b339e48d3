// SPDX-License-Identifier: Apache-2.0
// Master key tuples of TCP-AO (RFC 5925 §3.1): what an owner gives connections and listeners so
// that their segments are authenticated. Thread: any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "tcp/endpoint.h"

namespace tideline::tcp {

// RFC 5926 §3: a function that makes traffic keys, and one that makes codes of 96 bits with them.
enum class MacAlgorithm : std::uint8_t {
  kHmacSha1,  // KDF_HMAC_SHA1, HMAC-SHA-1-96
  kAesCmac,   // KDF_AES_128_CMAC, AES-128-CMAC-96
};

struct MasterKey {
  static constexpr std::size_t kMaxSize = 80;  // bytes: Linux's TCP_AO_MAXKEYLEN

  // Whose connections: the peer's addresses, IPv4 mapped, and ports; 0 is any.
  wire::Ipv6Prefix peer;
  std::uint16_t peer_port = 0;
  std::uint16_t local_port = 0;
  std::uint8_t send_id = 0;     // KeyID of what we send
  std::uint8_t receive_id = 0;  // KeyID of what the peer sends
  MacAlgorithm algorithm = MacAlgorithm::kHmacSha1;
  bool covers_options = true;  // those beside its own
  std::uint8_t size = 0;       // of the key: 1 to kMaxSize bytes
  std::array<std::byte, kMaxSize> key{};

  std::span<const std::byte> secret() const { return std::span(key).first(size); }
  bool matches(const Tuple& tuple) const {
    return peer.contains(tuple.remote.address) &&
           (peer_port == 0 || peer_port == tuple.remote.port) &&
           (local_port == 0 || local_port == tuple.local.port);
  }
  friend bool operator==(const MasterKey&, const MasterKey&) = default;
};

// Those of a listener, or of who will connect. Refuses what is no key, identifiers that a key for
// the same peer has (§3.1), and too many.
Status add_key(std::vector<MasterKey>& keys, const MasterKey& key);
Status remove_key(std::vector<MasterKey>& keys, std::uint8_t send_id, std::uint8_t receive_id);

// How a connection is authenticated: RFC 5925 §7.1.
struct AuthenticationInfo {
  // As many as a connection may have at a time.
  static constexpr std::size_t kMostKeys = 4;

  std::uint8_t count = 0;  // of keys; 0: it is not authenticated
  std::array<MasterKey, kMostKeys> keys;
  std::uint8_t current = 0;  // current_key: what we send has the send_id of that index
  std::uint8_t next = 0;     // rnext_key: we want to receive its receive_id
  // Of the latest authentic segment; nothing before the first.
  std::optional<std::uint8_t> received_key_id;
  std::uint8_t received_next_key_id = 0;
  std::uint64_t authentic = 0;  // segments
  std::uint64_t refused = 0;
  std::uint64_t unknown_key = 0;  // of those refused
  std::uint64_t missing = 0;      // likewise: without the option
  std::uint64_t path_errors = 0;  // that were ignored: §7.8
  // By key: segments that were authentic, and that were not.
  std::array<std::uint64_t, kMostKeys> key_authentic{};
  std::array<std::uint64_t, kMostKeys> key_refused{};
};

}  // namespace tideline::tcp
