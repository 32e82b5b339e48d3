// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace tideline {
namespace {

TEST(Error, MessageNamesTheRemedy) {
  const Error error{.kind = ErrorKind::kUsage, .what = "no wire 'x'", .remedy = "try shm:x"};
  EXPECT_EQ(error.message(), "no wire 'x'; try shm:x");
}

TEST(Error, ErrnoIsKeptAndWorded) {
  errno = EACCES;
  const Status status = fail_errno("cannot open /x");
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().errno_value, EACCES);
  EXPECT_EQ(status.error().message(), "cannot open /x: Permission denied");
}

}  // namespace
}  // namespace tideline
