// SPDX-License-Identifier: Apache-2.0
#include "progress_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>

#include "base/clock.h"

namespace tideline::app {
namespace {

constexpr Duration kEveryBar = std::chrono::milliseconds(200);
constexpr Duration kEveryLine = std::chrono::seconds(5);

double share_of(std::uint64_t have, std::uint64_t size) {
  return static_cast<double>(have) / static_cast<double>(size);
}

}  // namespace

std::string amount_text(double bytes) {
  constexpr std::array<const char*, 4> kUnits{"B", "kB", "MB", "GB"};
  std::size_t unit = 0;
  while (bytes >= 1000 && unit + 1 < kUnits.size()) {
    bytes /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 1, kUnits[unit]);
}

ProgressBar::ProgressBar(bool lines)
    : terminal_(::isatty(STDERR_FILENO) == 1), lines_(lines), last_(monotonic_now()) {}

void ProgressBar::show(std::uint64_t have, std::optional<std::uint64_t> size) {
  const Instant now = monotonic_now();
  if ((!terminal_ && !lines_) || now - last_ < (terminal_ ? kEveryBar : kEveryLine)) return;
  const double seconds = static_cast<double>((now - last_).count()) * 1e-9;
  const std::uint64_t gained = have > before_ ? have - before_ : 0;
  const double rate = static_cast<double>(gained) / seconds;
  last_ = now;
  before_ = have;
  if (size == 0) size.reset();
  if (terminal_) {
    draw(have, size, rate);
    shown_ = true;
  } else {
    say(have, size, rate);
  }
}

void ProgressBar::draw(std::uint64_t have, std::optional<std::uint64_t> size, double rate) const {
  constexpr std::size_t kWidth = 30;
  const std::string speed = amount_text(rate) + "/s";
  if (!size) {
    fmt::print(stderr, "\r\033[K{} {}", amount_text(static_cast<double>(have)), speed);
    return;
  }
  const double share = share_of(have, *size);
  const auto full = static_cast<std::size_t>(share * kWidth);
  const double rest = static_cast<double>(*size - have);
  fmt::print(stderr, "\r\033[K[{}{}] {:3.0f} % of {} {} {:.0f} s left", std::string(full, '='),
             std::string(kWidth - full, ' '), share * 100, amount_text(static_cast<double>(*size)),
             speed, rate > 0 ? rest / rate : 0);
}

void ProgressBar::say(std::uint64_t have, std::optional<std::uint64_t> size, double rate) {
  fmt::print(stderr, "{}{}, {}/s\n", amount_text(static_cast<double>(have)),
             size ? fmt::format(", {:.0f} % of {}", share_of(have, *size) * 100,
                                amount_text(static_cast<double>(*size)))
                  : std::string(),
             amount_text(rate));
}

void ProgressBar::clear() const {
  if (shown_) fmt::print(stderr, "\r\033[K");
}

}  // namespace tideline::app
