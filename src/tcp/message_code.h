// SPDX-License-Identifier: Apache-2.0
// Traffic keys of TCP-AO, and the codes that they give messages: RFC 5925 §5, RFC 5926. The
// algorithms are Nettle's, whose state is plain memory of ours: no call of it allocates. Internal
// to the room. Thread: the worker's.
#pragma once

#include <nettle/cmac.h>
#include <nettle/hmac.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

#include "tcp/master_key.h"

namespace tideline::tcp {

// What a traffic key is for: RFC 5925 §5.2, figures 7 and 8.
struct KeyContext {
  Endpoint source;
  Endpoint destination;
  std::uint32_t source_isn = 0;
  std::uint32_t destination_isn = 0;  // 0 of a SYN without ACK
};

struct TrafficKey {
  std::uint8_t size = 0;
  std::array<std::uint8_t, SHA1_DIGEST_SIZE> bytes{};
};

TrafficKey derive_key(MacAlgorithm algorithm, std::span<const std::byte> master,
                      const KeyContext& context);

// The code of the bytes that were added since the last take().
class MessageCode {
 public:
  static constexpr std::size_t kSize = 12;
  using Code = std::array<std::byte, kSize>;

  MessageCode() = default;
  MessageCode(MacAlgorithm algorithm, const TrafficKey& key);

  void add(std::span<const std::byte> bytes);
  Code take();

 private:
  std::variant<hmac_sha1_ctx, cmac_aes128_ctx> state_{};
};

// In a time that does not depend on where they differ.
bool are_equal(std::span<const std::byte> a, std::span<const std::byte> b);

}  // namespace tideline::tcp
