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

KeyChange to_client(const tcp::MasterKey& key) {
  return {.aes = key.algorithm == tcp::MacAlgorithm::kAesCmac,
          .covers_options = key.covers_options,
          .send_id = key.send_id,
          .receive_id = key.receive_id,
          .peer = key.peer.address,
          .peer_bits = key.peer.length,
          .size = key.size,
          .key = key.key};
}

client::KeyState state_of_connection(const tcp::AuthenticationInfo& info, std::uint32_t index) {
  if (info.count == 0) return {};
  client::KeyState state{.count = info.count,
                         .has_choice = true,
                         .current = info.keys[info.current].send_id,
                         .next = info.keys[info.next].receive_id,
                         .authentic = info.authentic,
                         .refused = info.refused - info.unknown_key - info.missing,
                         .unknown_key = info.unknown_key,
                         .missing = info.missing,
                         .path_errors = info.path_errors};
  if (index >= info.count) return state;
  state.key = to_client(info.keys[index]);
  state.key.is_current = index == info.current;
  state.key.is_next = index == info.next;
  state.key_authentic = info.key_authentic[index];
  state.key_refused = info.key_refused[index];
  return state;
}

}  // namespace

Status StreamKeys::change_kept(const KeyChange& change) {
  switch (change.kind) {
    case KeyChange::Kind::kAdd: {
      if (Status added = tcp::add_key(keys_, to_tcp(change)); !added) return added;
      // A connection begins with the first.
      const bool first = change.is_current || change.is_next;
      if (first) std::rotate(keys_.begin(), keys_.end() - 1, keys_.end());
      has_choice_ |= first;
      return {};
    }
    case KeyChange::Kind::kRemove:
      if (!keys_.empty() && keys_.front().send_id == change.send_id &&
          keys_.front().receive_id == change.receive_id) {
        has_choice_ = false;
      }
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

client::KeyState StreamKeys::read(const tcp::Tcp& tcp, std::optional<tcp::ListenerId> listener,
                                  std::optional<tcp::ConnectionId> connection,
                                  std::uint32_t index) const {
  if (connection) return state_of_connection(tcp.authentication(*connection), index);
  const std::span<const tcp::MasterKey> keys = listener ? tcp.keys(*listener) : kept();
  client::KeyState state{.count = static_cast<std::uint32_t>(keys.size()),
                         .has_choice = !listener && has_choice_};
  if (state.has_choice) {
    state.current = keys.front().send_id;
    state.next = keys.front().receive_id;
  }
  if (index >= keys.size()) return state;
  state.key = to_client(keys[index]);
  state.key.is_current = state.key.is_next = state.has_choice && index == 0;
  return state;
}

}  // namespace tideline::engine
