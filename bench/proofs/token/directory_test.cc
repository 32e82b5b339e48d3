// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/directory.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace proofs::token {
namespace {

namespace fs = std::filesystem;

TEST(Directory, IsRemovedWithWhatItContains) {
  std::string path;
  {
    const Directory directory;
    path = directory.path();
    std::ofstream(path + "/file") << "x";
    EXPECT_TRUE(fs::exists(path + "/file"));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(Directory, OfAKilledOwnerIsRemovedByTheNextAndOfALivingOneIsNot) {
  const Directory living;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const Directory own;
    fs::rename(own.path(), living.path() + "-dead");
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ASSERT_TRUE(fs::exists(living.path() + "-dead"));
  const Directory next;
  EXPECT_FALSE(fs::exists(living.path() + "-dead"));
  EXPECT_TRUE(fs::exists(living.path()));
  EXPECT_TRUE(fs::exists(next.path()));
}

}  // namespace
}  // namespace proofs::token
