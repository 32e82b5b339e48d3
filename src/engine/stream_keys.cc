// SPDX-License-Identifier: Apache-2.0
#include "engine/stream_keys.h"

#include <algorithm>

#include "engine/socket_values.h"

namespace tideline::engine {
namespace {

using client::Failure;
using client::KeyChange;

tcp::MasterKey to_tcp(const KeyChange& change) {
  return {.peer = {.address = change.peer, .length = change.peer_bits},
          .send_id = change.send_id,
          .receive_id = change.receive_id,
          .algorithm = change.aes ? tcp::MacAlgorithm::kAesCmac : tcp::MacAlgorithm::kHmacSha1,
          .covers_options = change.covers_options,
          .size = change.size,
          .key = change.key};
}

Status change_of_listener(tcp::Tcp& tcp, tcp::ListenerId id, const KeyChange& change) {
  switch (change.kind) {
    case KeyChange::Kind::kAdd:
      return tcp.add_key(id, to_tcp(change));
    case KeyChange::Kind::kRemove:
      return tcp.remove_key(id, change.send_id, change.receive_id);
    case KeyChange::Kind::kUse:
      break;
  }
  return fail({.kind = ErrorKind::kUsage, .what = "a listener uses no key"});
}

Status change_of_connection(tcp::Tcp& tcp, tcp::ConnectionId id, const KeyChange& change) {
  if (change.kind == KeyChange::Kind::kRemove) {
    return tcp.remove_key(id, change.send_id, change.receive_id);
  }
  if (change.kind == KeyChange::Kind::kAdd) {
    if (Status added = tcp.add_key(id, to_tcp(change)); !added) return added;
  }
  if (!change.is_current && !change.is_next) return {};
  return tcp.use_keys(id, change.is_current ? std::optional(change.send_id) : std::nullopt,
                      change.is_next ? std::optional(change.receive_id) : std::nullopt);
}

}  // namespace

Status StreamKeys::change_kept(const KeyChange& change) {
  switch (change.kind) {
    case KeyChange::Kind::kAdd: {
      if (Status added = tcp::add_key(keys_, to_tcp(change)); !added) return added;
      // A connection begins with the first.
      const bool first = change.is_current || change.is_next;
      if (first) std::rotate(keys_.begin(), keys_.end() - 1, keys_.end());
      return {};
    }
    case KeyChange::Kind::kRemove:
      return tcp::remove_key(keys_, change.send_id, change.receive_id);
    case KeyChange::Kind::kUse:
      break;
  }
  return fail({.kind = ErrorKind::kUsage, .what = "there is no connection yet"});
}

client::Outcome<void> StreamKeys::change(tcp::Tcp& tcp, std::optional<tcp::ListenerId> listener,
                                         std::optional<tcp::ConnectionId> connection,
                                         const KeyChange& change) {
  const Status done = connection ? change_of_connection(tcp, *connection, change)
                      : listener ? change_of_listener(tcp, *listener, change)
                                 : change_kept(change);
  if (done) return {};
  return refuse(done.error().kind == ErrorKind::kExhausted ? Failure::kNoMemory
                                                           : Failure::kInvalid);
}

}  // namespace tideline::engine
