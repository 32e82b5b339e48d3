// SPDX-License-Identifier: Apache-2.0
// The C library's streams on sockets.
#include <stdio.h>
#include <sys/stat.h>

#include <thread>

#include "fixture.h"

namespace check {
namespace {

TEST_F(Sockets, StreamsReadAndWrite) {
  join();
  FILE* const far = ::fdopen(::dup(far_), "r+");
  ASSERT_NE(far, nullptr);
  EXPECT_GE(::fileno(far), 0);
  EXPECT_NE(::fileno(far), far_);
  ::setvbuf(far, nullptr, _IOLBF, 0);
  send(near_, "first line\nsecond");
  std::array<char, 100> line{};
  ASSERT_NE(::fgets(line.data(), line.size(), far), nullptr);
  EXPECT_STREQ(line.data(), "first line\n");
  std::array<char, 6> rest{};
  EXPECT_EQ(::fread(rest.data(), 1, rest.size(), far), rest.size());
  EXPECT_EQ(std::string(rest.data(), rest.size()), "second");
  EXPECT_EQ(::fprintf(far, "answer %d\n", 42), 10);
  ASSERT_EQ(wait_events(near_, POLLIN), POLLIN);
  EXPECT_EQ(receive(near_), "answer 42\n");
  EXPECT_EQ(::dprintf(far_, "%s, unbuffered", "formatted"), 21);
  EXPECT_EQ(receive(near_, MSG_WAITALL, 21), "formatted, unbuffered");
  ASSERT_EQ(::shutdown(near_, SHUT_WR), 0);
  EXPECT_EQ(::fgetc(far), EOF);
  EXPECT_NE(::feof(far), 0);
  far_.close();
  EXPECT_EQ(::fclose(far), 0);
  EXPECT_EQ(receive(near_), "");
}

TEST_F(Sockets, AStreamWritesMoreThanBuffersHold) {
  join();
  FILE* const near = ::fdopen(::dup(near_), "w");
  ASSERT_NE(near, nullptr);
  near_.close();
  std::string text(5'000'000, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  std::thread writer([&] {
    EXPECT_EQ(::fwrite(text.data(), 1, text.size(), near), text.size());
    EXPECT_EQ(::fclose(near), 0);
  });
  EXPECT_EQ(receive(far_, MSG_WAITALL, text.size()), text);
  EXPECT_EQ(receive(far_), "");
  writer.join();
}

// As programs do that were started by inetd, and those that become like them.
TEST_F(Sockets, StandardStreamsGoWhereTheirNumbersGo) {
  join();
  std::fflush(stdout);
  const Fd before(::dup(STDOUT_FILENO));
  ASSERT_EQ(::dup2(far_, STDOUT_FILENO), STDOUT_FILENO);
  std::printf("from %s\n", "printf");
  std::fflush(stdout);
  ASSERT_EQ(::dup2(before, STDOUT_FILENO), STDOUT_FILENO);
  far_.close();
  EXPECT_EQ(receive(near_, MSG_WAITALL, 100), "from printf\n");
  std::printf("stdout is what it was\n");
}

TEST_F(Sockets, StreamsOfTheKernelsStayWhatTheyAre) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  FILE* const in = ::fdopen(ends[1], "w");
  FILE* const out = ::fdopen(ends[0], "r");
  EXPECT_EQ(::fileno(out), ends[0]);
  ::fputs("pipe\n", in);
  ::fclose(in);
  std::array<char, 10> line{};
  ASSERT_NE(::fgets(line.data(), line.size(), out), nullptr);
  EXPECT_STREQ(line.data(), "pipe\n");
  ::fclose(out);
  FILE* const memory = ::fmemopen(line.data(), 5, "r");
  EXPECT_EQ(::fileno(memory), -1);
  EXPECT_EQ(errno, EBADF);
  ::fclose(memory);
}

}  // namespace
}  // namespace check
