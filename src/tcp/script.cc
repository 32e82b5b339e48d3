// SPDX-License-Identifier: Apache-2.0
#include "tcp/script.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tcp/script_world.h"

namespace tideline::tcp::test {
namespace {

using Words = std::vector<std::string>;

// A segment as a script writes it.
struct Line {
  std::uint16_t flags = 0;
  std::uint32_t seq = 0;
  std::uint32_t size = 0;
  std::optional<std::uint32_t> ack;
  std::optional<std::uint16_t> window;
  std::uint16_t urgent = 0;
  std::uint16_t port = kPeerPort;
  std::optional<wire::TcpOptions> options;
  bool any_stamp = false;
  bool any_echo = false;
  std::uint8_t ecn = 0;
  bool ect = false;
  bool bad_sum = false;
  bool to_group = false;
  bool more = false;
};

class Script {
 public:
  explicit Script(int first_line) : first_line_(first_line) {}

  void run(std::string_view text) {
    int number = 0;
    while (!text.empty() && !testing::Test::HasFatalFailure()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      statement(text.substr(0, end), number++);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    EXPECT_EQ(world_.sent.size(), 0U) << "segments that the script does not expect, the first: "
                                      << (world_.sent.empty() ? "" : world_.sent.front().text());
  }

 private:
  static std::uint64_t number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    EXPECT_TRUE(error == std::errc() && end == text.data() + text.size()) << "no number: " << text;
    return value;
  }

  static Words split(std::string_view text, std::string_view separators) {
    Words words;
    while (true) {
      const std::size_t begin = text.find_first_not_of(separators);
      if (begin == std::string_view::npos) return words;
      const std::size_t end = std::min(text.find_first_of(separators, begin), text.size());
      words.emplace_back(text.substr(begin, end - begin));
      text.remove_prefix(end);
    }
  }

  void statement(std::string_view text, int number_in_script) {
    text = text.substr(0, text.find('#'));
    // Options are one word.
    std::string flat(text);
    const std::size_t open =
        flat.find(" <", flat.find(" < ") == std::string::npos ? 0 : flat.find(" < ") + 2);
    if (open != std::string::npos && flat.find('>', open) != std::string::npos) {
      std::replace(flat.begin() + static_cast<long>(open) + 1,
                   flat.begin() + static_cast<long>(flat.find('>', open)), ' ', '_');
    }
    Words words = split(flat, " \t");
    if (words.empty()) return;
    const testing::ScopedTrace trace("script", first_line_,
                                     fmt::format("line {} at {} s: {}", number_in_script,
                                                 seconds_of(world_.now - kStart), text));
    if (words[0].starts_with('+')) {
      time_ += Duration(static_cast<std::int64_t>(std::stod(words[0]) * 1e9));
      words.erase(words.begin());
      if (!in_burst_) world_.advance(time_);
    }
    execute(words);
  }

  static double seconds_of(Duration duration) {
    return static_cast<double>(duration.count()) / 1e9;
  }

  void execute(const Words& words) {
    const std::string& verb = words[0];
    if (verb == "<") {
      inject(parse(words));
    } else if (verb == ">") {
      expect(words);
    } else if (verb == "given") {
      given(words[1], words.size() > 2 ? words[2] : "<mss_1460,sackOK,wscale_7>");
    } else if (verb == "config") {
      configure(words);
    } else if (verb == "state") {
      EXPECT_EQ(world_.state(), words[1]);
    } else if (verb == "events") {
      const Words wanted(words.begin() + 1, words.end());
      EXPECT_EQ(std::exchange(world_.events, {}), wanted);
    } else if (verb == "count") {
      EXPECT_EQ(world_.counter(words[1]), number(words[2])) << words[1];
    } else if (verb == "info") {
      EXPECT_EQ(world_.info(words[1]), number(words[2])) << words[1];
    } else if (verb == "wanted") {
      EXPECT_EQ(world_.wanted(), number(words[1])) << "bytes that the owner should write";
    } else if (verb == "hungry") {
      EXPECT_EQ(world_.is_hungry(), words[1] == "yes");
    } else if (verb == "mark") {
      EXPECT_EQ(world_.mark(), number(words[1])) << "urgent byte";
    } else if (verb == "error") {
      world_.error(words[1], static_cast<std::uint32_t>(number(words[2])),
                   words.size() > 3 ? static_cast<std::uint32_t>(number(words[3])) : 0);
    } else {
      call(words);
    }
  }

