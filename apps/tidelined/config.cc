// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <utility>

#include "port/impairment_spec.h"
#include "toml_reader.h"
#include "wire/ip_address.h"

namespace tideline::daemon {
namespace {

constexpr std::size_t kLongestFile = std::size_t{1} << 20;
constexpr std::size_t kLongestName = 64;
constexpr std::size_t kMostHosts = 64;
constexpr std::array kLogLevels = {"debug", "info", "warning", "error"};
constexpr std::array kWires = {"shm:", "tap:", "packet:", "xdp:", "dgram:", "pcap:"};

std::string name_in(TomlReader& reader, std::string otherwise, const char* whose) {
  std::string name = reader.text("name").value_or(std::move(otherwise));
  if (const Status good = check_name(name, whose); !good) {
    throw Complaint(reader.at("name"), good.error().what, good.error().remedy);
  }
  return name;
}

// Whole paths only: a daemon's working directory is nobody's business.
std::string path_in(TomlReader& reader, std::string_view key) {
  std::string path = reader.text(key).value_or("");
  if (!path.empty() && !path.starts_with('/')) {
    throw Complaint(reader.at(key), fmt::format("'{}' is no whole path", path),
                    "begin it with '/'");
  }
  return path;
}

template <typename Address>
std::vector<std::string> prefixes_in(TomlReader& reader, std::string_view key) {
  std::vector<std::string> all;
  for (Located& each : reader.texts(key)) {
    checked(wire::Prefix<Address>::from_text(each.text), each.at);
    all.push_back(std::move(each.text));
  }
  return all;
}

std::vector<std::string> gateways_in(TomlReader& reader) {
  std::vector<std::string> all;
  for (Located& each : reader.texts("gateway")) {
    if (each.text.find(':') == std::string::npos) {
      checked(wire::Ipv4Address::from_text(each.text), each.at);
    } else {
      checked(wire::Ipv6Address::from_text(each.text), each.at);
    }
    all.push_back(std::move(each.text));
  }
  return all;
}

std::size_t count_in(TomlReader& reader, std::string_view key, std::int64_t most,
                     std::size_t otherwise) {
  return static_cast<std::size_t>(
      reader.integer(key, 1, most).value_or(static_cast<std::int64_t>(otherwise)));
}

HostConfig read_host(const toml::table& table) {
  TomlReader reader(table, "[[host]]");
  HostConfig host;
  host.name = name_in(reader, host.name, "a host");
  engine::AttachmentOptions& attachment = host.attachment;
  attachment.wire = reader.text("wire").value_or(attachment.wire);
  const bool known = std::ranges::any_of(
      kWires, [&](const char* kind) { return attachment.wire.starts_with(kind); });
  if (!known) {
    throw Complaint(reader.at("wire"), fmt::format("there is no wire like '{}'", attachment.wire),
                    "see `tideline ports` for the kinds of wires");
  }
  attachment.ip4 = prefixes_in<wire::Ipv4Address>(reader, "ip");
  attachment.ip6 = prefixes_in<wire::Ipv6Address>(reader, "ip6");
  if (attachment.ip4.empty() && attachment.ip6.empty() && !attachment.wire.starts_with("shm:")) {
    throw Complaint(reader.at(), fmt::format("the host '{}' has no address", host.name),
                    "give it one: ip = \"192.0.2.2/24\" or ip6 = \"2001:db8::2/64\"");
  }
  attachment.gateways = gateways_in(reader);
  attachment.mtu = static_cast<std::size_t>(reader.integer("mtu", 1280, 65535).value_or(0));
  attachment.local_bypass = reader.truth("local_bypass").value_or(true);
  attachment.mtu_probing = reader.text("mtu_probing").value_or(attachment.mtu_probing);
  if (const auto good = engine::parse_mtu_probing(attachment.mtu_probing); !good) {
    throw Complaint(reader.at("mtu_probing"), good.error().what, good.error().remedy);
  }
  attachment.impair = reader.text("impair").value_or("");
  if (!attachment.impair.empty()) {
    checked(port::ImpairmentSpec::parse(attachment.impair), reader.at("impair"));
  }
  if (const auto seed = reader.integer("seed", 0, INT64_MAX)) {
    attachment.seed = static_cast<std::uint64_t>(*seed);
  }
  attachment.capture = path_in(reader, "capture");
  host.connections =
      static_cast<std::size_t>(reader.integer("connections", 16, 4 << 20)
                                   .value_or(static_cast<std::int64_t>(host.connections)));
  host.socket = path_in(reader, "socket");
  if (host.socket.size() >= sizeof(sockaddr_un::sun_path)) {
    throw Complaint(reader.at("socket"), "the path of a socket has at most 107 bytes",
                    "choose a shorter one");
  }
  reader.finish();
  return host;
}

// "80" or "1024-65535".
void read_ports(TomlReader& reader, engine::ClientPolicy& rights) {
  const std::optional<std::string> text = reader.text("ports");
  if (!text) return;
  const char* const end = text->data() + text->size();
  auto parsed = std::from_chars(text->data(), end, rights.first_port);
  rights.last_port = rights.first_port;
  if (parsed.ec == std::errc() && parsed.ptr != end && *parsed.ptr == '-') {
    parsed = std::from_chars(parsed.ptr + 1, end, rights.last_port);
  }
  if (parsed.ec != std::errc() || parsed.ptr != end || rights.first_port == 0 ||
      rights.last_port < rights.first_port) {
    throw Complaint(reader.at("ports"), fmt::format("'{}' are no ports", *text),
                    "write them like \"1024-65535\" or \"80\"");
  }
}

// An address, or a network of them.
wire::Ipv6Prefix parse_network(const Located& each) {
  const bool whole = each.text.find('/') == std::string::npos;
  if (each.text.find(':') != std::string::npos) {
    return checked(wire::Ipv6Prefix::from_text(whole ? each.text + "/128" : each.text), each.at);
  }
  const auto ipv4 =
      checked(wire::Ipv4Prefix::from_text(whole ? each.text + "/32" : each.text), each.at);
  return {.address = wire::Ipv6Address::mapped(ipv4.address),
          .length = static_cast<std::uint8_t>(ipv4.length + 96)};
}

// What `reader` has of rights; the rest is as in `otherwise`.
engine::ClientPolicy read_rights(TomlReader& reader, engine::ClientPolicy otherwise) {
  engine::ClientPolicy rights = std::move(otherwise);
  rights.admitted = reader.truth("admit").value_or(rights.admitted);
  if (const auto networks = reader.texts("addresses"); !networks.empty()) {
    rights.addresses.clear();
    for (const Located& each : networks) rights.addresses.push_back(parse_network(each));
  }
  read_ports(reader, rights);
  rights.most_sockets = count_in(reader, "sockets", 65535, rights.most_sockets);
  rights.most_memory = reader.bytes("memory").value_or(rights.most_memory);
  rights.most_channels = count_in(reader, "processes", 65535, rights.most_channels);
  rights.most_descriptors = count_in(reader, "descriptors", 1 << 20, rights.most_descriptors);
  rights.most_queue_pairs = count_in(reader, "queue_pairs", 65535, rights.most_queue_pairs);
  rights.most_registered = reader.bytes("registered").value_or(rights.most_registered);
  return rights;
}

// By name, or by number.
template <typename Find>
auto account_in(TomlReader& reader, std::string_view key, const Find& find) {
  const toml::node* node = reader.node(key);
  using Account = typename decltype(find(std::string()))::value_type;
  if (node == nullptr) return std::optional<Account>();
  if (node->is_integer()) {
    const std::int64_t number = reader.integer(key, 0, UINT32_MAX - 1).value_or(0);
    if constexpr (std::is_same_v<Account, Group>) {
      return std::optional(Group{.id = static_cast<gid_t>(number)});
    } else {
      return std::optional(static_cast<Account>(number));
    }
  }
  const std::string name = reader.text(key).value_or("");
  auto account = find(name);
  if (!account) {
    throw Complaint(node->source(), fmt::format("this machine has no {} '{}'", key, name),
                    fmt::format("add it, or write another name or a number (getent {})",
                                key == "user" ? "passwd" : "group"));
  }
  return account;
}

Rule read_rule(const toml::table& table, const engine::ClientPolicy& others,
               const Accounts& accounts) {
  TomlReader reader(table, "[[policy.user]]");
  Rule rule;
  rule.user =
      account_in(reader, "user", [&](const std::string& name) { return accounts.user(name); });
  if (auto group = account_in(reader, "group",
                              [&](const std::string& name) { return accounts.group(name); })) {
    rule.group = group->id;
    rule.members = std::move(group->members);
  }
  if (rule.user.has_value() == rule.group.has_value()) {
    throw Complaint(reader.at(), "a rule is for one user, or for one group",
                    "write one of `user = \"...\"` and `group = \"...\"`");
  }
  rule.rights = others;
  rule.rights.admitted = true;
  rule.rights = read_rights(reader, std::move(rule.rights));
  reader.finish();
  return rule;
}

PolicyConfig read_policy(const toml::table& table, const Accounts& accounts) {
  TomlReader reader(table, "[policy]");
  PolicyConfig policy;
  policy.others = read_rights(reader, {});
  for (const toml::table* rule : reader.tables("user")) {
    policy.rules.push_back(read_rule(*rule, policy.others, accounts));
  }
  reader.finish();
  return policy;
}

// Names and sockets tell hosts apart.
void check_hosts(const std::vector<HostConfig>& hosts,
                 const std::vector<const toml::table*>& tables) {
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (hosts[i].name == hosts[j].name) {
        throw Complaint(tables[i]->source(), fmt::format("two hosts are '{}'", hosts[i].name),
                        "give each [[host]] a name of its own");
      }
      if (!hosts[i].socket.empty() && hosts[i].socket == hosts[j].socket) {
        throw Complaint(tables[i]->source(),
                        fmt::format("two hosts have the socket '{}'", hosts[i].socket),
                        "give each [[host]] a socket of its own");
      }
    }
  }
}

