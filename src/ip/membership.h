// SPDX-License-Identifier: Apache-2.0
// Which groups this host is in, and what it tells routers of that: the host's part of IGMP
// (RFC 1112, 2236, 3376) and MLD (RFC 2710, 3810), which is the same state machine for both. Groups
// are joined as a whole (EXCLUDE of no sources). DEVIATES: a query for single sources of a group is
// answered as one for the group, which asks for no less. Thread: the worker's that owns the host.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "ip/context.h"
#include "wire/group_message.h"

namespace tideline::ip {

// Says on the link what a Membership decides.
template <typename Address>
class GroupSpeaker {
 public:
  virtual void say(std::span<const wire::GroupRecord<Address>> records, Instant now) = 0;
  virtual void say(const wire::GroupReport<Address>& report, Instant now) = 0;

 protected:
  ~GroupSpeaker() = default;
};

template <typename Address>
class Membership {
 public:
  static constexpr std::size_t kMaxGroups = 256;

  // If not `reports`, the host is in its groups without a word.
  Membership(Context& context, bool reports, GroupSpeaker<Address>& speaker)
      : context_(context), reports_(reports), speaker_(speaker) {}

  // Counted: a host leaves when all who joined have left. False if there are too many groups. It is
  // heard at once, and reported after the delay.
  bool join(const Address& group, Instant now, Duration report_delay = {});
  void leave(const Address& group, Instant now);

  void queried(const wire::GroupQuery<Address>& query, Instant now);
  // Another member, of an old version, has reported the group.
  void heard(const wire::GroupReport<Address>& report, Instant now);

  Instant next_deadline() const;
  void run_timers(Instant now);

  // What the link's querier understands.
  wire::GroupVersion version(Instant now) const;
  std::size_t size() const { return groups_.size(); }

 private:
  struct Group {
    Address address;
    unsigned users = 0;         // 0: left, and that is still being said
    unsigned changes_left = 0;  // how often the last change is still to be said
    Instant change_at = kNever;
    Instant answer_at = kNever;
  };

  Group* find(const Address& group);
  void say_change(Group& group, Instant now);
  void say_state(const Group& group, Instant now);
  void say_all(Instant now);
  Instant within(Duration longest, Instant now);

  Context& context_;
  bool reports_;
  GroupSpeaker<Address>& speaker_;
  std::vector<Group> groups_;
  Instant answer_all_at_ = kNever;
  Instant first_version_until_{};   // a querier of IGMPv1 was heard
  Instant second_version_until_{};  // of IGMPv2, MLDv1
};

extern template class Membership<wire::Ipv4Address>;
extern template class Membership<wire::Ipv6Address>;

}  // namespace tideline::ip