  void configure(const Words& words) {
    const auto argument = [&](std::size_t index) { return number(words.at(index)); };
    const std::string& key = words[1];
    if (key == "ecn") {
      world_.config.ecn = true;
    } else if (key == "no_timestamps") {
      world_.config.timestamps = false;
    } else if (key == "no_window_scaling") {
      world_.config.window_scaling = false;
    } else if (key == "no_sack") {
      world_.config.sack = false;
    } else if (key == "accurate_ecn") {
      world_.config.accurate_ecn = true;
    } else if (key == "gso") {
      world_.gso = true;
    } else if (key == "ipv6") {
      world_.ipv4 = false;
    } else if (key == "backlog") {
      world_.listening.backlog = static_cast<std::uint32_t>(argument(2));
    } else if (key == "buffer") {
      world_.buffer = argument(2);
    } else if (key == "max_out_of_order") {
      world_.config.max_out_of_order = static_cast<std::uint32_t>(argument(2));
    } else if (key == "window") {
      world_.config.initial_window = static_cast<std::uint32_t>(argument(2));
    } else if (key == "mtu") {
      world_.mtu = static_cast<std::uint16_t>(argument(2));
    } else if (key == "mtu_probing") {
      world_.config.mtu_probing = words.at(2) == "always" ? MtuProbing::kAlways : MtuProbing::kOff;
    } else if (key == "keepalive") {
      world_.options.keepalive = true;
      world_.options.keepalive_idle = std::chrono::seconds(argument(2));
      world_.options.keepalive_interval = std::chrono::seconds(argument(3));
      world_.options.keepalive_probes = static_cast<std::uint8_t>(argument(4));
    } else if (key == "user_timeout") {
      world_.options.user_timeout = std::chrono::seconds(argument(2));
    } else if (key == "fast_open") {
      world_.listening.fast_open = static_cast<std::uint32_t>(argument(2));
      // That of the tests of Linux: scripts know its cookies.
      world_.config.fast_open_key = {.low = 0xb2b2b2b2a1a1a1a1, .high = 0xd4d4d4d4c3c3c3c3};
    } else if (key == "defer_accept") {
      world_.options.defer_accept = std::chrono::seconds(argument(2));
    } else if (key == "notsent_lowat") {
      world_.options.notsent_lowat = static_cast<std::uint32_t>(argument(2));
    } else if (key == "pacing") {
      world_.options.max_pacing_rate = argument(2);
    } else {
      world_.set_option(key);
    }
  }

  void call(const Words& words) {
    const std::string& verb = words[0];
    const auto size = [&] { return static_cast<std::size_t>(number(words.at(1))); };
    if (verb == "connect") {
      world_.connect();
    } else if (verb == "listen") {
      world_.listen();
    } else if (verb == "write") {
      world_.write(size(), words.size() > 2 ? words[2] : "");
    } else if (verb == "read") {
      world_.read(size());
    } else if (verb == "shutdown") {
      world_.tcp().shut_down(world_.id, world_.now);
    } else if (verb == "close") {
      world_.tcp().close(world_.id, false, world_.now);
    } else if (verb == "abort") {
      world_.tcp().abort(world_.id, world_.now);
    } else if (verb == "option") {
      world_.set_option(words.at(1));
      world_.tcp().set_options(world_.id, world_.options, world_.now);
    } else if (verb == "path_carries") {
      world_.mtu = static_cast<std::uint16_t>(size());
    } else if (verb == "unlisten") {
      world_.tcp().close(world_.listener);
    } else {
      FAIL() << "unknown statement";
    }
    world_.tcp().flush(world_.now);
  }

