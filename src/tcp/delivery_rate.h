// SPDX-License-Identifier: Apache-2.0
// How fast the path delivers: a sample per acknowledgment, of what was delivered since the segment
// that it covers was sent, over the longer of the times that sending and acknowledging took.
// draft-ietf-ccwg-bbr (of August 2026) §4.1, before draft-cheng-iccrg-delivery-rate-estimation; its
// functions by name and in its order, C and RS as data. Thread: the worker's.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "tcp/scoreboard.h"
#include "tcp/seq.h"

namespace tideline::tcp {

// RS in the draft. Volumes are bytes.
struct RateSample {
  bool has_data = false;
  bool is_app_limited = false;
  Duration rtt{};            // of the latest segment that was sent once; 0: none
  double delivery_rate = 0;  // bytes per second; 0: none
  Duration interval{};
  std::uint64_t delivered = 0;
  std::uint64_t prior_delivered = 0;
  Instant prior_time{};
  Duration send_elapsed{};
  Duration ack_elapsed{};
  Seq last_acked;
  std::uint64_t lost = 0;          // between the segment's sending and its acknowledgment
  std::uint32_t tx_in_flight = 0;  // when it was sent
  std::uint32_t newly_acked = 0;
};

class DeliveryRate {
 public:
  // §4.1.2.2. `range` has just been sent, and is among the `inflight` bytes.
  void on_packet_sent(Range& range, std::uint32_t inflight);

  // §4.1.2.3, in turn for each acknowledgment.
  void init_rate_sample() { rs_ = {}; }
  // The part of `range` before `end` has arrived.
  void update_rate_sample(const Range& range, Seq end, Instant now);
  void generate_rate_sample(Duration min_rtt);

  // §4.1.2.4. There is nothing to send, and the network would take it.
  void mark_connection_app_limited(std::uint32_t inflight);

  void count_lost(std::uint32_t size) { lost_ += size; }

  const RateSample& sample() const { return rs_; }
  RateSample& sample() { return rs_; }
  std::uint64_t delivered() const { return delivered_; }
  std::uint64_t lost() const { return lost_; }
  bool is_app_limited() const { return app_limited_ != 0; }

 private:
  bool is_newest_packet(const Range& range, Seq end) const;

  std::uint64_t delivered_ = 0;  // bytes since the beginning
  std::uint64_t lost_ = 0;
  std::uint64_t app_limited_ = 0;  // until so much is delivered; 0: not
  Instant delivered_time_{};
  Instant first_send_time_{};
  RateSample rs_;
};

}  // namespace tideline::tcp
