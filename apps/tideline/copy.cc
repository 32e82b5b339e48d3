// SPDX-License-Identifier: Apache-2.0
// `tideline copy`: a file moves by RDMA WRITE from one host's memory into another's. How the two
// sides talk: copy/message.h; how bytes go: copy/sending.h.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/rdma.h"
#include "api_session.h"
#include "base/clock.h"
#include "commands.h"
#include "copy/receiving.h"
#include "copy/sending.h"
#include "copy/target.h"
#include "progress_bar.h"
#include "report.h"
#include "session.h"

namespace tideline::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostAtATime = 16;

// An engine with an RDMA device, as the options say, woken by SIGINT and SIGTERM.
class RdmaSession {
 public:
  explicit RdmaSession(const WireOptions& options)
      : rdma_(value_or_throw(api::RdmaEngine::open(
            {.wire = options.wire,
             .mtu = options.mtu,
             .impair = options.impair,
             .seed = options.seed,
             .capture = options.capture},
            {.ip4 = options.ip4, .ip6 = options.ip6, .gateways = options.gateways}))),
        stop_(&rdma_->engine()) {
    value_or_throw(rdma_->host().wait_until_ready(std::chrono::seconds(30)));
    verbs_ = value_or_throw(copy::Verbs::create(*rdma_));
    status_.emplace(rdma_->runtime().worker(), &rdma_->device(),
                    identity_of(rdma_->host(), options));
  }

  Engine& engine() { return rdma_->engine(); }
  api::RdmaEngine& rdma() { return *rdma_; }
  copy::Verbs& verbs() { return *verbs_; }
  bool stopped() const { return stop_.stopped(); }
  // What engine and device have dropped, and how often.
  Json drops() {
    Json json = to_json(engine().stats().drops);
    json.update(to_json(engine::list_drops(rdma_->device().counters())));
    return json;
  }
  std::uint64_t count(rdma::Counter counter) { return rdma_->device().counters().of(counter); }

 private:
  std::unique_ptr<api::RdmaEngine> rdma_;
  StopFlag stop_;
  std::unique_ptr<copy::Verbs> verbs_;
  std::optional<StatusOffer> status_;
};

double seconds_of(Duration duration) { return static_cast<double>(duration.count()) * 1e-9; }

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

class CopyListener {
 public:
  CopyListener(const WireOptions& wire, const std::string& directory)
      : wire_(wire), directory_(value_or_throw(copy::Directory::open(directory))), session_(wire) {
    listener_ = value_or_throw(
        session_.rdma().host().listen(copy::kPort, {.backlog = 64, .stream = copy::kLineOptions}));
    if (wire.json) return;
    fmt::print("ready: taking files in {} on {}", directory, wire.wire);
    for (const auto& address : session_.rdma().host().ip4()) fmt::print(" {}", address);
    for (const auto& address : session_.rdma().host().ip6()) fmt::print(" {}", address);
    fmt::print(", TCP port {}\n", copy::kPort);
    std::fflush(stdout);
  }

  int run() {
    const Instant end = end_of(wire_);
    while (!session_.stopped() && monotonic_now() < end) turn(end);
    for (auto& each : transfers_) each->refuse("the listener was stopped", monotonic_now());
    const Instant limit = monotonic_now() + std::chrono::seconds(1);
    while (!transfers_.empty() && monotonic_now() < limit) turn(limit);
    transfers_.clear();
    session_.engine().drain(std::chrono::seconds(1));
    report();
    value_or_throw(session_.engine().flush_capture());
    return kDone;
  }

 private:
  void turn(Instant end) {
    for (const auto& each : transfers_) end = std::min(end, each->next_deadline());
    const Instant before = monotonic_now();
    session_.engine().wait(std::max(end - before, Duration(0)));
    while (session_.engine().next()) {
    }
    // Of requests to others there are none, so completions tell nothing.
    while (session_.verbs().next()) {
    }
    const Instant now = monotonic_now();
    while (auto stream = listener_.accept()) {
      const auto busy = std::ranges::count_if(
          transfers_, [](const auto& transfer) { return !transfer->is_leaving(); });
      transfers_.push_back(std::make_unique<copy::Receiving>(
          session_.verbs(), directory_, std::move(*stream),
          static_cast<std::size_t>(busy) < kMostAtATime && !session_.stopped(), now));
    }
    for (auto& each : transfers_) {
      const bool was_leaving = each->is_leaving();
      each->step(now);
      if (each->is_leaving() && !was_leaving) tell(*each);
    }
    std::erase_if(transfers_, [](const auto& each) { return each->is_over(); });
  }

  void tell(const copy::Receiving& transfer) {
    if (transfer.is_kept()) {
      ++files_;
      bytes_ += transfer.size();
    } else {
      ++failed_;
    }
    if (wire_.json) return;
    const std::string size = amount_text(static_cast<double>(transfer.size()));
    if (transfer.is_kept()) {
      const double seconds = seconds_of(transfer.taken());
      fmt::print("{}: {} from {} in {:.3f} s, {}/s, XXH128 {}\n", transfer.name(), size,
                 transfer.client(), seconds,
                 amount_text(static_cast<double>(transfer.size()) / seconds),
                 copy::text_of(transfer.checksum()));
    } else {
      fmt::print("{}: not taken from {}: {}\n",
                 transfer.was_offered() ? transfer.name() : "a file without a name",
                 transfer.client(), transfer.reason());
    }
    std::fflush(stdout);
  }

