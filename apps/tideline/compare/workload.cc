// SPDX-License-Identifier: Apache-2.0
#include "compare/workload.h"

#include <fmt/format.h>

#include <array>
#include <fstream>
#include <sstream>
#include <utility>

#include "compare/builtin_workloads.h"
#include "toml_reader.h"

namespace tideline::app::compare {
namespace {

using daemon::Complaint;
using daemon::TomlReader;

constexpr std::array<Figure, 3> kFigures{Figure::kBytesPerSecond, Figure::kRequestsPerSecond,
                                         Figure::kMedianLatency};
constexpr std::size_t kLargestFile = std::size_t{1} << 30;

std::string need(std::optional<std::string> value, const TomlReader& reader, std::string_view title,
                 std::string_view key) {
  if (value && !value->empty()) return *value;
  throw Complaint(reader.at(), fmt::format("{} has no '{}'", title, key),
                  fmt::format("add {} = \"...\"", key));
}

std::regex pattern_of(const std::string& text, const toml::source_region& at, unsigned groups) {
  try {
    std::regex pattern(text, std::regex::ECMAScript | std::regex::optimize);
    if (pattern.mark_count() >= groups) return pattern;
  } catch (const std::regex_error& error) {
    throw Complaint(at, fmt::format("the pattern cannot be read: {}", error.what()),
                    "it is a regular expression of ECMAScript, best in single quotes");
  }
  throw Complaint(at, fmt::format("the pattern has less than {} group(s) in parentheses", groups),
                  "the first group is the number");
}

std::optional<Source> source_of(TomlReader& results, std::string_view key) {
  const toml::table* table = results.table(key);
  if (table == nullptr) return std::nullopt;
  TomlReader reader(*table, fmt::format("[result.{}]", key));
  Source source;
  if (const auto text = reader.text("pattern")) {
    source.pattern = pattern_of(*text, reader.at("pattern"), 1);
  }
  source.pointer = reader.text("json").value_or("");
  if (!source.pointer.empty() && !source.pointer.starts_with('/')) {
    throw Complaint(reader.at("json"), "a JSON pointer begins with '/'",
                    "like \"/end/sum_received/bytes\"");
  }
  constexpr double kMost = 1e30;
  source.value = reader.real("value", 0, kMost);
  source.scale = reader.real("scale", 0, kMost).value_or(1);
  source.sum = reader.truth("sum").value_or(false);
  reader.finish();
  if (source.pattern.has_value() + !source.pointer.empty() + source.value.has_value() != 1) {
    throw Complaint(reader.at(), fmt::format("where '{}' stands is not clear", key),
                    "give one of pattern, json and value");
  }
  return source;
}

std::optional<QuantileSource> quantiles_of(TomlReader& results) {
  const toml::table* table = results.table("quantiles");
  if (table == nullptr) return std::nullopt;
  TomlReader reader(*table, "[result.quantiles]");
  const std::string text = need(reader.text("pattern"), reader, "[result.quantiles]", "pattern");
  QuantileSource source{.pattern = pattern_of(text, reader.at("pattern"), 2)};
  source.scale = reader.real("scale", 0, 1e12).value_or(1);
  reader.finish();
  return source;
}

Sources sources_of(const toml::table& table) {
  TomlReader reader(table, "[result]");
  Sources sources;
  const std::array<std::pair<const char*, std::optional<Source>*>, 9> all{{
      {"bytes", &sources.bytes},
      {"requests", &sources.requests},
      {"seconds", &sources.seconds},
      {"bytes_per_s", &sources.bytes_per_s},
      {"requests_per_s", &sources.requests_per_s},
      {"p50_ns", &sources.p50_ns},
      {"p99_ns", &sources.p99_ns},
      {"p999_ns", &sources.p999_ns},
      {"lost_share", &sources.lost_share},
  }};
  for (const auto& [key, source] : all) *source = source_of(reader, key);
  sources.quantiles = quantiles_of(reader);
  reader.finish();
  if (sources.bytes.has_value() == sources.requests.has_value()) {
    throw Complaint(reader.at(), "what the programs' work is counted in is not clear",
                    "give [result.bytes] or [result.requests]: processor time is told for each");
  }
  return sources;
}

std::vector<std::string> command_of(TomlReader& reader, std::string_view title) {
  std::vector<std::string> words;
  for (daemon::Located& word : reader.texts("command")) words.push_back(std::move(word.text));
  if (!words.empty() && !words.front().empty()) return words;
  throw Complaint(reader.at(), fmt::format("{} has no 'command'", title),
                  "a list: the program and its arguments");
}

void read_server(const toml::table& table, Workload& workload) {
  TomlReader reader(table, "[server]");
  workload.server = command_of(reader, "[server]");
  workload.ready.words = reader.text("ready").value_or("");
  workload.ready.port =
      static_cast<std::uint16_t>(reader.integer("ready_port", 1, 65535).value_or(0));
  workload.ready.file = reader.text("ready_file").value_or("");
  workload.server_ends = reader.truth("ends").value_or(false);
  reader.finish();
  const Ready& ready = workload.ready;
  if (!ready.words.empty() + (ready.port != 0) + !ready.file.empty() != 1) {
    throw Complaint(reader.at(), "when the server is ready is not clear",
                    "give one of ready (words that it says), ready_port and ready_file");
  }
}

WorkloadFile file_of(const toml::table& table) {
  TomlReader reader(table, "[[file]]");
  WorkloadFile file;
  file.name = need(reader.text("name"), reader, "[[file]]", "name");
  file.text = reader.text("text").value_or("");
  file.size = reader.bytes("size").value_or(0);
  reader.finish();
  if (file.name.find('/') != std::string::npos || file.name.starts_with('.')) {
    throw Complaint(reader.at("name"), "a file's name is one word without '/'",
                    "all files are in {folder}");
  }
  if (file.text.empty() == (file.size == 0) || file.size > kLargestFile) {
    throw Complaint(reader.at(), "what the file holds is not clear",
                    "give text, or size: bytes of noise, 1GiB at most");
  }
  return file;
}

Workload workload_of(const toml::table& table, std::string_view file_name) {
  TomlReader reader(table, "a workload");
  Workload workload;
  workload.name = need(reader.text("name"), reader, "the workload", "name");
  workload.title = reader.text("title").value_or(workload.name);
  const std::string figure = reader.text("figure").value_or("requests_per_s");
  bool is_known = false;
  for (const Figure each : kFigures) {
    if (figure != name_of(each)) continue;
    workload.figure = each;
    is_known = true;
  }
  if (!is_known) {
    throw Complaint(reader.at("figure"), fmt::format("there is no figure '{}'", figure),
                    "bytes_per_s, requests_per_s or p50_ns");
  }
  workload.rdma = reader.truth("rdma").value_or(false);
  workload.count_per_second = reader.real("count_per_second", 1, 1e9).value_or(0);
  const toml::table* server = reader.table("server");
  const toml::table* client = reader.table("client");
  const toml::table* result = reader.table("result");
  for (const toml::table* file : reader.tables("file")) workload.files.push_back(file_of(*file));
  reader.finish();
  if (server == nullptr || client == nullptr || result == nullptr) {
    throw Complaint(reader.at(), fmt::format("{} lacks a table", file_name),
                    "[server], [client] and [result] are needed");
  }
  read_server(*server, workload);
  TomlReader client_reader(*client, "[client]");
  workload.client = command_of(client_reader, "[client]");
  client_reader.finish();
  workload.sources = sources_of(*result);
  return workload;
}

}  // namespace

std::string_view name_of(Figure figure) {
  switch (figure) {
    case Figure::kBytesPerSecond:
      return "bytes_per_s";
    case Figure::kRequestsPerSecond:
      return "requests_per_s";
    case Figure::kMedianLatency:
      return "p50_ns";
  }
  return "";
}

Result<Workload> parse_workload(std::string_view text, std::string_view name) {
  try {
    return workload_of(toml::parse(text, name), name);
  } catch (const Complaint& complaint) {
    return fail(
        {.kind = ErrorKind::kUsage, .what = complaint.what(), .remedy = complaint.remedy()});
  } catch (const toml::parse_error& error) {
    return fail(
        {.kind = ErrorKind::kUsage,
         .what = fmt::format("{}:{}: {}", name, error.source().begin.line, error.description())});
  }
}

Result<Workload> load_workload(const std::string& path) {
  const std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file || !text) return fail_errno(fmt::format("cannot read {}", path));
  return parse_workload(text.str(), path);
}

std::vector<Workload> builtin_workloads() {
  std::vector<Workload> all;
  for (const BuiltinWorkload& each : kBuiltinWorkloads) {
    auto workload = parse_workload(each.toml, each.name);
    // A test reads them all.
    if (workload) all.push_back(std::move(*workload));
  }
  return all;
}

std::string fill_in(std::string_view text, const Placeholders& values) {
  const std::array<std::pair<std::string_view, std::string>, 4> all{{
      {"{server}", values.server},
      {"{folder}", values.folder},
      {"{seconds}", std::to_string(values.seconds)},
      {"{count}", std::to_string(values.count)},
  }};
  std::string filled(text);
  for (const auto& [key, value] : all) {
    for (std::size_t at = 0; (at = filled.find(key, at)) != std::string::npos; at += value.size()) {
      filled.replace(at, key.size(), value);
    }
  }
  return filled;
}

}  // namespace tideline::app::compare
