// SPDX-License-Identifier: Apache-2.0
// What a connection with keys remembers (RFC 5925 §4); authentication.h works with it. Internal to
// the room. Thread: the worker's.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "tcp/master_key.h"
#include "tcp/message_code.h"
#include "wire/tcp_options.h"

namespace tideline::tcp {

// What the option takes of each segment.
inline constexpr std::uint32_t kAuthenticationBytes =
    wire::AuthenticationOption::kMinSize + MessageCode::kSize;
static_assert(kAuthenticationBytes % 4 == 0);

struct Authentication {
  struct Key {
    MasterKey master;
    // Send_other_traffic_key and Receive_other_traffic_key; those of SYNs are made when needed.
    MessageCode send;
    MessageCode receive;
    std::uint64_t authentic = 0;
    std::uint64_t refused = 0;
  };
  std::array<Key, AuthenticationInfo::kMostKeys> keys{};
  std::uint8_t count = 0;
  std::uint8_t current = 0;
  std::uint8_t next = 0;
  bool agreed = false;  // on initial sequence numbers: `send` and `receive` are made
  std::optional<std::uint8_t> received_key_id;
  std::uint8_t received_next_key_id = 0;
  std::uint64_t authentic = 0;
  std::uint64_t refused = 0;
  std::uint64_t unknown_key = 0;
  std::uint64_t missing = 0;
  std::uint64_t path_errors = 0;
};

}  // namespace tideline::tcp
