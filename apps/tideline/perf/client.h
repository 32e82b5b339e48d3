// SPDX-License-Identifier: Apache-2.0
// The client of perf, over either net (engine_net.h, kernel_net.h): opens its streams, keeps each
// busy as the mode says until the time is over, and measures. One thread.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <tideline/endpoint.h>

#include "base/clock.h"
#include "base/error.h"
#include "perf/protocol.h"

namespace tideline::app::flow {

template <typename Net>
class Client {
 public:
  Client(Net& net, const Endpoint& server, const Plan& plan, const StreamOptions& options,
         const std::atomic<bool>& stop)
      : net_(net), server_(server), plan_(plan), options_(options), stop_(stop) {
    message_.resize(plan.size, std::byte{static_cast<std::uint8_t>(plan.mode)});
  }

  // Fails if no stream could be opened, or all have failed.
  Result<Figures> run() {
    for (unsigned i = 0; i < plan_.streams; ++i) {
      lanes_.push_back(std::make_unique<Lane>());
      if (Status s = open(*lanes_.back()); !s) return fail(std::move(s.error()));
    }
    if (Status s = connect_all(); !s) return fail(std::move(s.error()));
    const blast::Effort before = net_.effort();
    begin_ = monotonic_now();
    end_ = begin_ + plan_.duration;
    for (auto& lane : lanes_) start(*lane);
    while (monotonic_now() < end_ && !stop_ && alive_ > 0) {
      turn(end_);
    }
    figures_.elapsed = monotonic_now() - begin_;
    if (plan_.mode == Mode::kStream) collect();
    figures_.client = net_.effort() - before;
    lanes_.clear();
    net_.drain(std::chrono::seconds(2));
    if (error_ && figures_.bytes == 0) return fail(std::move(*error_));
    return figures_;
  }

 private:
  // One connection after the other, or one for the whole run.
  struct Lane {
    typename Net::Stream stream;
    bool connected = false;
    bool can_send = false;
    bool over = false;
    std::size_t to_send = 0;     // of the message under way
    std::size_t to_receive = 0;  // of its answer
    Instant since{};
    Report report{};
    std::size_t reported = 0;  // bytes of the report
  };

  Status open(Lane& lane) {
    auto stream = net_.connect(server_, options_);
    if (!stream) return fail(std::move(stream.error()));
    lane.stream = std::move(*stream);
    lane.stream.set_context(&lane);
    lane.connected = false;
    if (plan_.mode == Mode::kConnect) {
      lane.to_send = 1;
      send_rest(lane);  // it may go with the handshake
    }
    return {};
  }

  // In connect mode the connections are what is measured: there is nothing to wait for but one,
  // which shows that the server is there.
  Status connect_all() {
    const Instant limit = monotonic_now() + std::chrono::seconds(10);
    alive_ = lanes_.size();
    for (;;) {
      std::size_t connected = 0;
      for (const auto& lane : lanes_) connected += lane->connected;
      if (connected == lanes_.size()) return {};
      if (error_) return fail(*error_);
      if (stop_ || monotonic_now() >= limit) {
        return fail({.kind = ErrorKind::kPeer,
                     .what = server_.text() + " does not answer",
                     .remedy = "start a server there: tideline perf --listen"});
      }
      wait_for_events(limit);
      while (const auto event = net_.next()) {
        Lane& lane = *static_cast<Lane*>(event->context);
        if (has(event->ready, Ready::kEnded)) fail_lane(lane);
        if (has(event->ready, Ready::kWritable)) lane.connected = true;
      }
    }
  }

  void start(Lane& lane) {
    if (lane.over) return;
    lane.since = monotonic_now();
    if (plan_.mode == Mode::kConnect) {
      send_rest(lane);
      read_byte(lane);  // all may have come by now
      return;
    }
    const Hello hello{.mode = plan_.mode, .magic = kMagic, .size = wire::be64(plan_.size)};
    lane.stream.write(std::as_bytes(std::span(&hello, 1)));
    if (plan_.mode == Mode::kStream) {
      lane.can_send = true;
    } else {
      begin_request(lane, lane.since);
    }
  }

  void begin_request(Lane& lane, Instant now) {
    lane.since = now;
    lane.to_send = lane.to_receive = plan_.size;
    send_rest(lane);
  }

  void send_rest(Lane& lane) {
    if (lane.to_send == 0) return;
    lane.to_send -= lane.stream.write(std::span(message_).first(lane.to_send));
  }

  void wait_for_events(Instant limit) {
    if (plan_.poll) {
      net_.poll();
    } else {
      net_.wait(std::min<Duration>(limit - monotonic_now(), std::chrono::milliseconds(100)));
    }
  }

  void turn(Instant limit) {
    bool busy = false;
    for (auto& lane : lanes_) {
      if (lane->can_send) busy |= send_some(*lane);
    }
    if (busy) {
      net_.poll();
    } else {
      wait_for_events(limit);
    }
    while (const auto event = net_.next())
      handle(*static_cast<Lane*>(event->context), event->ready);
  }

