// SPDX-License-Identifier: Apache-2.0
#include "ip/membership.h"

#include <algorithm>

namespace tideline::ip {

using wire::GroupRecord;
using wire::GroupRecordType;
using wire::GroupVersion;
using wire::Ipv4Address;
using wire::Ipv6Address;

namespace {

// RFC 3376 §8, RFC 3810 §9.
constexpr unsigned kRobustness = 2;
constexpr Duration kUnsolicitedInterval = std::chrono::seconds(1);
constexpr Duration kOldUnsolicitedInterval = std::chrono::seconds(10);
// Robustness times the query interval, and one response interval.
constexpr Duration kOldQuerierPresent = std::chrono::seconds(2 * 125 + 10);
// Records that fit a packet of the smallest MTU.
constexpr std::size_t kRecordsPerReport = 56;

// Everybody is in these, and routers need not know: RFC 3376 §5, RFC 3810 §6.
bool is_reported(Ipv4Address group) { return group != Ipv4Address(224, 0, 0, 1); }
bool is_reported(const Ipv6Address& group) {
  return group.multicast_scope() > 1 && group != wire::kIpv6AllNodes;
}

}  // namespace

template <typename Address>
auto Membership<Address>::find(const Address& group) -> Group* {
  const auto found = std::ranges::find(groups_, group, &Group::address);
  return found == groups_.end() ? nullptr : &*found;
}

template <typename Address>
bool Membership<Address>::join(const Address& group, Instant now, Duration report_delay) {
  Group* known = find(group);
  if (known == nullptr) {
    if (groups_.size() == kMaxGroups) return false;
    known = &groups_.emplace_back(Group{.address = group});
  }
  if (known->users++ > 0) return true;
  context_.addresses.join(group);
  if (!reports_ || !is_reported(group)) return true;
  known->changes_left = kRobustness;
  if (report_delay > Duration::zero()) {
    known->change_at = now + report_delay;
  } else {
    say_change(*known, now);
  }
  return true;
}

template <typename Address>
void Membership<Address>::leave(const Address& group, Instant now) {
  Group* known = find(group);
  if (known == nullptr || known->users == 0) return;
  --known->users;
  if (known->users > 0) return;
  context_.addresses.leave(group);
  known->answer_at = kNever;
  known->changes_left = 0;
  if (reports_ && is_reported(group)) {
    known->changes_left = kRobustness;
    say_change(*known, now);
  }
  std::erase_if(groups_,
                [](const Group& each) { return each.users == 0 && each.changes_left == 0; });
}

template <typename Address>
GroupVersion Membership<Address>::version(Instant now) const {
  if (now < first_version_until_) return GroupVersion::kReports;
  return now < second_version_until_ ? GroupVersion::kLeaves : GroupVersion::kRecords;
}

// RFC 3376 §5.2 and §7.2.1, RFC 3810 §6.2 and §8.2.1.
template <typename Address>
void Membership<Address>::queried(const wire::GroupQuery<Address>& query, Instant now) {
  if (query.version == GroupVersion::kReports) first_version_until_ = now + kOldQuerierPresent;
  if (query.version == GroupVersion::kLeaves) second_version_until_ = now + kOldQuerierPresent;
  if (!reports_) return;
  const Instant answer_at = within(std::chrono::milliseconds(query.max_response_ms()), now);
  const bool general = query.group == Address();
  if (general && version(now) == GroupVersion::kRecords) {
    answer_all_at_ = std::min(answer_all_at_, answer_at);
    return;
  }
  for (Group& each : groups_) {
    if (each.users == 0 || !is_reported(each.address)) continue;
    if (!general && each.address != query.group) continue;
    // RFC 2236 §3: each group at a time of its own; what is due sooner stays.
    const Instant at = within(std::chrono::milliseconds(query.max_response_ms()), now);
    each.answer_at = std::min(each.answer_at, at);
  }
}

// RFC 2236 §3, RFC 2710 §4: one member's word is enough. The new versions want everybody's.
template <typename Address>
void Membership<Address>::heard(const wire::GroupReport<Address>& report, Instant now) {
  Group* known = find(report.group);
  if (known == nullptr || report.leaves || version(now) == GroupVersion::kRecords) return;
  known->answer_at = kNever;
}

template <typename Address>
Instant Membership<Address>::next_deadline() const {
  Instant earliest = answer_all_at_;
  for (const Group& each : groups_) {
    earliest = std::min(earliest, each.answer_at);
    if (each.changes_left > 0) earliest = std::min(earliest, each.change_at);
  }
  return earliest;
}

template <typename Address>
void Membership<Address>::run_timers(Instant now) {
  for (Group& each : groups_) {
    if (each.changes_left > 0 && each.change_at <= now) say_change(each, now);
    if (each.answer_at > now) continue;
    each.answer_at = kNever;
    say_state(each, now);
  }
  std::erase_if(groups_,
                [](const Group& each) { return each.users == 0 && each.changes_left == 0; });
  if (answer_all_at_ <= now) say_all(now);
}

template <typename Address>
void Membership<Address>::say_change(Group& group, Instant now) {
  const GroupVersion spoken = version(now);
  const bool leaves = group.users == 0;
  --group.changes_left;
  if (spoken == GroupVersion::kRecords) {
    group.change_at = within(kUnsolicitedInterval, now);
    const GroupRecord<Address> record{
        .type = leaves ? GroupRecordType::kChangeToInclude : GroupRecordType::kChangeToExclude,
        .group = group.address};
    speaker_.say({&record, 1}, now);
    return;
  }
  group.change_at = within(kOldUnsolicitedInterval, now);
  if (leaves) group.changes_left = 0;
  if (leaves && spoken == GroupVersion::kReports) return;  // it cannot say that
  speaker_.say(wire::GroupReport<Address>{spoken, leaves, group.address}, now);
}

template <typename Address>
void Membership<Address>::say_state(const Group& group, Instant now) {
  const GroupVersion spoken = version(now);
  if (spoken != GroupVersion::kRecords) {
    speaker_.say(wire::GroupReport<Address>{spoken, false, group.address}, now);
    return;
  }
  const GroupRecord<Address> record{.group = group.address};
  speaker_.say({&record, 1}, now);
}

template <typename Address>
void Membership<Address>::say_all(Instant now) {
  answer_all_at_ = kNever;
  std::array<GroupRecord<Address>, kRecordsPerReport> records;
  std::size_t count = 0;
  for (const Group& each : groups_) {
    if (each.users == 0 || !is_reported(each.address)) continue;
    records[count++] = {.type = GroupRecordType::kIsExclude, .group = each.address};
    if (count < records.size()) continue;
    speaker_.say(records, now);
    count = 0;
  }
  if (count > 0) speaker_.say(std::span(records).first(count), now);
}

template <typename Address>
Instant Membership<Address>::within(Duration longest, Instant now) {
  const auto bound = static_cast<std::uint64_t>(std::max<Duration::rep>(longest.count(), 1));
  return now + Duration(static_cast<Duration::rep>(context_.rng.below(bound)));
}

template class Membership<Ipv4Address>;
template class Membership<Ipv6Address>;

}  // namespace tideline::ip