  // Reaches the state by segments, as scripts would.
  void given(const std::string& state, const std::string& options) {
    static constexpr std::string_view kHello =
        "+0 > S. 0:0(0) ack 1\n+0.01 < . 1:1(0) ack 1 win 512\n";
    static constexpr std::string_view kFin = "+0 shutdown\n+0 > F. 1:1(0) ack 1\n";
    const std::string syn = fmt::format("+0 < S 0:0(0) win 65535 {}\n", options);
    std::string text = "+0 listen\n" + syn;
    if (state == "LISTEN") {
      text = "+0 listen\n";
    } else if (state == "SYN_SENT") {
      text = "+0 connect\n+0 > S 0:0(0)\n";
    } else if (state == "SYN_RECEIVED") {
      text += "+0 > S. 0:0(0) ack 1\n";
    } else {
      text += kHello;
    }
    if (state == "CLOSE_WAIT" || state == "LAST_ACK") {
      text += "+0 < F. 1:1(0) ack 1 win 512\n+0 > . 1:1(0) ack 2\n";
    }
    if (state == "LAST_ACK") text += "+0 shutdown\n+0 > F. 1:1(0) ack 2\n";
    const bool closing = state == "FIN_WAIT_1" || state == "FIN_WAIT_2" || state == "CLOSING" ||
                         state == "TIME_WAIT";
    if (closing) text += kFin;
    if (state == "CLOSING") text += "+0 < F. 1:1(0) ack 1 win 512\n+0 > . 2:2(0) ack 2\n";
    if (state == "FIN_WAIT_2" || state == "TIME_WAIT") text += "+0 < . 1:1(0) ack 2 win 512\n";
    if (state == "TIME_WAIT") text += "+0 < F. 1:1(0) ack 2 win 512\n+0 > . 2:2(0) ack 2\n";
    int line = 0;
    for (const std::string& each : split(text, "\n")) statement(each, line++);
    EXPECT_EQ(world_.state(), state == "LISTEN" ? "CLOSED" : state);
    world_.events.clear();
  }

