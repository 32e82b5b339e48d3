// SPDX-License-Identifier: Apache-2.0
// `tideline status`: asks every process with an engine what it is like, twice, for rates.
#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <initializer_list>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "commands.h"
#include "copy/message.h"
#include "processes.h"
#include "progress_bar.h"
#include "report.h"
#include "session.h"

namespace tideline::app {
namespace {

using Json = nlohmann::ordered_json;

std::string owner_of(int pid) {
  struct stat status{};
  if (::stat(fmt::format("/proc/{}", pid).c_str(), &status) != 0) return "another user";
  const passwd* user = ::getpwuid(status.st_uid);  // NOLINT(concurrency-mt-unsafe): one thread
  return user == nullptr ? fmt::format("user {}", status.st_uid) : std::string(user->pw_name);
}

// Why a process that was asked for by its number is not there.
[[noreturn]] void fail_without(int pid) {
  struct stat status{};
  const bool lives = ::stat(fmt::format("/proc/{}", pid).c_str(), &status) == 0;
  if (lives && ::geteuid() != 0 && status.st_uid != ::geteuid()) {
    throw Failure(
        {.kind = ErrorKind::kEnvironment,
         .what = fmt::format("process {} is {}'s, who alone may ask it", pid, owner_of(pid)),
         .remedy = "ask as that user, or as root"});
  }
  throw Failure({.kind = ErrorKind::kEnvironment,
                 .what = lives ? fmt::format("process {} has no engine of tideline", pid)
                               : fmt::format("there is no process {}", pid),
                 .remedy = "`tideline status` shows those that have one"});
}

// Puts KEY_per_s beside each of the counters.
void add_rates(Json& now, const Json& before, double seconds,
               std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const std::uint64_t after = number_in(now, key);
    const std::uint64_t grown = after - std::min(after, number_in(before, key));
    now[std::string(key) + "_per_s"] = static_cast<double>(grown) / seconds;
  }
}

// The element of another list that has the same values at the keys.
const Json& same_in(const Json& list, const Json& element,
                    std::initializer_list<const char*> keys) {
  static const Json kNothing = Json::object();
  for (const Json& other : list) {
    const bool same = other.is_object() && std::ranges::all_of(keys, [&](const char* key) {
                        return member(other, key) == member(element, key);
                      });
    if (same) return other;
  }
  return kNothing;
}

// Passes over each byte that has come or gone meanwhile, and the kernel's.
void add_passes(Json& now, const Json& before) {
  if (!member(now, "passes").is_object()) return;
  const auto grown = [&](const char* object, const char* key) {
    const std::uint64_t after = number_in(member(now, object), key);
    return static_cast<double>(after - std::min(after, number_in(member(before, object), key)));
  };
  const double bytes = grown("frames", "rx_bytes") + grown("frames", "tx_bytes");
  now["passes_per_byte"] = bytes > 0 ? grown("passes", "bytes") / bytes : 0;
  now["kernel_copies_per_byte"] = bytes > 0 ? grown("passes", "kernel_bytes") / bytes : 0;
}

// Whatever is there of what is expected; it may come from a stranger.
void add_all_rates(Json& now, const Json& before) {
  const std::uint64_t from = number_in(before, "time_ns");
  const std::uint64_t to = number_in(now, "time_ns");
  if (from == 0 || to <= from) return;
  const double seconds = static_cast<double>(to - from) * 1e-9;
  now["interval_s"] = seconds;
  if (now.contains("frames") && now["frames"].is_object()) {
    add_rates(now["frames"], member(before, "frames"), seconds,
              {"rx_frames", "rx_bytes", "tx_frames", "tx_bytes"});
  }
  add_passes(now, before);
  if (now.contains("rdma") && member(now["rdma"], "qps").is_array()) {
    for (Json& qp : now["rdma"]["qps"]) {
      if (!qp.is_object()) continue;
      add_rates(qp, same_in(member(member(before, "rdma"), "qps"), qp, {"number"}), seconds,
                {"requests", "request_bytes", "messages", "message_bytes"});
    }
  }
  if (now.contains("tcp") && member(now["tcp"], "connections").is_array()) {
    for (Json& connection : now["tcp"]["connections"]) {
      if (!connection.is_object()) continue;
      add_rates(
          connection,
          same_in(member(member(before, "tcp"), "connections"), connection, {"local", "remote"}),
          seconds, {"bytes_acked", "bytes_received"});
    }
  }
}

std::string bytes_in(const Json& object, std::string_view key) {
  return amount_text(real_in(object, key));
}

void print_qp(const Json& qp) {
  fmt::print("  QP {:#08x} {} {}", number_in(qp, "number"), text_in(qp, "type"),
             text_in(qp, "state"));
  if (const std::string peer = text_in(qp, "peer"); !peer.empty()) {
    fmt::print("  peer {} {:#08x}", peer, number_in(qp, "peer_number"));
  }
  fmt::print("  path MTU {}\n", number_in(qp, "path_mtu"));
  fmt::print("    psn: sq {} una {} ({} unacked) rq {}; queued {} sends, {} receives\n",
             number_in(qp, "sq_psn"), number_in(qp, "una_psn"), number_in(qp, "unacked"),
             number_in(qp, "rq_psn"), number_in(qp, "posted_sends"),
             number_in(qp, "posted_receives"));
  fmt::print("    requests {} ({:.0f}/s) {} ({}/s); from the peer {} ({:.0f}/s) {} ({}/s)\n",
             number_in(qp, "requests"), real_in(qp, "requests_per_s"),
             bytes_in(qp, "request_bytes"), bytes_in(qp, "request_bytes_per_s"),
             number_in(qp, "messages"), real_in(qp, "messages_per_s"),
             bytes_in(qp, "message_bytes"), bytes_in(qp, "message_bytes_per_s"));
  fmt::print(
      "    retries left {}, of RNR {}; sent again {} packets, {} timeouts, RNR {} received {} "
      "sent\n",
      number_in(qp, "retries_left"), number_in(qp, "rnr_retries_left"),
      number_in(qp, "retransmits"), number_in(qp, "timeouts"), number_in(qp, "rnr_received"),
      number_in(qp, "rnr_sent"));
}

// Of the path MTU, if there were any.
std::string probes_text(const Json& info) {
  const std::uint64_t probes = number_in(info, "mtu_probes");
  const bool searches = member(info, "mtu_search") == true;
  if (probes == 0 && !searches) return {};
  return fmt::format(" ({}{} probes, {} lost)", searches ? "searched for, " : "", probes,
                     number_in(info, "mtu_probes_lost"));
}

// As `ss -ti` would: what the connection has, then what it is doing.
void print_connection(const Json& info) {
  fmt::print("  TCP {} {} -> {}\n   ", text_in(info, "state"), text_in(info, "local"),
             text_in(info, "remote"));
  for (const char* option : {"timestamps", "sack", "ecn"}) {
    if (member(info, option) == true) fmt::print(" {}", option);
  }
  fmt::print(
      " wscale {},{} {}; unacked {} in flight {} sacked {} lost {}; ssthresh {} window {} here "
      "{}\n",
      number_in(info, "send_window_scale"), number_in(info, "receive_window_scale"),
      text_in(info, "recovery"), number_in(info, "unacked"), number_in(info, "in_flight"),
      number_in(info, "sacked"), number_in(info, "lost"), number_in(info, "ssthresh"),
      number_in(info, "send_window"), number_in(info, "receive_window"));
  fmt::print(
      "    cwnd {} mss {} pmtu {}{} rtt {:.3f}/{:.3f} ms rto {:.0f} ms; acknowledged {} ({}/s), "
      "received {} ({}/s), sent again {}, bypassed {}\n",
      number_in(info, "cwnd"), number_in(info, "mss"), number_in(info, "path_mtu"),
      probes_text(info), real_in(info, "srtt_ns") * 1e-6, real_in(info, "rttvar_ns") * 1e-6,
      real_in(info, "rto_ns") * 1e-6, bytes_in(info, "bytes_acked"),
      bytes_in(info, "bytes_acked_per_s"), bytes_in(info, "bytes_received"),
      bytes_in(info, "bytes_received_per_s"), bytes_in(info, "bytes_retransmitted"),
      bytes_in(info, "bytes_bypassed"));
}

// RLIMIT_NOFILE of each program, for a socket takes a descriptor; 0: the kernel does not tell.
void add_limits(Json& process) {
  if (!member(member(process, "clients"), "list").is_array()) return;
  for (Json& client : process["clients"]["list"]) {
    if (!client.is_object()) continue;
    constexpr std::string_view kLine = "Max open files";
    std::ifstream limits(fmt::format("/proc/{}/limits", number_in(client, "pid")));
    std::uint64_t limit = 0;
    for (std::string line; std::getline(limits, line);) {
      if (line.starts_with(kLine)) std::istringstream(line.substr(kLine.size())) >> limit;
    }
    client["descriptor_limit"] = limit;
  }
}

std::string limit_of(const Json& client) {
  const std::uint64_t limit = number_in(client, "descriptor_limit");
  return limit == 0 ? "" : fmt::format(" and of {} descriptors (RLIMIT_NOFILE)", limit);
}

void print_clients(const Json& clients) {
  if (!clients.is_object() || clients.empty()) return;
  fmt::print("  {} programs are attached\n", number_in(clients, "count"));
  for (const Json& client : member(clients, "list")) {
    if (!client.is_object()) continue;
    fmt::print(
        "  {} (process {}) of user {}: {} sockets of at most {}{}, {} of buffers of at most "
        "{}, {} calls\n",
        text_in(client, "program"), number_in(client, "pid"), number_in(client, "uid"),
        number_in(client, "sockets"), number_in(client, "most_sockets"), limit_of(client),
        bytes_in(client, "memory"), bytes_in(client, "most_memory"), number_in(client, "calls"));
  }
  for (const auto& [reason, count] : member(clients, "ended").items()) {
    if (count.is_number_unsigned()) {
      fmt::print("  ended: {} {}\n", count.get<std::uint64_t>(), copy::printable(reason));
    }
  }
}

void print_process(const Json& process) {
  const std::string error = text_in(process, "error");
  const std::string program = text_in(process, "program");
  fmt::print("{} (process {})", program.empty() ? "a program" : program, number_in(process, "pid"));
  if (!error.empty()) {
    fmt::print(": {}\n", error);
    return;
  }
  if (const std::string front_end = text_in(process, "front_end"); !front_end.empty()) {
    fmt::print(", front end {}, host {}", front_end, text_in(process, "host"));
  }
  fmt::print(" on {}", text_in(process, "wire"));
  for (const Json& address : member(process, "addresses")) {
    if (address.is_string()) fmt::print(" {}", copy::printable(address.get<std::string>()));
  }
  fmt::print("\n");
  if (member(process, "busy") == true) {
    fmt::print("  its engine is not being driven\n");
    return;
  }
  const Json& frames = member(process, "frames");
  fmt::print("  frames received {} ({:.0f}/s, {}/s), sent {} ({:.0f}/s, {}/s)\n",
             number_in(frames, "rx_frames"), real_in(frames, "rx_frames_per_s"),
             bytes_in(frames, "rx_bytes_per_s"), number_in(frames, "tx_frames"),
             real_in(frames, "tx_frames_per_s"), bytes_in(frames, "tx_bytes_per_s"));
  fmt::print("  {:.2f} passes/byte of frames, {:.2f} kernel copies/byte\n",
             real_in(process, "passes_per_byte"), real_in(process, "kernel_copies_per_byte"));
  print_clients(member(process, "clients"));
  if (const Json& tcp = member(process, "tcp"); tcp.is_object() && tcp.contains("most")) {
    fmt::print("  TCP: {} connections of at most {}; {} went past it, from program to program\n",
               number_in(tcp, "count"), number_in(tcp, "most"), bytes_in(tcp, "bypassed_bytes"));
  }
  if (const Json& rdma = member(process, "rdma"); rdma.is_object() && !rdma.empty()) {
    fmt::print("  RDMA: {} QPs, {} CQs, {} MRs and MWs, {} PDs, {} SRQs, {} AHs\n",
               number_in(rdma, "qp_count"), number_in(rdma, "cqs"), number_in(rdma, "regions"),
               number_in(rdma, "pds"), number_in(rdma, "srqs"), number_in(rdma, "ahs"));
    for (const Json& qp : member(rdma, "qps")) {
      if (qp.is_object()) print_qp(qp);
    }
  }
  for (const Json& info : member(member(process, "tcp"), "connections")) {
    if (info.is_object()) print_connection(info);
  }
  for (const auto& [reason, count] : member(process, "drops").items()) {
    if (count.is_number_unsigned()) {
      fmt::print("  dropped: {} {}\n", count.get<std::uint64_t>(), copy::printable(reason));
    }
  }
}

}  // namespace