  // A few at a time, so that lanes share the path. Whether it can send more.
  bool send_some(Lane& lane) {
    constexpr int kAtOnce = 4;
    for (int i = 0; i < kAtOnce && lane.can_send; ++i) {
      if (lane.to_send == 0) lane.to_send = plan_.size;
      const std::size_t sent = net_.send(lane.stream, lane.to_send);
      lane.can_send = sent > 0;
      lane.to_send -= sent;
    }
    return lane.can_send;
  }

  void handle(Lane& lane, Ready ready) {
    switch (plan_.mode) {
      case Mode::kStream:
        lane.can_send |= !lane.over && !stopped_sending_ &&
                         (has(ready, Ready::kWritable) || has(ready, Ready::kReleased));
        if (has(ready, Ready::kReadable)) read_report(lane);
        break;
      case Mode::kRequest:
        if (has(ready, Ready::kReadable)) read_answer(lane);
        if (has(ready, Ready::kWritable)) send_rest(lane);
        break;
      case Mode::kConnect:
        if (has(ready, Ready::kWritable)) send_rest(lane);
        if (has(ready, Ready::kReadable) && read_byte(lane)) return;
        break;
    }
    if (has(ready, Ready::kEnded) && lane.stream.error()) fail_lane(lane);
  }

  void read_answer(Lane& lane) {
    for (;;) {
      const std::size_t size = net_.take(lane.stream, lane.to_receive);
      if (size == 0) {
        if (lane.stream.at_end()) fail_lane(lane);
        return;
      }
      lane.to_receive -= size;
      if (lane.to_receive > 0) continue;
      const Instant now = monotonic_now();
      figures_.latency.add(now - lane.since);
      figures_.bytes += 2 * plan_.size;
      ++figures_.done;
      begin_request(lane, now);
    }
  }

  // Whether the lane has gone on to its next connection.
  bool read_byte(Lane& lane) {
    while (const std::size_t size = net_.take(lane.stream, 1)) lane.to_receive += size;
    if (!lane.stream.at_end()) return false;
    if (lane.to_receive == 1) {
      figures_.latency.add(monotonic_now() - lane.since);
      figures_.bytes += 2;
      ++figures_.done;
    } else {
      ++figures_.errors;
    }
    lane.to_receive = 0;
    lane.stream.close();
    lane.since = monotonic_now();
    if (Status s = open(lane); !s) {
      error_ = std::move(s.error());
      end_lane(lane);
    }
    return true;
  }

  void read_report(Lane& lane) {
    const auto rest = std::as_writable_bytes(std::span(&lane.report, 1)).subspan(lane.reported);
    lane.reported += lane.stream.read(rest);
    if (lane.reported == sizeof(Report) && !lane.over) end_lane(lane);
    if (lane.stream.at_end() && !lane.over) fail_lane(lane);
  }

  // All that was sent has arrived when the servers report.
  void collect() {
    stopped_sending_ = true;
    for (auto& lane : lanes_) {
      lane->can_send = false;
      if (!lane->over) lane->stream.shut_down();
    }
    const Instant limit = monotonic_now() + std::chrono::seconds(30);
    while (alive_ > 0 && monotonic_now() < limit) turn(limit);
    figures_.errors += alive_;
    std::uint64_t longest = 0;
    for (const auto& lane : lanes_) {
      if (lane->reported < sizeof(Report)) continue;
      const Report& report = lane->report;
      figures_.bytes += report.bytes.value();
      longest = std::max<std::uint64_t>(longest, report.elapsed_ns.value());
      // Servers of one process see the same effort: the longest look counts.
      figures_.server.cpu_ns =
          std::max<std::uint64_t>(figures_.server.cpu_ns, report.cpu_ns.value());
      figures_.server.passed =
          std::max<std::uint64_t>(figures_.server.passed, report.passed.value());
      figures_.server.copied =
          std::max<std::uint64_t>(figures_.server.copied, report.copied.value());
      figures_.server.dropped =
          std::max<std::uint64_t>(figures_.server.dropped, report.dropped.value());
    }
    if (longest > 0) figures_.elapsed = Duration(static_cast<std::int64_t>(longest));
  }

  void end_lane(Lane& lane) {
    if (std::exchange(lane.over, true)) return;
    lane.can_send = false;
    --alive_;
  }

  void fail_lane(Lane& lane) {
    if (lane.over) return;
    ++figures_.errors;
    error_ = lane.stream.error();
    if (!error_) {
      error_ =
          Error{.kind = ErrorKind::kPeer, .what = server_.text() + " has ended the connection"};
    }
    end_lane(lane);
  }

  Net& net_;
  Endpoint server_;
  Plan plan_;
  StreamOptions options_;
  const std::atomic<bool>& stop_;
  std::vector<std::byte> message_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::size_t alive_ = 0;
  bool stopped_sending_ = false;
  Instant begin_{};
  Instant end_{};
  Figures figures_;
  std::optional<Error> error_;
};

}  // namespace tideline::app::flow
