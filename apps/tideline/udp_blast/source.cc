// SPDX-License-Identifier: Apache-2.0
#include "udp_blast/source.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace tideline::app::blast {
namespace {

using namespace std::chrono_literals;

constexpr Duration kBeginAgain = 100ms;
constexpr Duration kEndAgain = 50ms;
constexpr Duration kPatience = 3s;
// Time that could not be used is not made up for, beyond this.
constexpr Duration kMostBehind = 10ms;

}  // namespace

void Source::run(Instant now) {
  if (now < due_ || is_over()) return;
  if (state_ == State::kBeginning) {
    ask(Kind::kBegin, plan_.size, kBeginAgain, now);
  } else if (state_ == State::kSending) {
    send(now);
  } else {
    ask(Kind::kEnd, next_, kEndAgain, now);
  }
}

void Source::ask(Kind kind, std::uint64_t sequence, Duration again, Instant now) {
  if (asked_++ * again >= kPatience) {
    state_ = State::kUnanswered;
    return;
  }
  const Header header = make_header(kind, plan_.run, sequence, now.time_since_epoch().count());
  outlet_.send_message(std::as_bytes(std::span(&header, 1)), now);
  due_ = now + again;
}

// How many datagrams the pace allows by now.
std::uint64_t Source::owed(Instant now) {
  const std::uint64_t left = plan_.count == 0 ? UINT64_MAX : plan_.count - next_;
  if (plan_.rate_bits == 0) return left;
  const double interval_ns =
      static_cast<double>(plan_.size) * 8e9 / static_cast<double>(plan_.rate_bits);
  const auto allowed_at = [&](Instant time) {
    const double since = static_cast<double>((time - paced_from_).count());
    return static_cast<std::uint64_t>(since / interval_ns) + 1;
  };
  if (allowed_at(now) > paced_ + allowed_at(paced_from_ + kMostBehind)) {
    paced_from_ = now;
    paced_ = 0;
  }
  const std::uint64_t allowed = allowed_at(now);
  const double next_at = std::ceil(static_cast<double>(std::max(allowed, paced_)) * interval_ns);
  due_ = paced_from_ + Duration(static_cast<std::int64_t>(next_at));
  return std::min(left, allowed - std::min(allowed, paced_));
}

void Source::send(Instant now) {
  due_ = now;
  const bool all = plan_.count > 0 && next_ >= plan_.count;
  if (all || now - began_ >= plan_.duration) {
    state_ = State::kEnding;
    effort_ = outlet_.effort() - effort_;
    return;
  }
  const std::uint64_t wanted = owed(now);
  if (wanted == 0) return;
  const std::size_t room = outlet_.room();
  if (room == 0) {
    ++blocked_;
    due_ = now;
    return;
  }
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, room));
  const std::size_t sent = outlet_.send_data(next_, count, now);
  next_ += sent;
  paced_ += sent;
  ended_ = now;
  if (sent < wanted) due_ = now;  // more is owed already
}

void Source::receive(wire::Bytes message, Instant now) {
  const auto kind = kind_of(message);
  if (!kind || wire::view_as<Header>(message).run != wire::be32(plan_.run)) return;
  if (*kind == Kind::kReady && state_ == State::kBeginning) {
    state_ = State::kSending;
    asked_ = 0;
    began_ = ended_ = paced_from_ = due_ = now;
    effort_ = outlet_.effort();
  } else if (*kind == Kind::kReport && state_ == State::kEnding) {
    report_ = parse_report(message);
    if (report_) state_ = State::kDone;
  }
}

void Source::refused() {
  if (!is_over()) state_ = State::kRefused;
}

Duration Source::elapsed(Instant now) const {
  if (state_ == State::kBeginning) return {};
  return (state_ == State::kSending ? now : ended_) - began_;
}

}  // namespace tideline::app::blast
