// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

#include <algorithm>

namespace tideline::daemon {
namespace {

bool fits(const Rule& rule, const ucred& peer) {
  if (rule.user && *rule.user == peer.uid) return true;
  if (!rule.group) return false;
  return *rule.group == peer.gid || std::ranges::find(rule.members, peer.uid) != rule.members.end();
}

}  // namespace

Rights Policy::rights_of(const ucred& peer) const {
  const auto rule =
      std::ranges::find_if(config_.rules, [&](const Rule& each) { return fits(each, peer); });
  if (rule != config_.rules.end()) return rule->rights;
  Rights rights = config_.others;
  rights.admit |= peer.uid == 0 || peer.uid == own_;
  return rights;
}

bool Policy::admits_others() const {
  return config_.others.admit || std::ranges::any_of(config_.rules, [&](const Rule& rule) {
           const bool known = rule.user && (*rule.user == 0 || *rule.user == own_);
           return rule.rights.admit && !known;
         });
}

}  // namespace tideline::daemon
