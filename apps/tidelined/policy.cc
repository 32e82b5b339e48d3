// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

#include <fmt/format.h>

#include <algorithm>

namespace tideline::daemon {
namespace {

bool fits(const Rule& rule, const ucred& peer) {
  if (rule.user && *rule.user == peer.uid) return true;
  if (!rule.group) return false;
  return *rule.group == peer.gid || std::ranges::find(rule.members, peer.uid) != rule.members.end();
}

}  // namespace

engine::ClientPolicy Policy::rights_of(const ucred& peer) const {
  const auto rule =
      std::ranges::find_if(config_.rules, [&](const Rule& each) { return fits(each, peer); });
  const bool has_rule = rule != config_.rules.end();
  engine::ClientPolicy rights = has_rule ? rule->rights : config_.others;
  if (!has_rule) rights.admitted |= peer.uid == 0 || peer.uid == own_;
  if (!rights.admitted) {
    rights.reason = fmt::format(
        "its policy does not admit user {}: who runs it can add a [[policy.user]] to its "
        "configuration",
        peer.uid);
  }
  return rights;
}

bool Policy::admits_others() const {
  return config_.others.admitted || std::ranges::any_of(config_.rules, [&](const Rule& rule) {
           const bool known = rule.user && (*rule.user == 0 || *rule.user == own_);
           return rule.rights.admitted && !known;
         });
}

}  // namespace tideline::daemon
