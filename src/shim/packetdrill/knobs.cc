// SPDX-License-Identifier: Apache-2.0
#include "shim/packetdrill/knobs.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/fd.h"
#include "shim/packetdrill/kernel.h"
#include "wire/ip_address.h"

namespace tideline::shim::packetdrill {
namespace {

struct Setting {
  std::string_view name;
  std::string_view value;
};

Setting split(std::string_view text) {
  const std::size_t mark = text.find('=');
  if (mark == std::string_view::npos) return {.name = text, .value = {}};
  return {.name = text.substr(0, mark), .value = text.substr(mark + 1)};
}

std::optional<std::uint64_t> number_of(std::string_view text, int base = 10) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The last of "4096 540000 15728640".
std::string_view last_word(std::string_view text) {
  const std::size_t mark = text.find_last_of(" \t");
  return mark == std::string_view::npos ? text : text.substr(mark + 1);
}

std::unexpected<Error> wrong(std::string_view name, std::string_view value) {
  return fail(
      {.kind = ErrorKind::kUsage,
       .what = "--so_flags: " + std::string(name) + "=" + std::string(value) + " makes no sense",
       .remedy = "see the README of shim/packetdrill"});
}

// "reno cubic bbr".
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

// As Linux writes it: four numbers of 32 bits.
std::optional<HashKey> key_of(std::string_view text) {
  std::array<std::uint64_t, 4> parts{};
  for (std::uint64_t& part : parts) {
    const std::size_t dash = std::min(text.find('-'), text.size());
    const auto number = number_of(text.substr(0, dash), 16);
    if (!number || *number > UINT32_MAX) return std::nullopt;
    part = *number;
    text.remove_prefix(std::min(dash + 1, text.size()));
  }
  return HashKey{.low = parts[1] << 32 | parts[0], .high = parts[3] << 32 | parts[2]};
}

// A sysctl that is a number, and what it sets.
struct Number {
  std::string_view name;
  std::uint64_t most;
  void (*set)(engine::HostOptions& host, std::uint64_t value);
};

constexpr Number kNumbers[] = {
    {"tcp_rmem", 1 << 30,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.max_receive_buffer = static_cast<std::uint32_t>(value);
     }},
    {"tcp_ecn", 5,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.tcp.ecn = value == 1 || value == 4;
       host.tcp.accurate_ecn = value == 3;
       host.tcp.grants_ecn = value != 0;
     }},
    {"tcp_timestamps", 2,
     [](engine::HostOptions& host, std::uint64_t value) { host.tcp.timestamps = value != 0; }},
    {"tcp_sack", 1,
     [](engine::HostOptions& host, std::uint64_t value) { host.tcp.sack = value != 0; }},
    {"tcp_window_scaling", 1,
     [](engine::HostOptions& host, std::uint64_t value) { host.tcp.window_scaling = value != 0; }},
    // Bits of Linux: servers do it, and all of them unasked.
    {"tcp_fastopen", UINT32_MAX,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.tcp.fast_open = (value & 0x402) == 0x402;
     }},
    {"tcp_mtu_probing", 2,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.tcp.mtu_probing = static_cast<tcp::MtuProbing>(value);
     }},
    {"tcp_notsent_lowat", UINT32_MAX,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.tcp.notsent_lowat = static_cast<std::uint32_t>(value);
     }},
    {"tcp_min_tso_segs", 64,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.tcp.min_frame_segments = static_cast<std::uint32_t>(value);
     }},
    {"tcp_reordering", 127,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.tcp.reordering = static_cast<std::uint8_t>(value);
     }},
    {"tcp_max_reordering", UINT32_MAX,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.tcp.max_reordering = static_cast<std::uint32_t>(value);
     }},
    // Of Linux's values those from 3 on send probes.
    {"tcp_early_retrans", 4,
     [](engine::HostOptions& host, std::uint64_t value) { host.tcp.tail_probes = value >= 3; }},
    {"tcp_pacing_ss_ratio", 1000,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.tcp.pacing_in_slow_start = static_cast<std::uint32_t>(value);
     }},
    {"tcp_pacing_ca_ratio", 1000,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.tcp.pacing_after_slow_start = static_cast<std::uint32_t>(value);
     }},
    {"tcp_base_mss", 1460,
     [](engine::HostOptions& host, std::uint64_t value) {
       constexpr std::uint64_t kHeaders = 40;
       host.tcp.base_mtu = static_cast<std::uint16_t>(value + kHeaders);
     }},
    {"tcp_orphan_retries", 127,
     [](engine::HostOptions& host, std::uint64_t value) {
       constexpr unsigned kUsual = 8;  // what Linux takes 0 for
       host.tcp.orphan_retries = value == 0 ? kUsual : static_cast<unsigned>(value);
     }},
    {"tcp_slow_start_after_idle", 1,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.tcp.restart_after_idle = value != 0;
     }},
    {"tcp_syn_retries", 127,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.tcp.syn_retries = static_cast<unsigned>(value);
     }},
    {"tcp_synack_retries", 127,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.tcp.syn_ack_retries = static_cast<unsigned>(value);
     }},
    {"tcp_retries2", 127,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.tcp.retries = static_cast<unsigned>(value);
     }},
    {"tcp_fin_timeout", 3600,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.tcp.fin_wait2 = std::chrono::seconds(value);
     }},
    {"tcp_rto_min_us", 1'000'000,
     [](engine::HostOptions& host, std::uint64_t value) {
       host.tcp.min_rto = std::chrono::microseconds(value);
     }},
};

