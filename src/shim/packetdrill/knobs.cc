// SPDX-License-Identifier: Apache-2.0
#include "shim/packetdrill/knobs.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include "wire/ip_address.h"

namespace tideline::shim::packetdrill {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n\"'";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

struct Setting {
  std::string_view name;
  std::string_view value;
};

Setting split(std::string_view text) {
  const std::size_t mark = text.find('=');
  if (mark == std::string_view::npos) return {.name = trimmed(text), .value = {}};
  return {.name = trimmed(text.substr(0, mark)), .value = trimmed(text.substr(mark + 1))};
}

std::optional<std::uint64_t> number_of(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal) text.remove_prefix(2);
  std::uint64_t number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, hexadecimal ? 16 : 10);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The last of "4096 540000 15728640".
std::string_view last_word(std::string_view text) {
  const std::size_t mark = text.find_last_of(" \t");
  return mark == std::string_view::npos ? text : text.substr(mark + 1);
}

std::unexpected<Error> wrong(std::string_view name, std::string_view value) {
  return fail({.kind = ErrorKind::kUsage,
               .what = "--so_flags: " + std::string(name) + "=" + std::string(value) +
                       " makes no sense",
               .remedy = "see the README of shim/packetdrill"});
}

}  // namespace

Result<Knobs> Knobs::parse(std::string_view flags) {
  Knobs knobs;
  while (!flags.empty()) {
    const std::size_t comma = std::min(flags.find(','), flags.size());
    const Setting setting = split(flags.substr(0, comma));
    flags.remove_prefix(std::min(comma + 1, flags.size()));
    if (setting.name.empty()) continue;
    const Result<bool> known = knobs.take(setting.name, setting.value);
    if (!known) return fail(known.error());
    if (!*known) return wrong(setting.name, setting.value);
  }
  if (knobs.host.ipv4.empty() && knobs.host.ipv6.empty()) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = "--so_flags: the host has no address",
                 .remedy = "write local=ADDRESS/LENGTH, as in --local_ip and --netmask_ip"});
  }
  return knobs;
}

void Knobs::take_lines(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const Setting setting = split(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    (void)take_sysctl(setting.name, setting.value);
  }
}

Result<bool> Knobs::take(std::string_view name, std::string_view value) {
  if (name == "local") {
    if (auto prefix = wire::Ipv4Prefix::from_text(value)) {
      host.ipv4.push_back(*prefix);
      return true;
    }
    auto prefix = wire::Ipv6Prefix::from_text(value);
    if (!prefix) return fail(std::move(prefix.error()));
    host.ipv6.push_back(*prefix);
    return true;
  }
  if (name == "realtime") {
    real_time = true;
    return true;
  }
  if (name == "knobs") {
    file = value;
    return true;
  }
  if (name == "mtu" || name == "patience") {
    const auto number = number_of(value);
    if (!number || *number > UINT16_MAX) return wrong(name, value);
    if (name == "patience") {
      patience = std::chrono::seconds(*number);
    } else {
      host.mtu = static_cast<std::uint16_t>(std::max<std::uint64_t>(*number, 576));
    }
    return true;
  }
  return take_sysctl(name, value);
}

Result<bool> Knobs::take_sysctl(std::string_view name, std::string_view value) {
  for (const std::string_view prefix : {"net.ipv4.", "net/ipv4/"}) {
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  }
  if (name == "tcp_congestion_control") {
    if (value != "cubic" && value != "reno") return wrong(name, value);
    reno = value == "reno";
    return true;
  }
  const auto number = number_of(last_word(value));
  if (!number) return wrong(name, value);
  tcp::Config& tcp = host.tcp;
  if (name == "wire_is_full") {
    wire_is_full = *number != 0;
  } else if (name == "tcp_rmem") {
    host.max_receive_buffer = static_cast<std::uint32_t>(std::min<std::uint64_t>(*number, 1 << 30));
  } else if (name == "tcp_ecn") {
    tcp.ecn = *number == 1;
  } else if (name == "tcp_min_tso_segs") {
    tcp.min_frame_segments = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(*number, 1, 64));
  } else if (name == "tcp_syn_retries") {
    tcp.syn_retries = static_cast<unsigned>(std::min<std::uint64_t>(*number, 127));
  } else if (name == "tcp_synack_retries") {
    tcp.syn_ack_retries = static_cast<unsigned>(std::min<std::uint64_t>(*number, 127));
  } else if (name == "tcp_retries2") {
    tcp.retries = static_cast<unsigned>(std::min<std::uint64_t>(*number, 127));
  } else if (name == "tcp_orphan_retries") {
    tcp.orphan_retries = static_cast<unsigned>(std::min<std::uint64_t>(*number, 127));
  } else if (name == "tcp_rto_min_us") {
    tcp.min_rto = std::chrono::microseconds(std::min<std::uint64_t>(*number, 1'000'000));
  } else if (name == "tcp_fin_timeout") {
    tcp.fin_wait2 = std::chrono::seconds(std::min<std::uint64_t>(*number, 3600));
  } else {
    return false;
  }
  return true;
}

}  // namespace tideline::shim::packetdrill
