// SPDX-License-Identifier: Apache-2.0
// The server of perf, over either net (engine_net.h, kernel_net.h): does what the first bytes of a
// connection ask for. One thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "perf/protocol.h"

namespace tideline::app::flow {

// What a server has done, for its end.
struct ServerTotals {
  std::uint64_t connections = 0;
  std::uint64_t requests = 0;
  std::uint64_t bytes = 0;      // received in stream mode
  std::uint64_t strangers = 0;  // connections that did not speak as perf does
};

template <typename Net>
class Server {
 public:
  Server(Net& net, typename Net::Listener listener, bool poll, const std::atomic<bool>& stop)
      : net_(net), listener_(std::move(listener)), poll_(poll), stop_(stop) {
    listener_.set_context(nullptr);
  }

  void run(Instant end) {
    while (!stop_) {
      const Instant now = monotonic_now();
      if (now >= end) break;
      serve_busy();
      if (poll_ || !busy_.empty()) {
        net_.poll();
      } else {
        net_.wait(std::min<Duration>(end - now, std::chrono::milliseconds(100)));
      }
      while (const auto event = net_.next()) handle(*event);
    }
  }

  const ServerTotals& totals() const { return totals_; }

 private:
  struct Served {
    typename Net::Stream stream;
    Hello hello{};
    std::size_t heard = 0;  // bytes of the hello
    bool is_busy = false;   // on the list
    std::uint64_t bytes = 0;
    Instant since{};
    Instant last{};
    blast::Effort before;
    std::size_t to_receive = 0;  // of a request
    std::size_t to_send = 0;     // of answers
    std::size_t slot = 0;
  };
  enum class Outcome : std::uint8_t { kIdle, kBusy, kOver };

  void handle(const Event& event) {
    if (event.context == nullptr) {
      accept();
      return;
    }
    Served& served = *static_cast<Served*>(event.context);
    if (has(event.ready, Ready::kEnded) && served.stream.error()) {
      drop(served);
      return;
    }
    settle(served, serve(served));
  }

  void accept() {
    while (auto stream = listener_.accept()) {
      ++totals_.connections;
      if (free_.empty()) {
        free_.push_back(all_.size());
        all_.push_back(std::make_unique<Served>());
      }
      const std::size_t slot = free_.back();
      free_.pop_back();
      Served& served = *all_[slot];
      served = {.stream = std::move(*stream), .slot = slot};
      served.stream.set_context(&served);
      settle(served, serve(served));
    }
  }

  void settle(Served& served, Outcome outcome) {
    if (outcome == Outcome::kOver) {
      drop(served);
    } else if (outcome == Outcome::kBusy && !std::exchange(served.is_busy, true)) {
      busy_.push_back(&served);
    }
  }

  void drop(Served& served) {
    served.stream.close();
    if (std::exchange(served.is_busy, false)) std::erase(busy_, &served);
    free_.push_back(served.slot);
  }

  // Those that had more to do than fits into a turn.
  void serve_busy() {
    std::vector<Served*> busy = std::exchange(busy_, std::move(spare_));
    for (Served* served : busy) {
      served->is_busy = false;
      settle(*served, serve(*served));
    }
    busy.clear();
    spare_ = std::move(busy);
  }

  Outcome serve(Served& served) {
    if (served.heard < sizeof(Hello)) {
      if (!hear(served)) return served.stream.at_end() ? Outcome::kOver : Outcome::kIdle;
      if (served.hello.mode == Mode::kConnect) {
        const std::byte answer{'c'};
        served.stream.write({&answer, 1});
        return Outcome::kOver;  // FIN behind it
      }
      if (served.hello.magic != kMagic || served.hello.size.value() == 0) {
        ++totals_.strangers;
        return Outcome::kOver;
      }
    }
    return served.hello.mode == Mode::kStream ? serve_stream(served) : serve_requests(served);
  }

  // Whether the hello is complete; one byte suffices in connect mode.
  bool hear(Served& served) {
    const auto rest = std::as_writable_bytes(std::span(&served.hello, 1)).subspan(served.heard);
    if (served.heard == 0) {
      served.heard += served.stream.read(rest.first(1));
      if (served.heard == 0) return false;
      if (served.hello.mode == Mode::kConnect) return true;
    }
    served.heard += served.stream.read(
        std::as_writable_bytes(std::span(&served.hello, 1)).subspan(served.heard));
    if (served.heard < sizeof(Hello)) return false;
    served.since = served.last = monotonic_now();
    if (served.hello.mode == Mode::kStream) served.before = net_.effort();
    served.to_receive = served.hello.size.value();
    return true;
  }

  Outcome serve_stream(Served& served) {
    constexpr int kAtOnce = 8;
    for (int i = 0; i < kAtOnce; ++i) {
      const std::size_t size = net_.take(served.stream, SIZE_MAX);
      served.bytes += size;
      if (size > 0) continue;
      if (!served.stream.at_end()) return Outcome::kIdle;
      report(served);
      return Outcome::kOver;
    }
    return Outcome::kBusy;
  }

  void report(Served& served) {
    totals_.bytes += served.bytes;
    const blast::Effort spent = net_.effort() - served.before;
    const Report report{.bytes = wire::be64(served.bytes),
                        .elapsed_ns = wire::be64(
                            static_cast<std::uint64_t>((monotonic_now() - served.since).count())),
                        .cpu_ns = wire::be64(spent.cpu_ns),
                        .passed = wire::be64(spent.passed),
                        .copied = wire::be64(spent.copied),
                        .dropped = wire::be64(spent.dropped)};
    served.stream.write(std::as_bytes(std::span(&report, 1)));
  }

  // Answers what is complete. Of answers that do not fit the send buffer, the rest waits.
  Outcome serve_requests(Served& served) {
    for (;;) {
      while (served.to_send > 0) {
        const std::size_t sent =
            served.stream.write(std::span(answer_).first(std::min(served.to_send, answer_.size())));
        if (sent == 0) return Outcome::kIdle;
        served.to_send -= sent;
      }
      const std::size_t size = net_.take(served.stream, served.to_receive);
      if (size == 0) return served.stream.at_end() ? Outcome::kOver : Outcome::kIdle;
      served.to_receive -= size;
      if (served.to_receive > 0) continue;
      ++totals_.requests;
      served.to_send = served.to_receive = served.hello.size.value();
    }
  }

  Net& net_;
  typename Net::Listener listener_;
  bool poll_;
  const std::atomic<bool>& stop_;
  std::vector<std::unique_ptr<Served>> all_;
  std::vector<std::size_t> free_;
  std::vector<Served*> busy_;
  std::vector<Served*> spare_;
  std::array<std::byte, 65536> answer_{};
  ServerTotals totals_;
};

}  // namespace tideline::app::flow
