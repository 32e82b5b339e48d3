// SPDX-License-Identifier: Apache-2.0
#include "scene.h"

#include <algorithm>
#include <memory>

namespace tideline::bench_congestion {
namespace {

using tcp::test::Queued;
using tcp::test::SimFlow;
using tcp::test::SimNet;

constexpr std::uint64_t kEndless = std::uint64_t{1} << 40;
constexpr std::size_t kBuffer = std::size_t{4} << 20;

double ms_of(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

class Stage {
 public:
  explicit Stage(const Scene& scene)
      : scene_(scene),
        net_(scene.link, scene.seed, {.max_ranges = 1U << 18, .ecn = scene.ecn}),
        begin_(net_.now),
        flows_(scene.flows.size()) {
    net_.watch = [this](const Queued& queued) { see(queued); };
  }

  Outcome play() {
    run_to(scene_.warm);
    waits_.clear();
    came_ = lost_ = marked_ = 0;
    const std::vector<std::uint64_t> before = received();
    run_to(scene_.warm + scene_.measured);
    Outcome outcome = summarise(before);
    outcome.series = std::move(series_);
    return outcome;
  }

 private:
  void see(const Queued& queued) {
    if (queued.from != 0) return;
    ++came_;
    if (queued.lost) ++lost_;
    if (queued.marked) ++marked_;
    waits_.push_back(static_cast<float>(ms_of(queued.waiting)));
    longest_ = std::max(longest_, queued.waiting);
  }

  std::vector<std::uint64_t> received() const {
    std::vector<std::uint64_t> all;
    all.reserve(flows_.size());
    for (const auto& flow : flows_) all.push_back(flow == nullptr ? 0 : flow->server.received);
    return all;
  }

  void start_due(Duration now) {
    for (std::size_t i = 0; i < flows_.size(); ++i) {
      const FlowPlan& plan = scene_.flows[i];
      if (flows_[i] != nullptr || plan.start > now) continue;
      const auto port = static_cast<std::uint16_t>(tcp::test::kPort + i);
      flows_[i] = std::make_unique<SimFlow>(
          net_, true, port, i + 1, kEndless, 0, kBuffer,
          tcp::StreamOptions{.pacing = plan.paced, .congestion = plan.algorithm.value});
      flows_[i]->server.closes = false;
    }
  }

  // From one begin of a flow, or of a step, to the next.
  void run_to(Duration end) {
    while (net_.now - begin_ < end) {
      const Duration now = net_.now - begin_;
      start_due(now);
      Duration next = end;
      for (const FlowPlan& plan : scene_.flows) {
        if (plan.start > now) next = std::min(next, plan.start);
      }
      if (scene_.step > Duration{}) {
        next = std::min(next, (now / scene_.step + 1) * scene_.step);
      }
      const std::vector<std::uint64_t> before = received();
      longest_ = {};
      net_.run(
          [this] {
            for (auto& flow : flows_) {
              if (flow != nullptr) flow->step();
            }
            return false;
          },
          next - now);
      if (scene_.step > Duration{}) note_step(now, next, before);
    }
  }

  void note_step(Duration from, Duration to, const std::vector<std::uint64_t>& before) {
    Step step{.at_s = ms_of(to) / 1e3, .queue_ms = ms_of(longest_)};
    const std::vector<std::uint64_t> after = received();
    for (std::size_t i = 0; i < after.size(); ++i) {
      step.mbps.push_back(static_cast<double>(after[i] - before[i]) * 8e-3 / ms_of(to - from));
    }
    series_.push_back(std::move(step));
  }

  Outcome summarise(const std::vector<std::uint64_t>& before) {
    Outcome outcome;
    const std::vector<std::uint64_t> after = received();
    double sum = 0;
    double squares = 0;
    for (std::size_t i = 0; i < after.size(); ++i) {
      const double mbps = static_cast<double>(after[i] - before[i]) * 8e-3 / ms_of(scene_.measured);
      outcome.mbps.push_back(mbps);
      sum += mbps;
      squares += mbps * mbps;
    }
    const auto count = static_cast<double>(after.size());
    outcome.used = sum / (static_cast<double>(scene_.link.rate) * 1e-6 * kPayload);
    outcome.jain = squares == 0 ? 0 : sum * sum / (count * squares);
    if (waits_.empty()) return outcome;
    const auto frames = static_cast<double>(waits_.size());
    for (const float wait : waits_) outcome.queue_mean_ms += wait / frames;
    const auto p99 = waits_.begin() + static_cast<long>(frames * 0.99);
    std::ranges::nth_element(waits_, p99);
    outcome.queue_p99_ms = *p99;
    outcome.lost = static_cast<double>(lost_) / static_cast<double>(came_);
    outcome.marked = static_cast<double>(marked_) / static_cast<double>(came_);
    return outcome;
  }

  const Scene& scene_;
  SimNet net_;
  Instant begin_;
  std::vector<std::unique_ptr<SimFlow>> flows_;
  std::vector<float> waits_;  // milliseconds
  std::uint64_t came_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t marked_ = 0;
  Duration longest_{};
  std::vector<Step> series_;
};

}  // namespace

Outcome play(const Scene& scene) { return Stage(scene).play(); }

}  // namespace tideline::bench_congestion
