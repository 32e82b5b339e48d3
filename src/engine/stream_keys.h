// SPDX-License-Identifier: Apache-2.0
// The keys of TCP-AO (RFC 5925) that a program gives one of its streams. Before it connects or
// listens they are kept here, then they are TCP's. For both placements of an engine. Thread: the
// worker's.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "client/types.h"
#include "tcp/tcp.h"

namespace tideline::engine {

class StreamKeys {
 public:
  void clear() {
    keys_.clear();
    has_choice_ = false;
  }
  // For connect() and listen().
  std::span<const tcp::MasterKey> kept() const { return keys_; }
  // Of one that has begun, by its connection or its listener.
  client::Outcome<void> change(tcp::Tcp& tcp, std::optional<tcp::ListenerId> listener,
                               std::optional<tcp::ConnectionId> connection,
                               const client::KeyChange& change);

  client::KeyState read(const tcp::Tcp& tcp, std::optional<tcp::ListenerId> listener,
                        std::optional<tcp::ConnectionId> connection, std::uint32_t index) const;

 private:
  Status change_kept(const client::KeyChange& change);

  std::vector<tcp::MasterKey> keys_;
  bool has_choice_ = false;  // the first of them
};

}  // namespace tideline::engine
