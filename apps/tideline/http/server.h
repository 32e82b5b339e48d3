// SPDX-License-Identifier: Apache-2.0
// `serve`: HTTP/1.1 over streams of the public API. A connection serves its requests one after the
// other; a file's bytes go from the kernel's cache into the send buffer, in place. One thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <utility>

#include <tideline/engine.h>

#include "base/time.h"
#include "http/answer.h"
#include "http/files.h"

namespace tideline::app::http {

struct ServerCounters {
  std::uint64_t connections = 0;
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;   // answers of 400 and above
  std::uint64_t bytes = 0;    // of files
  std::uint64_t aborted = 0;  // connections that ended while an answer was under way
};

class Server {
 public:
  struct Options {
    Duration idle = std::chrono::seconds(60);   // between two bytes of answers
    Duration linger = std::chrono::seconds(2);  // for what comes behind the last answer
  };

  Server(Listener listener, Files files, const Options& options);

  // An event of the engine's.
  void handle(const Event& event, Instant now);
  // Once a second or so: ends those that have idled.
  void run_timers(Instant now);
  // Accepts no more, and ends those that idle.
  void wind_down();
  bool is_idle() const { return connections_.empty(); }
  const ServerCounters& counters() const { return counters_; }

 private:
  struct Connection {
    Stream stream;
    std::list<Connection>::iterator self{};
    std::string head;        // of the request, as far as it has come
    Answer answer;           // under way
    std::size_t told = 0;    // bytes of its text
    std::uint64_t next = 0;  // of its file
    bool answering = false;
    bool closing = false;  // FIN is sent; only the peer's is waited for
    Instant
        active{};  // the last byte of an answer was written; what the peer sends is no sign of life
  };

  void accept(Instant now);
  void serve(Connection& connection, Instant now);
  // Reads what is there of a request; false: it is not complete.
  bool read_request(Connection& connection);
  void begin_answer(Connection& connection);
  // False: the rest waits for room.
  bool send_answer(Connection& connection);
  bool send_file(Connection& connection);
  void end(Connection& connection);

  Listener listener_;
  Files files_;
  Options options_;
  std::list<Connection> connections_;
  ServerCounters counters_;
  bool winding_down_ = false;
};

}  // namespace tideline::app::http