std::string text_of_file(const std::string& name) {
  const UniqueFd file(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 256> bytes;
  // Past the shim, whose calls sleep.
  const ssize_t size = kernel().read(file.get(), bytes.data(), bytes.size());
  std::string text(bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

Result<Knobs> Knobs::parse(std::string_view flags) {
  Knobs knobs;
  while (!flags.empty()) {
    const std::size_t comma = std::min(flags.find(','), flags.size());
    const Setting setting = split(flags.substr(0, comma));
    flags.remove_prefix(std::min(comma + 1, flags.size()));
    if (setting.name.empty()) continue;
    if (Status taken = knobs.take(setting.name, setting.value); !taken) {
      return fail(std::move(taken.error()));
    }
  }
  if (knobs.initial_receive_segments > 0) {
    constexpr std::uint32_t kHeaders = 40;
    constexpr std::uint32_t kMost = 65535;  // of a SYN's field
    knobs.host.tcp.initial_window =
        std::min(kMost, knobs.initial_receive_segments * (knobs.host.mtu - kHeaders));
  }
  if (knobs.host.ipv4.empty() && knobs.host.ipv6.empty()) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = "--so_flags: the host has no address",
                 .remedy = "write local=ADDRESS/LENGTH, as in --local_ip and --netmask_ip"});
  }
  return knobs;
}

void Knobs::take_sysctls() {
  const std::string directory = "/proc/sys/net/ipv4/";
  const auto take_one = [&](std::string_view name) {
    const std::string value = text_of_file(directory + std::string(name));
    if (!value.empty()) (void)take_sysctl(name, value);
  };
  for (const Number& number : kNumbers) take_one(number.name);
  take_one("tcp_fastopen_key");
  // Not tcp_congestion_control: it is the machine's choice that a namespace begins with.
}

int Knobs::judge_algorithm(std::string_view name) const {
  const auto lacks = [name](const std::vector<std::string>& names) {
    return !names.empty() && std::ranges::find(names, name) == names.end();
  };
  if (lacks(available)) return ENOENT;
  return lacks(allowed) ? EPERM : 0;
}

Status Knobs::take(std::string_view name, std::string_view value) {
  constexpr std::uint64_t kLeastMtu = 576;
  if (name == "local") {
    if (auto prefix = wire::Ipv4Prefix::from_text(value)) {
      host.ipv4.push_back(*prefix);
      return {};
    }
    auto prefix = wire::Ipv6Prefix::from_text(value);
    if (!prefix) return fail(std::move(prefix.error()));
    host.ipv6.push_back(*prefix);
  } else if (name == "realtime") {
    real_time = true;
  } else if (name == "pacing") {
    pacing = true;
  } else if (name == "sysctls") {
    sysctls = true;
  } else if (name == "mtu" || name == "patience" || name == "initcwnd" || name == "initrwnd") {
    const auto number = number_of(value);
    if (!number || *number > UINT16_MAX) return wrong(name, value);
    if (name == "patience") {
      patience = std::chrono::seconds(*number);
    } else if (name == "initcwnd") {
      host.tcp.initial_segments = static_cast<std::uint32_t>(*number);
    } else if (name == "initrwnd") {
      initial_receive_segments = static_cast<std::uint32_t>(*number);
    } else {
      host.mtu = static_cast<std::uint16_t>(std::max(*number, kLeastMtu));
    }
  } else {
    return take_sysctl(name, value);
  }
  return {};
}

Status Knobs::take_sysctl(std::string_view name, std::string_view value) {
  if (name == "tcp_congestion_control") {
    constexpr std::array<std::string_view, 4> kKnown{"cubic", "reno", "bbr", "dctcp"};
    if (std::ranges::find(kKnown, value) == kKnown.end()) return wrong(name, value);
    congestion = value;
    return {};
  }
  if (name == "tcp_available_congestion_control" || name == "tcp_allowed_congestion_control") {
    (name == "tcp_available_congestion_control" ? available : allowed) = words_of(value);
    return {};
  }
  if (name == "tcp_fastopen_key") {
    const auto key = key_of(value);
    if (!key) return wrong(name, value);
    host.tcp.fast_open_key = *key;
    return {};
  }
  const auto* number = std::ranges::find(kNumbers, name, &Number::name);
  const auto parsed = number_of(last_word(value));
  if (number == std::end(kNumbers) || !parsed || *parsed > number->most) return wrong(name, value);
  number->set(host, *parsed);
  return {};
}

}  // namespace tideline::shim::packetdrill