  void report() {
    const Json drops = session_.drops();
    if (!wire_.json) {
      fmt::print("{} files, {}; {} not taken\n", files_, amount_text(static_cast<double>(bytes_)),
                 failed_);
      print_drops(drops);
      return;
    }
    auto json = begin_json("copy", true);
    json["files"] = files_;
    json["bytes"] = bytes_;
    json["not_taken"] = failed_;
    json["cpu_s"] = cpu_seconds();
    json["seed"] = session_.engine().seed();
    json["drops"] = drops;
    print_json(json);
  }

  const WireOptions& wire_;
  copy::Directory directory_;
  RdmaSession session_;
  Listener listener_;
  std::vector<std::unique_ptr<copy::Receiving>> transfers_;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t failed_ = 0;
};

class CopyClient {
 public:
  CopyClient(const WireOptions& wire, const CopyOptions& options)
      : wire_(wire),
        options_(options),
        target_(value_or_throw(copy::parse_target(options.target, options.file))),
        endpoint_(value_or_throw(Endpoint::parse(target_.host, copy::kPort))),
        file_(value_or_throw(copy::open_outgoing(options.file))),
        session_(wire) {}

  int run() {
    auto stream = value_or_throw(session_.rdma().host().connect(endpoint_, copy::kLineOptions));
    const Instant begin = monotonic_now();
    copy::Sending sending(session_.verbs(), std::move(stream), std::move(file_), target_.name,
                          begin);
    if (!move(sending, end_of(wire_))) {
      fmt::print(stderr, "tideline: stopped before the file was whole\n");
      return kNegative;
    }
    const double seconds = seconds_of(monotonic_now() - begin);
    const bool same = sending.done().checksum == sending.checksum();
    sending.hang_up();
    part(sending);
    report(sending, same, seconds);
    if (!same) {
      fmt::print(stderr, "tideline: what has arrived is not what was sent: the checksums differ\n");
    }
    value_or_throw(session_.engine().flush_capture());
    return same ? kDone : kNegative;
  }

 private:
  // False: the user has had enough.
  bool move(copy::Sending& sending, Instant end) {
    // Not for who reads the JSON object.
    ProgressBar bar(!wire_.json);
    Status status;
    bool stopped = false;
    while (status && !sending.is_done()) {
      const Instant now = monotonic_now();
      stopped = session_.stopped() || now >= end;
      if (stopped) break;
      session_.engine().wait(std::max(std::min(end, sending.next_deadline()) - now, Duration(0)));
      while (session_.engine().next()) {
      }
      status = sending.step(monotonic_now());
      bar.show(sending.arrived(), sending.size());
    }
    bar.clear();
    if (status && !stopped) return true;
    // What the listener has done it knows.
    const bool own = !stopped && status.error().kind != ErrorKind::kPeer;
    sending.give_up(own ? status.error().what : "it has given up");
    part(sending);
    (void)session_.engine().flush_capture();
    if (!status) throw Failure(status.error());
    return false;
  }

  // The listener's last words need not come, but ours should arrive.
  void part(copy::Sending& sending) {
    const Instant limit = monotonic_now() + std::chrono::seconds(2);
    for (Instant now = monotonic_now(); now < limit && !sending.has_parted();
         now = monotonic_now()) {
      session_.engine().wait(limit - now);
      while (session_.engine().next()) {
      }
    }
    session_.engine().drain(std::chrono::seconds(1));
  }

  void report(const copy::Sending& sending, bool same, double seconds) {
    const packet::PassCounter passes = session_.rdma().passes();
    const auto size = static_cast<double>(sending.size());
    const auto per_byte = [&](std::uint64_t bytes) {
      return size == 0 ? 0 : static_cast<double>(bytes) / size;
    };
    // The checksum is a pass, reading the file a copy of the kernel's.
    const double passed = per_byte(passes.total() + sending.size() + sending.done().passed);
    const double copied = per_byte(passes.bytes(packet::Pass::kKernelCopy) + sending.size() +
                                   sending.done().kernel_copied);
    if (!wire_.json) {
      fmt::print(
          "{}: {} in {:.3f} s, {}/s, {:.2f} passes/byte and {:.2f} by the kernel, XXH128 {}\n",
          options_.file, amount_text(size), seconds, amount_text(size / seconds), passed, copied,
          copy::text_of(sending.checksum()));
      return;
    }
    auto json = begin_json("copy", same);
    json["file"] = options_.file;
    json["host"] = target_.host;
    json["name"] = target_.name;
    json["bytes"] = sending.size();
    json["seconds"] = seconds;
    json["bytes_per_s"] = size / seconds;
    json["xxh128"] = copy::text_of(sending.checksum());
    json["passes_per_byte"] = passed;
    json["kernel_copies_per_byte"] = copied;
    json["cpu_s"] = cpu_seconds();
    json["direct_bytes"] = session_.count(rdma::Counter::kDirectBytes);
    json["retransmitted_packets"] = session_.count(rdma::Counter::kRetransmits);
    json["timeouts"] = session_.count(rdma::Counter::kTimeouts);
    json["seed"] = session_.engine().seed();
    json["drops"] = session_.drops();
    print_json(json);
  }

  const WireOptions& wire_;
  const CopyOptions& options_;
  copy::Target target_;
  Endpoint endpoint_;
  copy::OutgoingFile file_;
  RdmaSession session_;
};

}  // namespace

int copy_file(const WireOptions& wire, const CopyOptions& options) {
  const bool sends = !options.file.empty() && !options.target.empty();
  if (options.listen.empty() ? !sends : !options.file.empty()) {
    throw Failure({.kind = ErrorKind::kUsage,
                   .what = "copy sends one file or takes files",
                   .remedy = "use `tideline copy FILE HOST:NAME` or `tideline copy --listen DIR`"});
  }
  if (!options.listen.empty()) return CopyListener(wire, options.listen).run();
  return CopyClient(wire, options).run();
}

}  // namespace tideline::app
