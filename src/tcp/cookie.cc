// SPDX-License-Identifier: Apache-2.0
#include "tcp/cookie.h"

#include <algorithm>
#include <array>

#include "tcp/receiver.h"
#include "tcp/sequence_numbers.h"
#include "tcp/transmit.h"

namespace tideline::tcp {
namespace {

constexpr std::array<std::uint16_t, 8> kSizes{536, 1220, 1300, 1400, 1440, 1460, 4312, 8960};
constexpr std::uint32_t kHashMask = (1U << 24) - 1;
constexpr std::uint32_t kStampBits = 6;  // scale 4, SACK 1, ECN 1
constexpr std::uint32_t kNoScale = 15;

std::uint32_t minute(Instant now) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::minutes>(now.time_since_epoch()).count());
}

std::uint32_t cookie(const Core& core, const Tuple& tuple, Seq irs, std::uint32_t time,
                     std::uint32_t size) {
  std::array<std::uint64_t, 6> words{};
  std::ranges::copy(tuple.words(), words.begin());
  words[5] = std::uint64_t{irs.value()} << 32 | (time << 3 | size);
  const auto hash = static_cast<std::uint32_t>(siphash<2, 4>(cookie_key(core), words));
  return (time & 31) << 27 | size << 24 | (hash & kHashMask);
}

std::uint32_t stamp_clock(const Core& core, const Tuple& tuple, Instant now) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch());
  return static_cast<std::uint32_t>(ms.count()) + timestamp_offset(core, tuple);
}

}  // namespace

void send_cookie(Core& core, const Listener& listener, const Segment& syn, Instant now) {
  const wire::TcpOptions& asked = syn.options;
  const bool ipv4 = syn.tuple.is_ipv4();
  const std::uint32_t headers = (ipv4 ? 20 : 40) + sizeof(wire::TcpHeader);
  std::uint32_t mss = core.network.mtu_to(syn.tuple.remote.address, now) - headers;
  if (const auto most = listener.options.stream.max_segment; most != 0) {
    mss = std::min<std::uint32_t>(mss, most);
  }
  const std::uint16_t theirs = asked.mss.value_or(ipv4 ? 536 : 1220);
  std::uint32_t size = 0;
  while (size + 1 < kSizes.size() && kSizes[size + 1] <= theirs) ++size;
  wire::Tcp header{.sequence_number = cookie(core, syn.tuple, syn.seq, minute(now), size),
                   .acknowledgment_number = (syn.seq + 1).value(),
                   .flags = wire::kTcpSyn | wire::kTcpAck,
                   .window = static_cast<std::uint16_t>(
                       std::min<std::uint32_t>(core.config.initial_window, 65535))};
  header.options.mss = static_cast<std::uint16_t>(mss);
  if (asked.timestamps && core.config.timestamps) {
    const bool ecn = syn.has(wire::kTcpEce) && syn.has(wire::kTcpCwr);
    const bool sack = asked.sack_permitted && core.config.sack;
    const bool scales = asked.window_scale && core.config.window_scaling;
    const std::uint32_t scale = scales ? *asked.window_scale : kNoScale;
    const std::uint32_t bits = scale << 2 | (sack ? 2U : 0U) | (ecn ? 1U : 0U);
    const std::uint32_t clock = stamp_clock(core, syn.tuple, now);
    header.options.timestamps = {.value = (clock >> kStampBits << kStampBits) | bits,
                                 .echo = asked.timestamps->value};
    header.options.sack_permitted = sack;
    if (scales) header.options.window_scale = window_scale(core.config);
    if (ecn) header.flags |= wire::kTcpEce;
  }
  ++core.counters.cookies_out;
  send_header(core, syn.tuple, header, now);
}

std::optional<CookieOptions> check_cookie(const Core& core, const Segment& ack, Instant now) {
  const std::uint32_t value = (ack.ack - 1).value();
  const std::uint32_t size = value >> 24 & 7;
  const Seq irs = ack.seq - 1;
  bool good = false;
  for (std::uint32_t age = 0; age <= 2 && !good; ++age) {
    good = cookie(core, ack.tuple, irs, minute(now) - age, size) == value;
  }
  if (!good) return std::nullopt;
  CookieOptions options{.mss = kSizes[size]};
  if (ack.options.timestamps) {
    const std::uint32_t bits = ack.options.timestamps->echo;
    const std::uint32_t scale = bits >> 2 & 15;
    options.timestamps = true;
    options.wscale_on = scale != kNoScale;
    options.wscale = static_cast<std::uint8_t>(options.wscale_on ? scale : 0);
    options.sack = (bits & 2) != 0;
    options.ecn = (bits & 1) != 0;
  }
  return options;
}

}  // namespace tideline::tcp