Config read_root(const toml::table& table, const Accounts& accounts) {
  TomlReader reader(table, "the file");
  Config config;
  config.name = name_in(reader, config.name, "a front end");
  config.user = reader.text("user").value_or("");
  config.group = reader.text("group").value_or("");
  if (config.user.empty() && !config.group.empty()) {
    throw Complaint(reader.at("group"), "a group without a user", "name the user, too");
  }
  config.log = reader.text("log").value_or(config.log);
  if (std::ranges::find(kLogLevels, config.log) == kLogLevels.end()) {
    throw Complaint(reader.at("log"), fmt::format("there is no log level '{}'", config.log),
                    fmt::format("choose one of {}", fmt::join(kLogLevels, ", ")));
  }
  if (const auto seconds = reader.real("stop_seconds", 0, 3600)) {
    config.stop_timeout =
        std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*seconds));
  }
  const std::vector<const toml::table*> hosts = reader.tables("host");
  if (hosts.empty() || hosts.size() > kMostHosts) {
    throw Complaint(reader.at("host"), fmt::format("{} hosts", hosts.size()),
                    fmt::format("a front end has 1 to {}, each below a line [[host]]", kMostHosts));
  }
  for (const toml::table* host : hosts) config.hosts.push_back(read_host(*host));
  check_hosts(config.hosts, hosts);
  if (const toml::table* policy = reader.table("policy"); policy != nullptr) {
    config.policy = read_policy(*policy, accounts);
  }
  reader.finish();
  return config;
}

