// SPDX-License-Identifier: Apache-2.0
// Mappings and memfds: what a peer that was handed a sealed descriptor can and cannot do.
#include "base/mapping.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "base/bits.h"
#include "base/memfd.h"

namespace tideline {
namespace {

constexpr std::size_t kSize = 4 * kPageSize;

UniqueFd sealed(Sharing sharing, Mapping& owner) {
  auto fd = create_memfd("test", kSize, PageKind::kNormal);
  EXPECT_TRUE(fd.has_value());
  auto mapping = Mapping::map(fd->get(), kSize, Access::kReadWrite);
  EXPECT_TRUE(mapping.has_value());
  owner = std::move(*mapping);
  EXPECT_TRUE(seal_memfd(fd->get(), sharing).has_value());
  return std::move(*fd);
}

TEST(Memfd, OwnerWritesAndPeerReads) {
  Mapping owner;
  const UniqueFd fd = sealed(Sharing::kReadOnly, owner);
  auto peer = Mapping::map(fd.get(), kSize, Access::kReadOnly);
  ASSERT_TRUE(peer.has_value());
  ASSERT_TRUE(peer->populate().has_value());
  std::memcpy(owner.data(), "tide", 4);
  EXPECT_EQ(std::memcmp(peer->data(), "tide", 4), 0);
}

TEST(Memfd, PeerCannotWriteShrinkOrUnseal) {
  Mapping owner;
  const UniqueFd fd = sealed(Sharing::kReadOnly, owner);
  EXPECT_FALSE(Mapping::map(fd.get(), kSize, Access::kReadWrite).has_value());
  EXPECT_LT(::write(fd.get(), "x", 1), 0);
  EXPECT_NE(::ftruncate(fd.get(), kPageSize), 0);
  EXPECT_NE(::ftruncate(fd.get(), 2 * kSize), 0);
  EXPECT_NE(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
  // A read-only mapping cannot be made writable afterwards.
  auto peer = Mapping::map(fd.get(), kSize, Access::kReadOnly);
  ASSERT_TRUE(peer.has_value());
  EXPECT_NE(::mprotect(peer->data(), kSize, PROT_READ | PROT_WRITE), 0);
  // Nor can it be emptied: punching a hole counts as writing.
  EXPECT_NE(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kPageSize), 0);
}

TEST(Memfd, VerifyRefusesWhatIsNotSealedOrOfAnotherSize) {
  auto fd = create_memfd("test", kSize, PageKind::kNormal);
  ASSERT_TRUE(fd.has_value());
  EXPECT_FALSE(verify_memfd(fd->get(), kSize, Sharing::kReadWrite).has_value());
  ASSERT_TRUE(seal_memfd(fd->get(), Sharing::kReadWrite).has_value());
  EXPECT_TRUE(verify_memfd(fd->get(), kSize, Sharing::kReadWrite).has_value());
  EXPECT_FALSE(verify_memfd(fd->get(), kSize, Sharing::kReadOnly).has_value());
  EXPECT_FALSE(verify_memfd(fd->get(), kSize - kPageSize, Sharing::kReadWrite).has_value());
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(verify_memfd(null.get(), kSize, Sharing::kReadWrite).has_value());
}

TEST(Mapping, MultiplesOfAHugePageAreAligned) {
  const std::size_t size = 2 * kHugePageSize;
  auto fd = create_memfd("test", size, PageKind::kNormal);
  ASSERT_TRUE(fd.has_value());
  for (int i = 0; i < 4; ++i) {
    // A page mapped in between shifts where the kernel would put the next mapping.
    auto shift = Mapping::anonymous_shared(kPageSize);
    auto mapping = Mapping::map(fd->get(), size, Access::kReadWrite);
    ASSERT_TRUE(mapping.has_value());
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(mapping->data()) % kHugePageSize, 0U);
    ASSERT_TRUE(mapping->populate().has_value());
    mapping->data()[size - 1] = std::byte{1};
  }
  EXPECT_FALSE(Mapping::map(-1, size, Access::kReadOnly).has_value());
}

TEST(Fd, DescriptorsPassOverAUnixSocket) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  const UniqueFd left(ends[0]);
  UniqueFd right(ends[1]);
  Mapping owner;
  const UniqueFd memory = sealed(Sharing::kReadOnly, owner);
  const std::array<std::byte, 3> payload{};
  const std::array<int, 1> fds{memory.get()};
  ASSERT_TRUE(send_with_fds(left.get(), payload, fds).has_value());

  std::array<std::byte, 16> buffer{};
  auto received = receive_with_fds(right.get(), buffer);
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(received->size, payload.size());
  ASSERT_EQ(received->fds.size(), 1U);
  EXPECT_TRUE(verify_memfd(received->fds[0].get(), kSize, Sharing::kReadOnly).has_value());

  right.reset();
  EXPECT_FALSE(send_with_fds(left.get(), payload, {}).has_value());
}

TEST(Fd, AMessageThatIsCutIsAnError) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  const UniqueFd left(ends[0]);
  const UniqueFd right(ends[1]);
  const std::array<std::byte, 32> payload{};
  ASSERT_TRUE(send_with_fds(left.get(), payload, {}).has_value());
  std::array<std::byte, 16> buffer{};
  EXPECT_FALSE(receive_with_fds(right.get(), buffer).has_value());
}

}  // namespace
}  // namespace tideline
