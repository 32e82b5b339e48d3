// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <span>

namespace tideline::app::http {

Server::Server(Listener listener, Files files, const Options& options)
    : listener_(std::move(listener)), files_(std::move(files)), options_(options) {
  listener_.set_context(nullptr);
}

void Server::handle(const Event& event, Instant now) {
  if (event.context == nullptr) {
    accept(now);
    return;
  }
  Connection& connection = *static_cast<Connection*>(event.context);
  if (has(event.ready, Ready::kEnded) && connection.stream.error()) {
    end(connection);
    return;
  }
  serve(connection, now);
}

void Server::accept(Instant now) {
  while (auto stream = listener_.accept()) {
    ++counters_.connections;
    Connection& connection = connections_.emplace_back();
    connection.self = std::prev(connections_.end());
    connection.stream = std::move(*stream);
    connection.stream.set_context(&connection);
    connection.active = now;
    serve(connection, now);
  }
}

void Server::end(Connection& connection) {
  if (connection.answering) ++counters_.aborted;
  connections_.erase(connection.self);
}

void Server::serve(Connection& connection, Instant now) {
  Stream& stream = connection.stream;
  while (!connection.closing) {
    if (!connection.answering) {
      if (!read_request(connection)) {
        if (stream.at_end() || stream.state() == Stream::State::kEnded) end(connection);
        return;
      }
      begin_answer(connection);
    }
    const std::uint64_t before = connection.told + connection.next;
    const bool sent = send_answer(connection);
    if (connection.told + connection.next > before) connection.active = now;
    if (!sent) {
      if (!stream) end(connection);
      return;
    }
    connection.answering = false;
    connection.answer.file.reset();
    if (connection.answer.closes || winding_down_) {
      stream.shut_down();
      connection.closing = true;
    }
  }
  // RFC 9112 §9.6: what still comes is read, for a RST would destroy the answer on its way.
  while (!stream.received().empty()) stream.consume(stream.received().size());
  if (stream.at_end() || stream.state() == Stream::State::kEnded) end(connection);
}

bool Server::read_request(Connection& connection) {
  Stream& stream = connection.stream;
  for (;;) {
    const auto piece = stream.received();
    if (piece.empty()) return false;
    const std::string_view bytes(reinterpret_cast<const char*>(piece.data()), piece.size());
    const std::size_t before = connection.head.size();
    const std::size_t room = kMaxHead + 1 - before;
    connection.head += bytes.substr(0, room);
    const auto size = head_size(connection.head);
    // What is behind the head is the next request's.
    const std::size_t used = (size ? *size : connection.head.size()) - before;
    connection.head.resize(before + used);
    stream.consume(used);
    if (size || connection.head.size() > kMaxHead) return true;
  }
}

void Server::begin_answer(Connection& connection) {
  ++counters_.requests;
  const std::time_t now = std::time(nullptr);
  // An empty line in front is overlooked: RFC 9112 §2.2.
  std::string_view head = connection.head;
  while (head.starts_with("\r\n") && head.size() > 4) head.remove_prefix(2);
  const auto request = parse_request(head);
  connection.answer = request ? answer(*request, files_, now) : refuse(request.error(), now);
  if (connection.answer.status >= 400) ++counters_.errors;
  connection.head.clear();
  connection.told = 0;
  connection.next = connection.answer.part.begin;
  connection.answering = true;
}

bool Server::send_answer(Connection& connection) {
  const auto text = std::as_bytes(std::span(connection.answer.text));
  connection.told += connection.stream.write(text.subspan(connection.told));
  if (connection.told < text.size()) return false;
  return !connection.answer.file || send_file(connection);
}

bool Server::send_file(Connection& connection) {
  const Answer& answer = connection.answer;
  while (connection.next < answer.part.end) {
    const auto space = connection.stream.write_space();
    if (space.empty()) return false;
    const auto size = static_cast<std::size_t>(
        std::min<std::uint64_t>(space.size(), answer.part.end - connection.next));
    const ssize_t read =
        ::pread(answer.file.get(), space.data(), size, static_cast<off_t>(connection.next));
    if (read < 0 && errno == EINTR) continue;
    if (read <= 0) {
      // The file has shrunk, or its disk fails: the client must not take the rest for it.
      connection.stream.abort();
      return false;
    }
    connection.stream.wrote(static_cast<std::size_t>(read));
    connection.next += static_cast<std::uint64_t>(read);
    counters_.bytes += static_cast<std::uint64_t>(read);
  }
  return true;
}

void Server::run_timers(Instant now) {
  for (auto next = connections_.begin(); next != connections_.end();) {
    Connection& connection = *next++;
    const Duration most = connection.closing ? options_.linger : options_.idle;
    if (now - connection.active < most) continue;
    end(connection);
  }
}

void Server::wind_down() {
  winding_down_ = true;
  listener_ = {};
  for (auto next = connections_.begin(); next != connections_.end();) {
    Connection& connection = *next++;
    if (!connection.answering) end(connection);
  }
}

}  // namespace tideline::app::http
