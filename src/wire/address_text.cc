// SPDX-License-Identifier: Apache-2.0
// The text forms of addresses and prefixes. Control path only. Thread: any.
#include "wire/ip_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "wire/mac_address.h"

namespace tideline::wire {
namespace {

std::unexpected<Error> not_an(std::string_view kind, std::string_view text,
                              std::string_view example) {
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("'{}' is not an {}", text, kind),
               .remedy = fmt::format("write it like {}", example)});
}

// inet_pton of a string that need not end in a zero byte. False if it is no address.
bool parse_address(int family, std::string_view text, void* address) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (text.size() >= buffer.size() || text.find('\0') != std::string_view::npos) return false;
  std::memcpy(buffer.data(), text.data(), text.size());
  return ::inet_pton(family, buffer.data(), address) == 1;
}

// A run of 16-bit groups that are zero.
struct ZeroRun {
  std::size_t first = 0;
  std::size_t count = 0;
};

ZeroRun longest_zero_run(const std::array<std::uint16_t, 8>& groups) {
  ZeroRun best;
  ZeroRun current;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (groups[i] != 0) {
      current.count = 0;
      continue;
    }
    if (current.count == 0) current.first = i;
    if (++current.count > best.count) best = current;
  }
  return best;
}

}  // namespace

Result<Ipv4Address> Ipv4Address::from_text(std::string_view text) {
  Ipv4Address address;
  if (!parse_address(AF_INET, text, address.bytes_.data())) {
    return not_an("IPv4 address", text, "192.0.2.1");
  }
  return address;
}

std::string Ipv4Address::to_text() const {
  return fmt::format("{}.{}.{}.{}", bytes_[0], bytes_[1], bytes_[2], bytes_[3]);
}

Result<Ipv6Address> Ipv6Address::from_text(std::string_view text) {
  Ipv6Address address;
  if (!parse_address(AF_INET6, text, address.bytes_.data())) {
    return not_an("IPv6 address", text, "2001:db8::1");
  }
  return address;
}

// Not inet_ntop: it writes ::1:2 as the long deprecated ::0.1.0.2.
std::string Ipv6Address::to_text() const {
  if (is_mapped()) return "::ffff:" + mapped_ipv4().to_text();
  std::array<std::uint16_t, 8> groups{};
  for (std::size_t i = 0; i < groups.size(); ++i) {
    groups[i] = static_cast<std::uint16_t>(bytes_[2 * i] << 8 | bytes_[2 * i + 1]);
  }
  const ZeroRun run = longest_zero_run(groups);
  std::string text;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    // RFC 5952 §4.2.2: a single zero group is not shortened.
    if (run.count >= 2 && i == run.first) {
      text += "::";
      i += run.count - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    text += fmt::format("{:x}", groups[i]);
  }
  return text;
}

template <typename Address>
Result<Prefix<Address>> Prefix<Address>::from_text(std::string_view text) {
  constexpr std::string_view kExample = Address::kBits == 32 ? "192.0.2.0/24" : "2001:db8::/32";
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos)
    return not_an("address with a prefix length", text, kExample);
  const std::string_view digits = text.substr(slash + 1);
  Prefix prefix;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), prefix.length);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  if (!whole || prefix.length > Address::kBits) {
    return not_an("address with a prefix length", text, kExample);
  }
  auto address = Address::from_text(text.substr(0, slash));
  if (!address) return std::unexpected(std::move(address.error()));
  prefix.address = *address;
  return prefix;
}

template <typename Address>
std::string Prefix<Address>::to_text() const {
  return fmt::format("{}/{}", address.to_text(), length);
}

template struct Prefix<Ipv4Address>;
template struct Prefix<Ipv6Address>;

Result<MacAddress> MacAddress::from_text(std::string_view text) {
  constexpr std::string_view kExample = "02:00:00:00:00:01";
  MacAddress mac;
  if (text.size() != kExample.size()) return not_an("Ethernet address", text, kExample);
  for (std::size_t i = 0; i < mac.bytes_.size(); ++i) {
    const char* first = text.data() + 3 * i;
    const auto [end, error] = std::from_chars(first, first + 2, mac.bytes_[i], 16);
    const bool separated = i + 1 == mac.bytes_.size() || first[2] == ':';
    if (error != std::errc() || end != first + 2 || !separated) {
      return not_an("Ethernet address", text, kExample);
    }
  }
  return mac;
}

std::string MacAddress::to_text() const {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes_[0], bytes_[1], bytes_[2],
                     bytes_[3], bytes_[4], bytes_[5]);
}

}  // namespace tideline::wire