Error too_long(const std::string& file) {
  return {.kind = ErrorKind::kUsage,
          .what = fmt::format("{}: longer than a configuration can be", file),
          .remedy = "is it another file?"};
}

}  // namespace

Status check_name(std::string_view name, const char* whose) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  if (!name.empty() && name.size() <= kLongestName && name.front() != '.' &&
      std::ranges::all_of(name, good)) {
    return {};
  }
  return fail(
      {.kind = ErrorKind::kUsage,
       .what = fmt::format("'{}' cannot be the name of {}", name, whose),
       .remedy = "use up to 64 letters, digits, dashes, underscores and dots, no dot first"});
}

Result<Config> parse_config(std::string_view text, const std::string& file,
                            const Accounts& accounts) {
  if (text.size() > kLongestFile) return fail(too_long(file));
  try {
    return read_root(toml::parse(text, file), accounts);
  } catch (const Complaint& complaint) {
    return fail(
        {.kind = ErrorKind::kUsage, .what = complaint.what(), .remedy = complaint.remedy()});
  } catch (const toml::parse_error& error) {
    return fail(
        {.kind = ErrorKind::kUsage,
         .what = fmt::format("{}:{}: {}", file, error.source().begin.line, error.description()),
         .remedy = "the file is TOML: see https://toml.io"});
  }
}

Result<Config> read_config(const std::string& path, const Accounts& accounts) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kLongestFile + 1, '\0');
  if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (!file && file.gcount() == 0 && !file.eof())) {
    Error error = fail_errno(fmt::format("cannot read the configuration '{}'", path)).error();
    error.kind = ErrorKind::kUsage;
    return fail(std::move(error));
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  return parse_config(text, path, accounts);
}

}  // namespace tideline::daemon
