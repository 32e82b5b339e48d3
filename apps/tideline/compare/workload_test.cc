// SPDX-License-Identifier: Apache-2.0
#include "compare/workload.h"

#include <gtest/gtest.h>

#include "compare/builtin_workloads.h"

namespace tideline::app::compare {
namespace {

const std::string kGood = R"(
name = "mine"
figure = "bytes_per_s"
count_per_second = 2.5
[server]
command = ["serve", "{folder}", "{server}"]
ready_port = 80
[client]
command = ["ask"]
[result]
bytes = { pattern = '(\d+) bytes', sum = true }
seconds = { json = "/s" }
[[file]]
name = "data"
size = "2KiB"
)";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Workload, BuiltInOnesCanBeRead) {
  for (const BuiltinWorkload& each : kBuiltinWorkloads) {
    const auto workload = parse_workload(each.toml, each.name);
    EXPECT_TRUE(workload) << workload.error().message();
  }
  EXPECT_EQ(builtin_workloads().size(), 8U);
}

TEST(Workload, IsAsWritten) {
  const auto workload = parse_workload(kGood, "mine.toml");
  ASSERT_TRUE(workload) << workload.error().message();
  EXPECT_EQ(workload->title, "mine");
  EXPECT_EQ(workload->figure, Figure::kBytesPerSecond);
  EXPECT_EQ(workload->ready.port, 80);
  EXPECT_EQ(workload->count_per_second, 2.5);
  ASSERT_EQ(workload->files.size(), 1U);
  EXPECT_EQ(workload->files[0].size, 2048U);
  EXPECT_TRUE(workload->counts_bytes());
  EXPECT_TRUE(workload->sources.bytes->sum);
}

TEST(Workload, EveryMistakeIsToldWithItsLine) {
  const struct {
    const char* from;
    const char* to;
    const char* said;
  } mistakes[] = {
      {"name = \"mine\"", "nam = 1", "has no 'name'"},
      {"bytes_per_s", "furlongs", "mine.toml:3: there is no figure 'furlongs'"},
      {"ready_port = 80", "", "when the server is ready"},
      {"ready_port = 80", "ready_port = 80\nready = \"x\"", "when the server is ready"},
      {"[\"ask\"]", "[]", "has no 'command'"},
      {"(\\d+) bytes", "(\\d+ bytes", "the pattern cannot be read"},
      {"(\\d+) bytes", "bytes", "less than 1 group"},
      {"{ json = \"/s\" }", "{ json = \"s\" }", "begins with '/'"},
      {"{ json = \"/s\" }", "{ }", "where 'seconds' stands"},
      {"bytes = {", "requests = { value = 1 }\nbytes = {", "counted in"},
      {"\"data\"", "\"../data\"", "one word"},
      {"size = \"2KiB\"", "", "what the file holds"},
      {"count_per_second", "count_per_minute", "has no 'count_per_minute'"},
      {"[client]", "[client", "mine.toml:8"},
  };
  for (const auto& each : mistakes) {
    const auto workload = parse_workload(replaced(kGood, each.from, each.to), "mine.toml");
    ASSERT_FALSE(workload) << each.to;
    EXPECT_NE(workload.error().message().find(each.said), std::string::npos)
        << workload.error().message();
  }
}

TEST(Workload, PlaceholdersAreFilledInWhereverTheyStand) {
  const Placeholders values{.server = "192.0.2.1", .folder = "/f", .seconds = 3, .count = 70};
  EXPECT_EQ(fill_in("http://{server}:80{folder}/{folder}?{count}&{seconds}{", values),
            "http://192.0.2.1:80/f//f?70&3{");
}

}  // namespace
}  // namespace tideline::app::compare
