// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <string>

namespace tideline::daemon {
namespace {

class TestAccounts final : public Accounts {
 public:
  std::optional<uid_t> user(const std::string& name) const override {
    if (name == "root") return 0;
    return name == "alice" ? std::optional<uid_t>(1000) : std::nullopt;
  }
  std::optional<Group> group(const std::string& name) const override {
    if (name == "nogroup") return Group{.id = 65534};
    return name == "staff" ? std::optional(Group{.id = 50, .members = {1001, 1002}}) : std::nullopt;
  }
};

Result<Config> parse(std::string_view text) { return parse_config(text, "f.toml", TestAccounts()); }

Config good(std::string_view text) {
  auto config = parse(text);
  if (!config) ADD_FAILURE() << config.error().message();
  return config.value_or(Config());
}

// The message, which names the line and what to do.
void expect_error(std::string_view text, const std::string& where_and_what) {
  const auto config = parse(text);
  ASSERT_FALSE(config) << text;
  EXPECT_EQ(config.error().kind, ErrorKind::kUsage) << text;
  EXPECT_TRUE(config.error().what.starts_with(where_and_what))
      << config.error().what << " does not begin with " << where_and_what;
  EXPECT_FALSE(config.error().remedy.empty()) << text;
}

const std::string kHost = "[[host]]\nwire='tap:x'\nip='192.0.2.2/24'\n";

TEST(Config, TheExampleHasEveryKey) {
  std::ifstream file(EXAMPLE);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const Config config = good(text);
  EXPECT_EQ(config.name, "office");
  EXPECT_EQ(config.user, "nobody");
  EXPECT_EQ(config.group, "nogroup");
  ASSERT_EQ(config.hosts.size(), 2U);
  const HostConfig& lan = config.hosts[0];
  EXPECT_EQ(lan.name, "lan");
  EXPECT_EQ(lan.attachment.wire, "tap:tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64");
  EXPECT_EQ(lan.attachment.ip4, std::vector<std::string>{"192.0.2.2/24"});
  EXPECT_EQ(lan.attachment.ip6, std::vector<std::string>{"2001:db8::2/64"});
  EXPECT_EQ(lan.attachment.gateways, (std::vector<std::string>{"192.0.2.1", "2001:db8::1"}));
  EXPECT_EQ(lan.attachment.mtu, 1500U);
  const HostConfig& lab = config.hosts[1];
  EXPECT_EQ(lab.attachment.impair, "loss=1%,delay=5ms");
  EXPECT_EQ(lab.attachment.seed, 1U);
  ASSERT_EQ(config.policy.rules.size(), 2U);
  EXPECT_EQ(config.policy.rules[0].user, 0U);
  EXPECT_EQ(config.policy.rules[0].rights.first_port, 1);
  const engine::ClientPolicy& group = config.policy.rules[1].rights;
  EXPECT_EQ(config.policy.rules[1].group, 65534U);
  EXPECT_EQ(group.addresses, (std::vector{*wire::Ipv6Prefix::from_text("::ffff:192.0.2.2/128"),
                                          *wire::Ipv6Prefix::from_text("2001:db8::/64")}));
  EXPECT_EQ(group.first_port, 8080);
  EXPECT_EQ(group.last_port, 8080);
  EXPECT_EQ(group.most_sockets, 4096U);
  EXPECT_EQ(group.most_memory, std::size_t{256} << 20);
}

// What the example shows behind a '#' is the default, and is right.
TEST(Config, TheExampleShowsDefaults) {
  std::ifstream file(EXAMPLE);
  std::string text;
  for (std::string line; std::getline(file, line);) {
    const bool shown = line.size() > 1 && line[0] == '#' && line[1] != ' ';
    text += (shown ? line.substr(1) : line) + "\n";
  }
  const Config shown = good(text);
  EXPECT_EQ(shown.log, Config().log);
  EXPECT_EQ(shown.stop_timeout, Config().stop_timeout);
  ASSERT_EQ(shown.hosts.size(), 2U);
  EXPECT_EQ(shown.hosts[0].connections, HostConfig().connections);
  EXPECT_EQ(shown.hosts[0].attachment.local_bypass, HostConfig().attachment.local_bypass);
  EXPECT_EQ(shown.hosts[0].attachment.mtu_probing, HostConfig().attachment.mtu_probing);
  EXPECT_FALSE(shown.hosts[0].socket.empty());
  EXPECT_FALSE(shown.hosts[1].attachment.capture.empty());
  EXPECT_EQ(shown.policy.others.most_channels, engine::ClientPolicy().most_channels);
  EXPECT_EQ(shown.policy.others.most_descriptors, engine::ClientPolicy().most_descriptors);
  EXPECT_EQ(shown.policy.others.admitted, PolicyConfig().others.admitted);
}

TEST(Config, AHostOnASharedSegmentNeedsNothing) {
  const Config config = good("[[host]]\n");
  EXPECT_EQ(config.name, "default");
  EXPECT_FALSE(good("[[host]]\nlocal_bypass = false\n").hosts[0].attachment.local_bypass);
  for (const std::string probing : {"off", "black-hole", "always"}) {
    const Config chosen = good("[[host]]\nmtu_probing = '" + probing + "'\n");
    EXPECT_EQ(chosen.hosts[0].attachment.mtu_probing, probing);
  }
  ASSERT_EQ(config.hosts.size(), 1U);
  EXPECT_EQ(config.hosts[0].attachment.wire, "shm:default");
  EXPECT_TRUE(config.policy.rules.empty());
}

TEST(Config, SizesAndTimes) {
  const std::map<std::string, std::size_t> sizes{
      {"4096", 4096}, {"'1B'", 1}, {"'3KiB'", 3072}, {"'2GiB'", std::size_t{2} << 30}};
  const std::string before = kHost + "[policy]\nmemory=";
  for (const auto& [text, size] : sizes) {
    EXPECT_EQ(good(before + text).policy.others.most_memory, size) << text;
  }
  EXPECT_EQ(good("stop_seconds=0.5\n" + kHost).stop_timeout, std::chrono::milliseconds(500));
  EXPECT_EQ(good("stop_seconds=2\n" + kHost).stop_timeout, std::chrono::seconds(2));
}

TEST(Config, QuotasOfVerbs) {
  const Config config = good(kHost + "[policy]\nqueue_pairs=5\nregistered='3MiB'");
  EXPECT_EQ(config.policy.others.most_queue_pairs, 5U);
  EXPECT_EQ(config.policy.others.most_registered, std::size_t{3} << 20);
  expect_error(kHost + "[policy]\nqueue_pairs=0", "f.toml:5: 'queue_pairs' of [policy]");
  expect_error(kHost + "[policy]\nregistered='much'", "f.toml:5: 'registered' of [policy]");
}

TEST(Config, ErrorsSayWhereAndWhat) {
  expect_error("", "f.toml:1: 0 hosts");
  expect_error("x = ", "f.toml:1: ");
  expect_error("host = 1\n", "f.toml:1: 'host' of the file cannot be this");
  expect_error("\nhost = [1]\n", "f.toml:2: 'host' of the file cannot be this");
  expect_error("nam='x'\n" + kHost, "f.toml:1: the file has no 'nam'");
  expect_error(kHost + "adress='x'", "f.toml:4: [[host]] has no 'adress'");
  expect_error("name='../x'\n" + kHost, "f.toml:1: '../x' cannot be the name");
  expect_error("name=''\n" + kHost, "f.toml:1: '' cannot be the name");
  expect_error("name='.x'\n" + kHost, "f.toml:1: '.x' cannot be the name");
  expect_error("name=\"a\\u0000\"\n" + kHost, "f.toml:1: 'name' of the file cannot be this");
  expect_error("log='loud'\n" + kHost, "f.toml:1: there is no log level 'loud'");
  expect_error("stop_seconds=nan\n" + kHost, "f.toml:1: 'stop_seconds'");
  expect_error("stop_seconds=-1\n" + kHost, "f.toml:1: 'stop_seconds'");
  expect_error("stop_seconds='5s'\n" + kHost, "f.toml:1: 'stop_seconds'");
  expect_error("group='staff'\n" + kHost, "f.toml:1: a group without a user");
}

TEST(Config, ErrorsOfHosts) {
  expect_error("[[host]]\nwire='carrier:x'", "f.toml:2: there is no wire like 'carrier:x'");
  expect_error("\n[[host]]\nwire='tap:x'", "f.toml:2: the host 'default' has no address");
  expect_error("[[host]]\nip='192.0.2.2'", "f.toml:2: ");
  expect_error("[[host]]\nip=['192.0.2.2/24',\n'192.0.2.3/33']", "f.toml:3: ");
  expect_error("[[host]]\nip=['192.0.2.2/24',\n3]", "f.toml:3: 'ip' of [[host]] cannot be this");
  expect_error("[[host]]\nip6='192.0.2.2/24'", "f.toml:2: ");
  expect_error(kHost + "gateway='gate'", "f.toml:4: ");
  expect_error(kHost + "mtu=1279", "f.toml:4: 'mtu' of [[host]]");
  expect_error(kHost + "mtu='1500'", "f.toml:4: 'mtu' of [[host]]");
  expect_error(kHost + "impair='loss=200%'", "f.toml:4: ");
  expect_error(kHost + "mtu_probing='on'", "f.toml:4: there is no MTU probing 'on'");
  expect_error(kHost + "mtu_probing=2", "f.toml:4: 'mtu_probing' of [[host]]");
  expect_error(kHost + "seed=-1", "f.toml:4: 'seed'");
  expect_error(kHost + "connections=1000000000000", "f.toml:4: 'connections'");
  expect_error(kHost + "connections=15", "f.toml:4: 'connections'");
  expect_error(kHost + "capture='here.pcap'", "f.toml:4: 'here.pcap' is no whole path");
  expect_error(kHost + "socket='/" + std::string(107, 'x') + "'", "f.toml:4: the path of a socket");
  expect_error(kHost + kHost, "f.toml:4: two hosts are 'default'");
  expect_error(kHost + "socket='/s'\n" + kHost + "name='b'\nsocket='/s'",
               "f.toml:5: two hosts have the socket '/s'");
  std::string many;
  for (int i = 0; i < 65; ++i) many += "[[host]]\nname='h" + std::to_string(i) + "'\n";
  expect_error(many, "f.toml:1: 65 hosts");
}

TEST(Config, ErrorsOfPolicies) {
  expect_error(kHost + "[policy]\nsockets=65536", "f.toml:5: 'sockets' of [policy]");
  expect_error(kHost + "[policy]\nprocesses=0", "f.toml:5: 'processes' of [policy]");
  expect_error(kHost + "local_bypass=0", "f.toml:4: 'local_bypass' of [[host]]");
  expect_error(kHost + "[policy]\nadmit=1", "f.toml:5: 'admit' of [policy]");
  expect_error(kHost + "[policy]\nadmitt=true", "f.toml:5: [policy] has no 'admitt'");
  expect_error(kHost + "[policy]\nuser=[{user='bob'}]", "f.toml:5: this machine has no user 'bob'");
  expect_error(kHost + "[[policy.user]]\ngroup='x'", "f.toml:5: this machine has no group 'x'");
  expect_error(kHost + "[[policy.user]]\nsockets=1", "f.toml:4: a rule is for one user");
  expect_error(kHost + "[[policy.user]]\nuser='root'\ngroup='staff'",
               "f.toml:4: a rule is for one");
  expect_error(kHost + "[[policy.user]]\nuser=-1", "f.toml:5: 'user' of [[policy.user]]");
  expect_error(kHost + "[[policy.user]]\nuser=4294967295", "f.toml:5: 'user' of [[policy.user]]");
  for (const char* ports : {"'0'", "'1-'", "'-1'", "'9-8'", "'1-65536'", "' 1'", "''", "80"}) {
    expect_error(kHost + "[policy]\nports=" + ports, "f.toml:5: ");
  }
  for (const char* memory : {"-1", "'1kb'", "'B'", "''", "'99999999999GiB'", "1.5", "true"}) {
    expect_error(kHost + "[policy]\nmemory=" + memory, "f.toml:5: 'memory' of [policy]");
  }
  for (const char* address : {"'x'", "'192.0.2.1/33'", "'2001:db8::/129'", "'::1/'", "1"}) {
    expect_error(kHost + "[policy]\naddresses=" + address, "f.toml:5: ");
  }
}

TEST(Config, DepthAndLengthAreBounded) {
  EXPECT_FALSE(parse("a = " + std::string(100'000, '[')));
  EXPECT_FALSE(parse("a." + std::string(100'000, 'b')));
  const auto config = parse(std::string((1 << 20) + 1, '\n'));
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().what, "f.toml: longer than a configuration can be");
}

TEST(Config, FilesThatCannotBeRead) {
  for (const char* path : {"/nonexistent", "/"}) {
    const auto config = read_config(path, TestAccounts());
    ASSERT_FALSE(config) << path;
    EXPECT_EQ(config.error().kind, ErrorKind::kUsage);
    EXPECT_NE(config.error().what.find(std::string("'") + path + "'"), std::string::npos);
  }
}

}  // namespace
}  // namespace tideline::daemon
