// SPDX-License-Identifier: Apache-2.0
// The broker: the part of an engine that this proof needs. It holds the far end of every token,
// knows who listens where, joins connect with accept, hands connection memory to whoever shows a
// token, and learns from the far end's EOF that the last duplicate of a token, in whatever process,
// was closed. It is not on the data path: programs exchange bytes through the FIFOs directly. One
// thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "proofs/token/layout.h"
#include "proofs/token/protocol.h"
#include "proofs/token/token_pair.h"

namespace proofs::token {

class Broker {
 public:
  // Listens for clients at the Unix socket `path`.
  static tideline::Result<std::unique_ptr<Broker>> create(const std::string& path);

  // One round: waits up to `timeout_ms` (-1: for ever) and handles what has happened.
  void run_once(int timeout_ms);
  Counts counts() const;

 private:
  struct Client {
    tideline::UniqueFd socket;
    std::uint32_t process = 0;
    std::vector<std::uint32_t> bells;
  };
  struct Listener {
    Address address;
    tideline::UniqueFd far;
    std::uint64_t cookie = 0;
  };
  struct Connection {
    tideline::UniqueFd memory;
    tideline::Mapping mapping;
    std::array<tideline::UniqueFd, 2> far;
    std::array<std::uint64_t, 2> cookie{};
    ConnectionPage& page() const { return *mapping.at<ConnectionPage>(0); }
  };
  // The two ends of a connection that is being made.
  struct Pending {
    std::uint64_t id = 0;
    std::array<tideline::UniqueFd, 2> near;
  };
  struct Answer {
    Reply reply;
    std::vector<int> fds;                     // borrowed
    std::vector<tideline::UniqueFd> owned{};  // closed once the answer is sent
  };
  enum class Source : std::uint8_t { kAcceptor, kClient, kListener, kConnection };

  Broker() = default;
  tideline::Status watch(int fd, Source source, std::uint64_t id) const;

  void accept_client();
  void serve_client(std::uint64_t id);
  void drop_client(std::uint64_t id);
  Answer answer(Client& client, const Request& request, std::span<tideline::UniqueFd> fds);
  Answer listen_at(const Address& address);
  Answer connect_to(const Request& request);
  Answer attach(const Request& request, int token);
  Answer new_bell(Client& client);
  Answer find_bell(std::uint32_t bell);

  tideline::Result<Pending> make_connection(const Address& from, const Address& to);
  Listener* find_listener(const Address& address);
  // Empties the far end; true if its last near duplicate is gone.
  static bool drained_to_end(int far);
  void check_listener(std::uint64_t id);
  void check_connection(std::uint64_t id, std::size_t side);
  void free_bell(std::uint32_t bell);
  void ring(std::uint32_t bell) const;

  tideline::UniqueFd epoll_;
  tideline::UniqueFd acceptor_;
  tideline::UniqueFd board_memory_;
  tideline::Mapping board_mapping_;
  std::map<std::uint64_t, Client> clients_;
  std::map<std::uint64_t, Listener> listeners_;
  std::unordered_map<std::uint64_t, Connection> connections_;
  // Which token has this cookie: id * 2 + side of a connection, or id * 2 of a listener.
  struct Known {
    TokenKind kind;
    std::uint64_t id;
    std::uint32_t side;
  };
  std::unordered_map<std::uint64_t, Known> cookies_;
  std::array<tideline::UniqueFd, kMaxBells> doorbells_;
  std::vector<std::uint32_t> free_bells_;
  std::vector<std::uint32_t> free_processes_;
  std::string name_;  // of this broker, part of its tokens' names
  std::uint64_t last_id_ = 0;
  std::uint32_t last_generation_ = 0;
  std::uint16_t last_port_ = 40000;

  Board& board() const { return *board_mapping_.at<Board>(0); }
};

}  // namespace proofs::token
