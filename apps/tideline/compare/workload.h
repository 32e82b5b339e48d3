// SPDX-License-Identifier: Apache-2.0
// A workload: two unmodified programs, how they are started, and how they tell what they have done.
// Described in TOML, the built-in ones (compare/workloads) as much as a user's own (--workload).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "compare/reading.h"

namespace tideline::app::compare {

// Which figure stands for a workload: what is drawn, and what ratios are of.
enum class Figure { kBytesPerSecond, kRequestsPerSecond, kMedianLatency };
std::string_view name_of(Figure figure);
constexpr bool less_is_better(Figure figure) { return figure == Figure::kMedianLatency; }

// A file that both programs find in {folder}: a text, or so many bytes of noise.
struct WorkloadFile {
  std::string name;
  std::string text;
  std::size_t size = 0;
};

// When the server may be asked.
struct Ready {
  std::string words;       // it has said them, or
  std::uint16_t port = 0;  // it listens on this port of the kernel's (programs of RDMA), or
  std::string file;        // it has written this one into {folder}
};

struct Workload {
  std::string name;
  std::string title;
  Figure figure = Figure::kBytesPerSecond;
  bool rdma = false;  // by verbs, not by sockets
  std::vector<std::string> server;
  std::vector<std::string> client;
  Ready ready;
  bool server_ends = false;     // by itself, after one client
  double count_per_second = 0;  // {count} is that for each second of a run
  std::vector<WorkloadFile> files;
  Sources sources;

  bool counts_bytes() const { return sources.bytes.has_value(); }
};

// `name` is for errors, which say the line.
Result<Workload> parse_workload(std::string_view toml, std::string_view name);
Result<Workload> load_workload(const std::string& path);
// Those of compare/workloads, in the order in which they are shown.
std::vector<Workload> builtin_workloads();

// What {server}, {folder}, {seconds} and {count} stand for.
struct Placeholders {
  std::string server;
  std::string folder;
  unsigned seconds = 1;
  std::uint64_t count = 0;
};
std::string fill_in(std::string_view text, const Placeholders& values);

}  // namespace tideline::app::compare
