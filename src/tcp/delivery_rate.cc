// SPDX-License-Identifier: Apache-2.0
#include "tcp/delivery_rate.h"

#include <algorithm>

namespace tideline::tcp {

void DeliveryRate::on_packet_sent(Range& range, std::uint32_t inflight) {
  if (inflight <= range.size()) first_send_time_ = delivered_time_ = range.sent;
  range.at_sending = {.delivered = delivered_,
                      .lost = lost_,
                      .delivered_time = delivered_time_,
                      .first_send_time = first_send_time_,
                      .tx_in_flight = inflight,
                      .is_app_limited = app_limited_ != 0};
}

void DeliveryRate::update_rate_sample(const Range& range, Seq end, Instant now) {
  delivered_ += end - range.begin;
  delivered_time_ = now;
  const SendState& p = range.at_sending;
  if (p.delivered_time == Instant{}) return;  // sent before anybody asked
  if (rs_.has_data && !is_newest_packet(range, end)) return;
  rs_.has_data = true;
  rs_.prior_delivered = p.delivered;
  rs_.prior_time = p.delivered_time;
  rs_.is_app_limited = p.is_app_limited;
  rs_.tx_in_flight = p.tx_in_flight;
  rs_.lost = p.lost;  // until generate_rate_sample(): what was lost before it was sent
  rs_.send_elapsed = range.sent - p.first_send_time;
  rs_.ack_elapsed = delivered_time_ - p.delivered_time;
  rs_.last_acked = end;
  first_send_time_ = range.sent;
}

bool DeliveryRate::is_newest_packet(const Range& range, Seq end) const {
  return range.sent > first_send_time_ || (range.sent == first_send_time_ && end > rs_.last_acked);
}

void DeliveryRate::generate_rate_sample(Duration min_rtt) {
  if (app_limited_ != 0 && delivered_ > app_limited_) app_limited_ = 0;
  if (!rs_.has_data) return;
  rs_.interval = std::max(rs_.send_elapsed, rs_.ack_elapsed);
  rs_.delivered = delivered_ - rs_.prior_delivered;
  rs_.lost = lost_ - rs_.lost;
  // Too short to be true: something was delivered that seemed lost.
  if (rs_.interval < min_rtt || rs_.interval <= Duration{}) return;
  rs_.delivery_rate =
      static_cast<double>(rs_.delivered) * 1e9 / static_cast<double>(rs_.interval.count());
}

void DeliveryRate::mark_connection_app_limited(std::uint32_t inflight) {
  app_limited_ = std::max<std::uint64_t>(delivered_ + inflight, 1);
}

}  // namespace tideline::tcp
