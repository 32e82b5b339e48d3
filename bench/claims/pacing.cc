// SPDX-License-Identifier: Apache-2.0
// Large bursts against pacing, at a bottleneck with a short queue: flows that hand over what the
// window allows at once, or spread it over the round trip. Messages with pauses between them, where
// bursts are the sender's own; and bulk, where acknowledgments come at the pace of the bottleneck
// in any case.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "claims.h"
#include "scene.h"

namespace tideline::bench_claims {
namespace {

using namespace bench_congestion;  // NOLINT(google-build-using-namespace): its scene
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::array kQueues{0.1, 0.25, 0.5, 1.0};  // of what the path holds

tcp::test::LinkOptions path_of(double bdps) {
  tcp::test::LinkOptions link{.delay = milliseconds(10), .rate = 100'000'000};
  link.queue = static_cast<std::size_t>(bdps * bdp_frames(link)) * kFrame;
  return link;
}

double ms_of(Duration time) { return static_cast<double>(time.count()) / 1e6; }

double quantile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto at =
      values.begin() + static_cast<long>(static_cast<double>(values.size() - 1) * share);
  std::ranges::nth_element(values, at);
  return *at;
}

// Some senders, each with a message every so often: 28 % of what the path carries. Their pauses are
// shorter than the time after which TCP would begin anew.
class Messages {
 public:
  Messages(double bdps, const Algorithm& algorithm, bool paced, std::uint64_t seed)
      : net_(path_of(bdps), seed), rng_(seed) {
    for (std::uint16_t i = 0; i < kFlows; ++i) {
      flows_.push_back(std::make_unique<tcp::test::SimFlow>(
          net_, true, static_cast<std::uint16_t>(tcp::test::kPort + i), i + 1, kMessage, 0, kBuffer,
          tcp::StreamOptions{.pacing = paced, .congestion = algorithm.value}));
      flows_.back()->client.closes = false;
      flows_.back()->server.to_receive = SIZE_MAX;
      senders_.push_back({.begun = net_.now, .next = net_.now + pause()});
    }
    net_.watch = [this](const Queued& queued) {
      if (queued.from != 0) return;
      ++came_;
      lost_ += queued.lost ? 1 : 0;
      waits_.push_back(ms_of(queued.waiting));
    };
  }

  std::vector<double> play(Duration warm, Duration measured) {
    run_until(net_.now + warm);
    came_ = lost_ = 0;
    waits_.clear();
    times_.clear();
    run_until(net_.now + measured);
    return {100 * static_cast<double>(lost_) / static_cast<double>(came_), quantile(waits_, 0.5),
            quantile(waits_, 0.99), quantile(times_, 0.5), quantile(times_, 0.99)};
  }

 private:
  using Queued = tcp::test::Queued;
  struct Sender {
    Instant begun;
    Instant next;
    bool under_way = true;
  };

  static constexpr int kFlows = 4;
  static constexpr std::size_t kMessage = 128 << 10;
  static constexpr std::size_t kBuffer = std::size_t{4} << 20;

  Duration pause() { return milliseconds(100) + Duration(rng_.below(100'000'000)); }

  void look() {
    for (std::size_t i = 0; i < flows_.size(); ++i) {
      tcp::test::SimFlow& flow = *flows_[i];
      flow.step();
      Sender& sender = senders_[i];
      if (!sender.under_way || flow.server.received < flow.client.to_send) continue;
      sender.under_way = false;
      times_.push_back(ms_of(net_.now - sender.begun));
    }
  }

  void run_until(Instant end) {
    while (net_.now < end) {
      Instant next = end;
      for (const Sender& sender : senders_) next = std::min(next, std::max(sender.next, net_.now));
      if (next > net_.now) {
        net_.run([this] { return look(), false; }, next - net_.now);
      }
      for (std::size_t i = 0; i < flows_.size(); ++i) {
        Sender& sender = senders_[i];
        if (sender.next > net_.now) continue;
        sender.next = net_.now + pause();
        if (sender.under_way) continue;  // the last one takes its time
        sender.under_way = true;
        sender.begun = net_.now;
        flows_[i]->client.to_send += kMessage;
        flows_[i]->client.produce();
      }
    }
  }

  tcp::test::SimNet net_;
  Rng rng_;
  std::vector<std::unique_ptr<tcp::test::SimFlow>> flows_;
  std::vector<Sender> senders_;
  std::vector<double> waits_;  // milliseconds
  std::vector<double> times_;
  std::uint64_t came_ = 0;
  std::uint64_t lost_ = 0;
};

struct Way {
  Algorithm algorithm;
  bool paced;
  std::string name;
};

std::vector<Way> ways() {
  return {{kCubic, false, "cubic"},
          {kCubic, true, "cubic, paced"},
          {kReno, false, "reno"},
          {kReno, true, "reno, paced"},
          {kBbr, true, "bbr, paced"}};
}

}  // namespace

void pacing(Run& run) {
  bench::Table messages{.name = "pacing_messages",
                        .columns = {"queue_BDP", "lost_%", "queue_p50_ms", "queue_p99_ms",
                                    "message_p50_ms", "message_p99_ms"},
                        .rows = {}};
  bench::Table bulk{.name = "pacing_bulk",
                    .columns = {"queue_BDP", "used_%", "queue_mean_ms", "queue_p99_ms", "lost_%"},
                    .rows = {}};
  std::vector<double> lost_unpaced;  // in queues shorter than what the path holds
  bool loses_less = true;
  for (const Way& way : ways()) {
    for (const double bdps : kQueues) {
      std::vector<double> values{bdps};
      std::ranges::move(Messages(bdps, way.algorithm, way.paced, run.seed)
                            .play(seconds(2), seconds(run.quick ? 6 : 60)),
                        std::back_inserter(values));
      // Without it, the same flows are the row before.
      const double lost = values[1];
      if (way.paced && !lost_unpaced.empty()) {
        loses_less = loses_less && lost < lost_unpaced.front();
        lost_unpaced.erase(lost_unpaced.begin());
      } else if (!way.paced && bdps < 1) {
        lost_unpaced.push_back(lost);
      }
      messages.rows.push_back({{way.name}, std::move(values)});

      Scene scene{.link = path_of(bdps),
                  .warm = seconds(run.quick ? 2 : 10),
                  .measured = seconds(run.quick ? 5 : 30),
                  .seed = run.seed};
      for (int i = 0; i < 4; ++i) {
        scene.flows.push_back(
            {.algorithm = way.algorithm, .start = milliseconds(50 * i), .paced = way.paced});
      }
      const Outcome outcome = bench_congestion::play(scene);
      bulk.rows.push_back({{way.name},
                           {bdps, 100 * outcome.used, outcome.queue_mean_ms, outcome.queue_p99_ms,
                            100 * outcome.lost}});
    }
  }
  run.report.check("pacing loses less of messages", loses_less, "queues of 0.1 to 0.5 BDP");
  run.report.table(std::move(messages));
  run.report.table(std::move(bulk));
}

}  // namespace tideline::bench_claims