int status(const StatusOptions& options) {
  std::vector<Process> processes = find_processes();
  std::vector<std::pair<Process, Json>> before;
  for (Process& process : processes) {
    auto answer = ask(process);
    if (!answer) continue;
    // In another namespace it has a number that only it knows.
    if (process.pid == 0) process.pid = static_cast<int>(number_in(*answer, "pid"));
    if (options.pid != 0 && process.pid != options.pid) continue;
    if (!options.name.empty() && text_in(*answer, "front_end") != options.name) continue;
    before.emplace_back(std::move(process), std::move(*answer));
  }
  if (options.pid != 0 && before.empty()) fail_without(options.pid);
  if (!options.name.empty() && before.empty()) {
    throw Failure({.kind = ErrorKind::kEnvironment,
                   .what = fmt::format("no front end '{}' runs", options.name),
                   .remedy = "`tideline up` starts one"});
  }
  if (!before.empty()) {
    std::this_thread::sleep_for(std::chrono::duration<double>(options.interval));
  }
  Json all = Json::array();
  for (auto& [process, first] : before) {
    auto second = ask(process);
    if (!second) continue;  // it has ended
    add_all_rates(*second, first);
    add_limits(*second);
    all.push_back(std::move(*second));
  }
  if (options.json) {
    Json object = begin_json("status", true);
    object["processes"] = std::move(all);
    print_json(object);
    return kDone;
  }
  if (all.empty()) fmt::print("no program runs on tideline\n");
  for (const Json& process : all) print_process(process);
  return kDone;
}

}  // namespace tideline::app
