// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

#include <gtest/gtest.h>

#include <string>

namespace tideline::daemon {
namespace {

constexpr uid_t kOwn = 1000;

ucred peer(uid_t user, gid_t group) { return {.pid = 1, .uid = user, .gid = group}; }

TEST(Policy, WithoutRulesRootAndTheOwnUserMayDoAll) {
  const Policy policy({}, kOwn);
  EXPECT_TRUE(policy.rights_of(peer(0, 0)).admitted);
  EXPECT_TRUE(policy.rights_of(peer(kOwn, 7)).admitted);
  EXPECT_FALSE(policy.rights_of(peer(kOwn + 1, kOwn)).admitted);
  EXPECT_FALSE(policy.admits_others());
  const engine::ClientPolicy rights = policy.rights_of(peer(kOwn, 7));
  EXPECT_TRUE(rights.addresses.empty());
  EXPECT_EQ(rights.first_port, 1);
  EXPECT_EQ(rights.last_port, 65535);
}

TEST(Policy, TheFirstRuleThatFitsDecides) {
  const PolicyConfig config{
      .rules = {{.user = 5, .rights = {.admitted = false}},
                {.group = 50, .members = {6}, .rights = {.admitted = true, .first_port = 1024}},
                {.user = 6, .rights = {.admitted = false}}}};
  const Policy policy(config, kOwn);
  EXPECT_FALSE(policy.rights_of(peer(5, 50)).admitted);
  EXPECT_TRUE(policy.rights_of(peer(6, 1)).admitted);   // by the group's list
  EXPECT_TRUE(policy.rights_of(peer(7, 50)).admitted);  // by its own group
  EXPECT_EQ(policy.rights_of(peer(7, 50)).first_port, 1024);
  EXPECT_FALSE(policy.rights_of(peer(7, 51)).admitted);
  EXPECT_TRUE(policy.admits_others());
}

TEST(Policy, ARuleBindsRootToo) {
  const Policy policy({.rules = {{.user = 0, .rights = {.admitted = false}}}}, kOwn);
  EXPECT_FALSE(policy.rights_of(peer(0, 0)).admitted);
  EXPECT_FALSE(policy.admits_others());
}

TEST(Policy, OthersMayBeAdmitted) {
  const Policy policy({.others = {.admitted = true, .most_sockets = 3}}, kOwn);
  EXPECT_TRUE(policy.rights_of(peer(77, 77)).admitted);
  EXPECT_EQ(policy.rights_of(peer(77, 77)).most_sockets, 3U);
  EXPECT_TRUE(policy.admits_others());
}

TEST(Policy, ARuleForTheOwnUserLetsNobodyElseIn) {
  const Policy own({.rules = {{.user = kOwn, .rights = {.admitted = true}}}}, kOwn);
  EXPECT_FALSE(own.admits_others());
  const Policy group({.rules = {{.group = 1, .rights = {.admitted = true}}}}, kOwn);
  EXPECT_TRUE(group.admits_others());
}

}  // namespace
}  // namespace tideline::daemon
