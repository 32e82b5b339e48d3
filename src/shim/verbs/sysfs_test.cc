// SPDX-License-Identifier: Apache-2.0
#include "shim/verbs/sysfs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace tideline::shim::verbs {
namespace {

const std::string kPortPath = "/sys/class/infiniband/tideline0/ports/1";

class Sysfs : public ::testing::Test {
 protected:
  Sysfs() {
    gids_.add({.gid = rdma::Gid(0xfe80000000000000, 0x0102030405060708)});
    gids_.add({.gid = rdma::Gid(0, 0xffffc6120001), .type = rdma::GidType::kRoceV1});
  }
  std::string text(const std::string& path) const {
    return text_of(path, facts_).value_or("no text");
  }

  rdma::GidTable gids_;
  DeviceFacts facts_{
      .node_guid = 0x007439fffed39900, .lid = 0x102, .gids = &gids_, .interface = "eth1"};
};

TEST_F(Sysfs, OwnPathsAreNormalisedAndOthersLeftAlone) {
  EXPECT_EQ(own_path("/sys/class/infiniband"), "/sys/class/infiniband");
  EXPECT_EQ(own_path("/sys//class/./infiniband/x/../tideline0/"),
            "/sys/class/infiniband/tideline0");
  EXPECT_EQ(own_path("/../sys/class/infiniband_verbs/uverbs0"),
            "/sys/class/infiniband_verbs/uverbs0");
  EXPECT_EQ(own_path("/dev/infiniband/rdma_cm"), "/dev/infiniband/rdma_cm");
  for (const char* foreign :
       {"", "/", "/sys/class/net", "sys/class/infiniband", "/sys/class/infiniband_mad",
        "/sys/class/infiniband/..", "/home/infiniband/file", "/sys/class/infiniband/../net/lo"}) {
    EXPECT_EQ(own_path(foreign), "") << foreign;
  }
  EXPECT_EQ(own_path(nullptr), "");
}

TEST_F(Sysfs, KindsOfPaths) {
  EXPECT_EQ(kind_of("/sys/class/infiniband/tideline0/device"), PathKind::kDirectory);
  EXPECT_EQ(kind_of(kPortPath + "/gids/31"), PathKind::kFile);
  EXPECT_EQ(kind_of(kPortPath + "/gids/32"), PathKind::kMissing);
  EXPECT_EQ(kind_of("/sys/class/infiniband/mlx5_0"), PathKind::kMissing);
  EXPECT_EQ(kind_of("/dev/infiniband/uverbs0"), PathKind::kDevice);
  EXPECT_EQ(kind_of("/dev/infiniband/rdma_cm"), PathKind::kMissing);
}

TEST_F(Sysfs, DirectoriesListTheirNames) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(names_in("/sys/class/infiniband"), Names{"tideline0"});
  EXPECT_EQ(names_in("/dev/infiniband"), Names{"uverbs0"});
  EXPECT_EQ(names_in(kPortPath + "/gid_attrs"), (Names{"ndevs", "types"}));
  EXPECT_EQ(names_in(kPortPath + "/gids").size(), rdma::GidTable::size());
}

TEST_F(Sysfs, FilesSayWhatTheKernelWould) {
  EXPECT_EQ(text("/sys/class/infiniband/tideline0/node_guid"), "0074:39ff:fed3:9900\n");
  EXPECT_EQ(text("/sys/class/infiniband/tideline0/node_type"), "1: CA\n");
  EXPECT_EQ(text("/sys/class/infiniband_verbs/uverbs0/ibdev"), "tideline0\n");
  EXPECT_EQ(text(kPortPath + "/lid"), "0x102\n");
  EXPECT_EQ(text(kPortPath + "/gids/0"), "fe80:0000:0000:0000:0102:0304:0506:0708\n");
  EXPECT_EQ(text(kPortPath + "/gids/1"), "0000:0000:0000:0000:0000:ffff:c612:0001\n");
  EXPECT_EQ(text(kPortPath + "/gids/2"), "0000:0000:0000:0000:0000:0000:0000:0000\n");
  EXPECT_EQ(text(kPortPath + "/gid_attrs/types/0"), "RoCE v2\n");
  EXPECT_EQ(text(kPortPath + "/gid_attrs/types/1"), "IB/RoCE v1\n");
  EXPECT_EQ(text(kPortPath + "/gid_attrs/ndevs/1"), "eth1\n");
}

TEST_F(Sysfs, AttributesOfGidsThatAreNotThereAreInvalid) {
  EXPECT_FALSE(text_of(kPortPath + "/gid_attrs/types/2", facts_));
  EXPECT_FALSE(text_of(kPortPath + "/gid_attrs/ndevs/2", facts_));
  facts_.interface.clear();
  EXPECT_FALSE(text_of(kPortPath + "/gid_attrs/ndevs/0", facts_));
}

TEST_F(Sysfs, OnlyWhatTheEngineKnowsNeedsIt) {
  EXPECT_TRUE(needs_facts(kPortPath + "/gids/0"));
  EXPECT_FALSE(needs_facts(kPortPath + "/state"));
  EXPECT_FALSE(needs_facts("/dev/infiniband/uverbs0"));
}

}  // namespace
}  // namespace tideline::shim::verbs
