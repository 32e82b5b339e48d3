// SPDX-License-Identifier: Apache-2.0
// `tideline udp-blast`: as many datagrams as a path carries, and what became of them.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <limits>
#include <random>
#include <string>
#include <utility>

#include "base/clock.h"
#include "commands.h"
#include "port/impairment_spec.h"
#include "report.h"
#include "session.h"
#include "udp_blast/engine_side.h"
#include "udp_blast/kernel_side.h"

namespace tideline::app {
namespace {

using blast::Plan;
using blast::Report;
using blast::Sink;
using blast::Source;
using Json = nlohmann::ordered_json;

constexpr double kDefaultDuration = 10;

Duration to_duration(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

double per_second(std::uint64_t amount, std::uint64_t ns) {
  return ns == 0 ? 0 : static_cast<double>(amount) * 1e9 / static_cast<double>(ns);
}

double per_byte(std::uint64_t amount, std::uint64_t bytes) {
  return bytes == 0 ? 0 : static_cast<double>(amount) / static_cast<double>(bytes);
}

Plan make_plan(const UdpBlastOptions& options, double duration) {
  Plan plan{.size = options.size, .count = options.count, .run = std::random_device{}()};
  if (!options.rate.empty()) {
    const auto spec = port::ImpairmentSpec::parse("rate=" + options.rate);
    if (!spec) {
      throw Failure({.kind = ErrorKind::kUsage,
                     .what = fmt::format("'{}' is no rate", options.rate),
                     .remedy = "write it like 10Gbit, 500Mbit, 64kbit or 1200bit"});
    }
    plan.rate_bits = spec->rate_bits;
  }
  if (duration > 0 || options.count == 0) {
    plan.duration = to_duration(duration > 0 ? duration : kDefaultDuration);
  }
  return plan;
}

// What both forms know at the end.
struct Sent {
  const Source& source;
  const char* form;
  std::string offload;  // how datagrams are joined
};

bool is_whole(const Source& source) {
  const auto& report = source.report();
  return source.state() == Source::State::kDone && report && report->lost == 0 && source.sent() > 0;
}

Json to_json(const Report& report) {
  return {{"datagrams", report.datagrams},
          {"bytes", report.bytes},
          {"seconds", static_cast<double>(report.elapsed_ns) * 1e-9},
          {"bytes_per_s", per_second(report.bytes, report.elapsed_ns)},
          {"packets_per_s", per_second(report.datagrams, report.elapsed_ns)},
          {"lost", report.lost},
          {"reordered", report.reordered},
          {"duplicates", report.duplicates},
          {"unsorted", report.unsorted},
          {"jitter_ns", report.jitter_ns},
          {"cpu_s", static_cast<double>(report.cpu_ns) * 1e-9},
          {"passes_per_byte", per_byte(report.passed, report.bytes)},
          {"kernel_copies_per_byte", per_byte(report.copied, report.bytes)}};
}

std::string to_text(const Report& report) {
  return fmt::format(
      "{} datagrams in {:.3f} s: {:.3f} Gb/s, {:.3f} M datagrams/s; {} lost, {} reordered, {} "
      "duplicates, {} unsorted; jitter {:.3f} us; {:.2f} passes/byte, {:.2f} kernel copies/byte, "
      "{:.2f} s of processor",
      report.datagrams, static_cast<double>(report.elapsed_ns) * 1e-9,
      per_second(report.bytes, report.elapsed_ns) * 8e-9,
      per_second(report.datagrams, report.elapsed_ns) * 1e-6, report.lost, report.reordered,
      report.duplicates, report.unsorted, static_cast<double>(report.jitter_ns) * 1e-3,
      per_byte(report.passed, report.bytes), per_byte(report.copied, report.bytes),
      static_cast<double>(report.cpu_ns) * 1e-9);
}

Json sender_json(const Sent& sent, const Plan& plan, const std::string& host) {
  const Source& source = sent.source;
  const std::uint64_t bytes = source.sent() * plan.size;
  const auto ns = static_cast<std::uint64_t>(source.elapsed(monotonic_now()).count());
  auto json = begin_json("udp-blast", is_whole(source));
  json["role"] = "sender";
  json["form"] = sent.form;
  json["offload"] = sent.offload;
  json["host"] = host;
  json["size_bytes"] = plan.size;
  json["sent"] = source.sent();
  json["seconds"] = static_cast<double>(ns) * 1e-9;
  json["bytes_per_s"] = per_second(bytes, ns);
  json["packets_per_s"] = per_second(source.sent(), ns);
  json["cpu_s"] = static_cast<double>(source.effort().cpu_ns) * 1e-9;
  json["passes_per_byte"] = per_byte(source.effort().passed, bytes);
  json["kernel_copies_per_byte"] = per_byte(source.effort().copied, bytes);
  json["blocked"] = source.blocked();
  json["dropped_while_sending"] = source.effort().dropped;
  if (const auto& report = source.report()) {
    json["lost"] = report->lost;
    json["sink"] = to_json(*report);
  }
  return json;
}

void print_sender(const Sent& sent, const Plan& plan) {
  const Source& source = sent.source;
  const std::uint64_t bytes = source.sent() * plan.size;
  const auto ns = static_cast<std::uint64_t>(source.elapsed(monotonic_now()).count());
  fmt::print(
      "sent      {} datagrams of {} bytes in {:.3f} s: {:.3f} Gb/s; {:.2f} passes/byte, "
      "{:.2f} kernel copies/byte, {:.2f} s of processor; {}, {}\n",
      source.sent(), plan.size, static_cast<double>(ns) * 1e-9, per_second(bytes, ns) * 8e-9,
      per_byte(source.effort().passed, bytes), per_byte(source.effort().copied, bytes),
      static_cast<double>(source.effort().cpu_ns) * 1e-9, sent.form, sent.offload);
  if (const auto& report = source.report()) fmt::print("received  {}\n", to_text(*report));
}

// The exit status, or a Failure that says why there is no report.
int conclude(const Source& source, const std::string& host) {
  switch (source.state()) {
    case Source::State::kDone:
      return is_whole(source) ? kDone : kNegative;
    case Source::State::kRefused:
      throw Failure({.kind = ErrorKind::kPeer,
                     .what = fmt::format("{} cannot be reached, or has no sink on UDP port {}",
                                         host, blast::kPort),
                     .remedy = "start one there: tideline udp-blast --listen"});
    case Source::State::kUnanswered:
      throw Failure({.kind = ErrorKind::kPeer,
                     .what = fmt::format("{} does not answer on UDP port {}", host, blast::kPort),
                     .remedy = "start a sink there: tideline udp-blast --listen"});
    case Source::State::kBeginning:
    case Source::State::kSending:
    case Source::State::kEnding:
      break;
  }
  fmt::print(stderr, "tideline: stopped before the sink has reported\n");
  return kNegative;
}

std::string describe_offload(const char* name, std::size_t per_packet) {
  if (per_packet == 1) return "none";
  return fmt::format("{}, {} datagrams to a packet", name, per_packet);
}

int send_over_engine(const WireOptions& wire, const UdpBlastOptions& options,
                     const wire::Ipv6Address& host) {
  const Plan plan = make_plan(options, wire.duration);
  WireOptions unlimited = wire;
  unlimited.duration = 0;  // the end is told to the sink
  Session session(unlimited);
  session.add_host();
  blast::Progress progress;
  blast::EngineSource blast(session.worker(), session.mtu(), host, plan, !options.no_offload,
                            progress);
  session.run(blast);
  progress.clear();
  if (const auto& error = blast.error()) {
    throw Failure({.kind = ErrorKind::kEnvironment,
                   .what = fmt::format("cannot send to {}: {}", options.host, ip::explain(*error)),
                   .remedy = "check --ip, --ip6 and --gateway"});
  }
  const Sent sent{.source = blast.source(),
                  .form = "tideline",
                  .offload = describe_offload("uso", blast.per_packet())};
  if (wire.json) {
    auto json = sender_json(sent, plan, options.host);
    json["seed"] = session.seed();
    json["drops"] = drops_of(session.worker());
    print_json(json);
  } else {
    print_sender(sent, plan);
    if (!wire.impair.empty()) fmt::print("seed {}\n", session.seed());
    print_drops(session.worker());
  }
  return conclude(blast.source(), options.host);
}

int send_over_kernel(const WireOptions& wire, const UdpBlastOptions& options,
                     const wire::Ipv6Address& host) {
  const Plan plan = make_plan(options, wire.duration);
  blast::Progress progress;
  blast::KernelSource blast(value_or_throw(blast::KernelSource::connect(host)), plan,
                            !options.no_offload, progress);
  blast.run();
  progress.clear();
  const Sent sent{.source = blast.source(),
                  .form = "kernel",
                  .offload = describe_offload("sendmmsg, UDP_SEGMENT", blast.per_packet())};
  if (wire.json) {
    auto json = sender_json(sent, plan, options.host);
    json["drops"] = Json::object();
    print_json(json);
  } else {
    print_sender(sent, plan);
  }
  return conclude(blast.source(), options.host);
}

std::string sender_name(const ip::UdpEndpoint& sender) {
  const auto& address = sender.address;
  return fmt::format("{}:{}",
                     address.is_mapped() ? address.mapped_ipv4().to_text()
                                         : fmt::format("[{}]", address.to_text()),
                     sender.port);
}

// Prints what a sink has seen; the exit status says whether anything was lost.
int conclude_sink(const Sink& sink, const WireOptions& wire, const char* form, const Json& drops) {
  bool ok = true;
  auto senders = Json::array();
  for (const auto& run : sink.runs()) {
    // A sender that has not said how much it sent is judged by what has come.
    const Report report = run->reported ? run->report : run->flow.report();
    ok = ok && report.lost == 0;
    auto sender = to_json(report);
    sender["sender"] = sender_name(run->sender);
    sender["size_bytes"] = run->size;
    sender["ended"] = run->reported;
    senders.push_back(std::move(sender));
    if (!wire.json) {
      fmt::print("{}, {} bytes each: {}{}\n", sender_name(run->sender), run->size, to_text(report),
                 run->reported ? "" : "; its end was not heard");
    }
  }
  if (!wire.json) return ok ? kDone : kNegative;
  auto json = begin_json("udp-blast", ok);
  json["role"] = "sink";
  json["form"] = form;
  json["senders"] = std::move(senders);
  json["strays"] = sink.strays();
  json["drops"] = drops;
  print_json(json);
  return ok ? kDone : kNegative;
}

std::string ready_text(const std::string& where, bool json) {
  return json ? "" : fmt::format("ready: sink on {}, UDP port {}\n", where, blast::kPort);
}

int listen_over_engine(const WireOptions& wire, const UdpBlastOptions& options) {
  Session session(wire);
  session.add_host();
  blast::Progress progress;
  blast::EngineSink sink(session.worker(), options.count, progress,
                         ready_text(wire.wire, wire.json));
  session.run(sink);
  progress.clear();
  const int status = conclude_sink(sink.sink(), wire, "tideline", drops_of(session.worker()));
  if (!wire.json) print_drops(session.worker());
  return status;
}

int listen_over_kernel(const WireOptions& wire, const UdpBlastOptions& options) {
  blast::Progress progress;
  blast::KernelSink sink(value_or_throw(blast::KernelSink::listen()), options.count, progress);
  fmt::print("{}", ready_text("the kernel's addresses, recvmmsg and UDP_GRO", wire.json));
  std::fflush(stdout);
  sink.run(wire.duration > 0 ? monotonic_now() + to_duration(wire.duration) : kNever);
  progress.clear();
  return conclude_sink(sink.sink(), wire, "kernel", Json::object());
}

}  // namespace

int udp_blast(const WireOptions& wire, const UdpBlastOptions& options) {
  if (options.listen == !options.host.empty()) {
    throw Failure({.kind = ErrorKind::kUsage,
                   .what = options.listen ? "a sink has no HOST" : "nobody to send to",
                   .remedy = "give either HOST or --listen"});
  }
  if (!options.kernel && wire.wire.empty()) {
    throw Failure({.kind = ErrorKind::kUsage,
                   .what = "no wire",
                   .remedy = "give --wire (see `tideline ports`), or --kernel"});
  }
  if (options.listen) {
    return options.kernel ? listen_over_kernel(wire, options) : listen_over_engine(wire, options);
  }
  const wire::Ipv6Address host = parse_host(options.host);
  return options.kernel ? send_over_kernel(wire, options, host)
                        : send_over_engine(wire, options, host);
}

}  // namespace tideline::app