  // NOLINTNEXTLINE(readability-function-cognitive-complexity): one branch per option
  wire::TcpOptions parse_options(const std::string& text, Line& line, bool ours) {
    wire::TcpOptions options;
    for (const std::string& each : split(text.substr(1, text.size() - 2), ",")) {
      const Words words = split(each, "_");
      if (words[0] == "mss") {
        options.mss = static_cast<std::uint16_t>(number(words.at(1)));
      } else if (words[0] == "sackOK") {
        options.sack_permitted = true;
      } else if (words[0] == "wscale") {
        options.window_scale = static_cast<std::uint8_t>(number(words.at(1)));
      } else if (words[0] == "TS") {
        line.any_stamp = words.at(2) == "*";
        line.any_echo = words.at(4) == "*";
        auto& stamps = options.timestamps.emplace();
        const auto value = line.any_stamp ? 0 : static_cast<std::uint32_t>(number(words.at(2)));
        const auto echo = line.any_echo ? 0 : static_cast<std::uint32_t>(number(words.at(4)));
        stamps.value = ours ? world_.our_stamp + value : value;
        stamps.echo = ours || echo == 0 ? echo : world_.our_stamp + echo;
      } else if (words[0] == "sack") {
        for (std::size_t i = 1; i < words.size(); ++i) {
          const Words edges = split(words[i], ":");
          const std::uint32_t base = (ours ? world_.their_iss : world_.our_iss).value();
          options.sack[options.sack_count++] = {
              base + static_cast<std::uint32_t>(number(edges.at(0))),
              base + static_cast<std::uint32_t>(number(edges.at(1)))};
        }
      } else if (words[0] == "FO") {
        auto& cookie = options.fast_open.emplace();
        const std::string hex = words.size() > 1 ? words[1] : "";
        cookie.size = static_cast<std::uint8_t>(hex.size() / 2);
        for (std::size_t i = 0; i < cookie.size; ++i) {
          cookie.bytes[i] = std::byte(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
        }
      } else if (words[0] == "accecn") {
        auto& counters = options.accurate_ecn.emplace();
        for (std::size_t i = 2; i < words.size(); i += 2) {
          counters.values[counters.count++] = static_cast<std::uint32_t>(number(words[i]));
        }
      } else if (words[0] != "nop") {
        ADD_FAILURE() << "unknown option " << each;
      }
    }
    return options;
  }

  Line parse(const Words& words) {
    Line line;
    const bool ours = words[0] == ">";
    for (const char flag : words.at(1)) {
      static constexpr std::string_view kFlags = "FSRP.UEWA";
      const std::size_t at = kFlags.find(flag);
      EXPECT_NE(at, std::string_view::npos) << "unknown flag " << flag;
      line.flags |= static_cast<std::uint16_t>(1U << at);
    }
    const Words place = split(words.at(2), ":()");
    line.seq = static_cast<std::uint32_t>(number(place.at(0)));
    line.size = static_cast<std::uint32_t>(number(place.at(2)));
    EXPECT_EQ(number(place.at(1)), line.seq + line.size) << "the script cannot count";
    for (std::size_t i = 3; i < words.size(); ++i) {
      const auto argument = [&] { return static_cast<std::uint32_t>(number(words.at(++i))); };
      if (words[i] == "ack") {
        line.ack = argument();
      } else if (words[i] == "win") {
        line.window = static_cast<std::uint16_t>(argument());
      } else if (words[i] == "urg") {
        line.urgent = static_cast<std::uint16_t>(argument());
      } else if (words[i] == "port") {
        line.port = static_cast<std::uint16_t>(argument());
      } else if (words[i] == "ect1" || words[i] == "ect0" || words[i] == "ce") {
        line.ecn = words[i] == "ect1" ? 1 : (words[i] == "ect0" ? 2 : 3);
      } else if (words[i] == "ect") {
        line.ect = true;
      } else if (words[i] == "badsum") {
        line.bad_sum = true;
      } else if (words[i] == "group") {
        line.to_group = true;
      } else if (words[i] == "more") {
        line.more = true;
      } else if (words[i].starts_with('<')) {
        line.options = parse_options(words[i], line, ours);
      } else {
        ADD_FAILURE() << "unknown word " << words[i];
      }
    }
    return line;
  }

  void inject(const Line& line) {
    in_burst_ = line.more;
    wire::Tcp header{.sequence_number = (world_.their_iss + line.seq).value(),
                     .acknowledgment_number = line.ack ? (world_.our_iss + *line.ack).value() : 0,
                     .flags = line.flags,
                     .window = line.window.value_or(512),
                     .urgent_pointer = line.urgent};
    if (line.options) header.options = *line.options;
    world_.receive(header, line.size,
                   {.port = line.port,
                    .ecn = line.ecn,
                    .bad_sum = line.bad_sum,
                    .to_group = line.to_group,
                    .more = line.more});
  }

  void expect(const Words& words) {
    if (words.at(1) == "nothing") {
      EXPECT_TRUE(world_.sent.empty()) << world_.sent.front().text();
      world_.sent.clear();
      return;
    }
    if (world_.sent.empty()) world_.advance(time_ + kTolerance);
    ASSERT_FALSE(world_.sent.empty()) << "nothing was sent";
    const SentSegment got = std::move(world_.sent.front());
    world_.sent.pop_front();
    if ((got.header.flags & wire::kTcpSyn) != 0) world_.learn(got.header);
    const Line want = parse(words);
    SCOPED_TRACE(got.text());
    const std::uint16_t mask = (want.flags & wire::kTcpPsh) != 0
                                   ? wire::kTcpFlagMask
                                   : static_cast<std::uint16_t>(~wire::kTcpPsh);
    EXPECT_EQ(got.header.flags & mask, want.flags & mask) << "flags";
    // A RST in answer to what belongs nowhere counts from the peer's ACK, or from nothing.
    const bool bare = (want.flags & wire::kTcpRst) != 0 && want.seq == 0;
    EXPECT_EQ(got.header.sequence_number - (bare ? 0 : world_.our_iss.value()), want.seq) << "seq";
    EXPECT_EQ(got.payload.size(), want.size) << "size";
    EXPECT_EQ(got.port, want.port) << "port";
    if (want.ack) {
      EXPECT_EQ(got.header.acknowledgment_number - world_.their_iss.value(), *want.ack) << "ack";
    }
    EXPECT_EQ(got.header.window, want.window.value_or(got.header.window)) << "window";
    EXPECT_EQ(got.ect, want.ect) << "ECT";
    EXPECT_EQ(got.header.urgent_pointer, want.urgent) << "urgent pointer";
    const Duration late = got.at - (kStart + time_);
    EXPECT_LE(late < Duration{} ? -late : late, kTolerance) << "time";
    for (std::size_t i = 0; i < got.payload.size(); ++i) {
      const std::uint64_t begin = want.seq - ((want.flags & wire::kTcpSyn) != 0 ? 0U : 1U);
      ASSERT_EQ(got.payload[i], byte_at(kOurStream, begin + i)) << "byte " << i;
    }
    if (want.options) compare_options(got.header.options, want);
  }

  void compare_options(wire::TcpOptions got, const Line& want) {
    wire::TcpOptions wanted = want.options.value_or(wire::TcpOptions());
    if (got.timestamps && wanted.timestamps) {
      if (want.any_stamp) wanted.timestamps->value = got.timestamps->value;
      if (want.any_echo) wanted.timestamps->echo = got.timestamps->echo;
    }
    EXPECT_TRUE(got == wanted) << "options";
  }

  static constexpr Duration kTolerance = std::chrono::milliseconds(1);

  int first_line_;
  Duration time_{};
  bool in_burst_ = false;
  World world_;
};

}  // namespace

void run_script(std::string_view text, int line) { Script(line).run(text); }

}  // namespace tideline::tcp::test
