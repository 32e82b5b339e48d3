// SPDX-License-Identifier: Apache-2.0
// Members in one process, and peers that break the protocol on purpose.
#include "port/shm/member.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/bits.h"
#include "common/process.h"
#include "common/resources.h"
#include "common/test_directory.h"

namespace tideline::port::shm {
namespace {

using Frame = std::vector<std::byte>;

Frame frame_of(std::size_t length, int value) {
  return Frame(length, static_cast<std::byte>(value));
}

class MemberTest : public testing::Test {
 protected:
  MemberTest() {
    config_.meeting_point = directory_.path();
    config_.slots = 8;
    config_.ring_slots = 16;
    config_.index_lag = 4;
    config_.arena = {.small_blocks = 64, .large_blocks = 8};
  }

  std::unique_ptr<Member> join() {
    auto member = Member::join(config_, now_);
    EXPECT_TRUE(member.has_value()) << (member ? "" : member.error().message());
    return std::move(*member);
  }
  // Lets a service interval pass for each member, twice: one for the request, one for the answer.
  template <typename... Members>
  void settle(Members&... members) {
    for (int i = 0; i < 2; ++i) {
      now_ += std::chrono::milliseconds(1);
      (members.service(now_), ...);
    }
  }
  std::optional<Frame> receive(Member& member, std::optional<unsigned> source = {}) {
    const auto arrived = member.front();
    if (!arrived) return std::nullopt;
    EXPECT_EQ(arrived->source, source.value_or(arrived->source));
    Frame frame(arrived->bytes.begin(), arrived->bytes.end());
    member.pop();
    return frame;
  }

  bench::TestDirectory directory_;
  MemberConfig config_;
  Instant now_{};
};

TEST_F(MemberTest, FramesOfAllSizesArriveWholeAndInOrder) {
  const auto a = join();
  const auto b = join();
  int value = 0;
  for (const std::size_t length : {0U, 1U, 64U, 112U, 113U, 1400U, 2048U, 2049U, 65536U, 65553U}) {
    EXPECT_EQ(a->send(b->slot(), frame_of(length, ++value)), SendVerdict::kSent);
    settle(*a, *b);
    EXPECT_EQ(receive(*b, a->slot()), frame_of(length, value));
    EXPECT_FALSE(receive(*b));
  }
  EXPECT_EQ(a->counters()[Event::kSent], 10U);
  EXPECT_EQ(b->counters()[Event::kReceived], 10U);
  EXPECT_EQ(a->send(b->slot(), frame_of(kMaxFrame + 1, 0)), SendVerdict::kDropped);
  EXPECT_EQ(a->counters()[Event::kDropTooLong], 1U);
}

TEST_F(MemberTest, AFrameThatIsWrittenInPlaceIsNotCopied) {
  const auto a = join();
  const auto b = join();
  for (const std::size_t length : {std::size_t{40}, std::size_t{1400}}) {
    const auto place = a->prepare(b->slot(), length);
    ASSERT_TRUE(place.has_value());
    ASSERT_EQ(place->bytes.size(), length);
    std::memset(place->bytes.data(), 7, length);
    a->commit(b->slot(), *place);
    settle(*a, *b);
    EXPECT_EQ(receive(*b), frame_of(length, 7));
  }
}

// The source takes no block back while it is lent, however much passes by; and takes it back after.
TEST_F(MemberTest, ALentFrameStaysWhileOthersPass) {
  config_.arena = {.small_blocks = 0, .large_blocks = 8};
  const auto a = join();
  const auto b = join();
  const Frame kept = frame_of(5000, 1);
  ASSERT_EQ(a->send(b->slot(), kept), SendVerdict::kSent);
  settle(*a, *b, *a);
  const auto arrived = b->front();
  ASSERT_TRUE(arrived);
  const auto loan = b->lend(arrived->bytes);
  ASSERT_TRUE(loan);
  b->pop();
  for (int i = 2; i < 200; ++i) {
    ASSERT_EQ(a->send(b->slot(), frame_of(5000, i)), SendVerdict::kSent) << i;
    ASSERT_EQ(receive(*b), frame_of(5000, i));
    ASSERT_TRUE(std::ranges::equal(loan->memory, kept)) << i;
  }
  // The slot of an outstanding loan lends no second time; its frames are copied.
  loan->release(loan->context, loan->memory);
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(a->send(b->slot(), frame_of(5000, 3)), SendVerdict::kSent);
    ASSERT_TRUE(receive(*b));
  }
  // All eight blocks serve again: half of them may be out to one destination.
  int sent = 0;
  while (a->send(b->slot(), frame_of(5000, 4)) == SendVerdict::kSent) ++sent;
  EXPECT_EQ(sent, 4);
}

TEST_F(MemberTest, ALoanOutlivesItsSourceAndItsMember) {
  auto a = join();
  auto b = join();
  for (const bool source_first : {true, false}) {
    a->send(b->slot(), frame_of(5000, 9));
    settle(*a, *b, *a);
    const auto arrived = b->front();
    ASSERT_TRUE(arrived);
    const auto loan = b->lend(arrived->bytes);
    ASSERT_TRUE(loan);
    b->pop();
    if (source_first) {
      a.reset();
      settle(*b);
      a = join();
      // The new owner's frames come by the same line of the index.
      EXPECT_EQ(a->send(b->slot(), frame_of(5000, 8)), SendVerdict::kSent);
      settle(*a, *b);
      EXPECT_EQ(receive(*b), frame_of(5000, 8));
    } else {
      b.reset();
    }
    EXPECT_TRUE(std::ranges::equal(loan->memory, frame_of(5000, 9)));
    loan->release(loan->context, loan->memory);
  }
}

TEST_F(MemberTest, WhatWasSentBeforeTheEndIsReceived) {
  auto a = join();
  const auto b = join();
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(a->send(b->slot(), frame_of(1400, i)), SendVerdict::kSent);
  }
  a.reset();
  settle(*b);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(receive(*b), frame_of(1400, i));
  EXPECT_FALSE(receive(*b));
  EXPECT_EQ(b->counters()[Event::kLinkDown], 1U);
}

TEST_F(MemberTest, APromiscuousMemberIsKnownToOthersBeforeAndAfterItJoins) {
  const auto early = join();
  config_.promiscuous = true;
  auto all = join();
  config_.promiscuous = false;
  settle(*early);
  EXPECT_EQ(early->promiscuous(), 2U);
  const auto late = join();
  now_ += std::chrono::milliseconds(200);
  settle(*all, *late);
  EXPECT_EQ(late->promiscuous(), 2U);
  EXPECT_EQ(late->others(now_), 3U);
  all.reset();
  settle(*early, *late);
  EXPECT_EQ(early->promiscuous(), 0U);
  EXPECT_EQ(late->promiscuous(), 0U);
  EXPECT_EQ(late->others(now_), 1U);
}

// Sleeping: what makes the descriptor readable, and that it can be slept on again afterwards.
class SleepTest : public MemberTest {
 protected:
  static bool is_readable(const Member& member) {
    pollfd entry{.fd = member.fd(), .events = POLLIN};
    return ::poll(&entry, 1, 0) == 1;
  }
  // As a worker does: arm, look once more.
  bool falls_asleep(Member& member) {
    member.arm();
    member.service(now_);
    return !member.front() && !is_readable(member);
  }
};

TEST_F(SleepTest, TheFirstFrameAndEveryFurtherOneWake) {
  const auto a = join();
  const auto b = join();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(falls_asleep(*b)) << i;
    ASSERT_EQ(a->send(b->slot(), frame_of(64, i)), SendVerdict::kSent);
    EXPECT_TRUE(is_readable(*b)) << i;
    b->disarm();
    now_ += std::chrono::milliseconds(1);
    b->service(now_);
    EXPECT_EQ(receive(*b), frame_of(64, i));
  }
}

TEST_F(SleepTest, AMemberThatIsAwakeIsNotRungFor) {
  const auto a = join();
  const auto b = join();
  ASSERT_EQ(a->send(b->slot(), frame_of(64, 1)), SendVerdict::kSent);
  settle(*a, *b, *a);
  EXPECT_TRUE(receive(*b));
  ASSERT_EQ(a->send(b->slot(), frame_of(64, 2)), SendVerdict::kSent);
  EXPECT_FALSE(is_readable(*b));
  EXPECT_EQ(receive(*b), frame_of(64, 2));
}

TEST_F(SleepTest, AHangUpWakes) {
  auto a = join();
  const auto b = join();
  ASSERT_EQ(a->send(b->slot(), frame_of(64, 1)), SendVerdict::kSent);
  settle(*a, *b, *a);
  EXPECT_TRUE(receive(*b));
  ASSERT_TRUE(falls_asleep(*b));
  a.reset();
  EXPECT_TRUE(is_readable(*b));
  b->disarm();
  EXPECT_TRUE(falls_asleep(*b));
}

TEST_F(MemberTest, MillionsOfBytesGoRoundTheBlocks) {
  const auto a = join();
  const auto b = join();
  EXPECT_EQ(a->send(b->slot(), frame_of(8, 1)), SendVerdict::kSent);
  settle(*a, *b, *a);
  EXPECT_TRUE(receive(*b));
  for (int i = 0; i < 10'000; ++i) {
    const Frame frame = frame_of(static_cast<std::size_t>(i) * 37 % 65'536, i % 256);
    ASSERT_EQ(a->send(b->slot(), frame), SendVerdict::kSent) << i;
    ASSERT_EQ(receive(*b), frame) << i;
  }
}

TEST_F(MemberTest, AFullRingDropsAndIsCounted) {
  const auto a = join();
  const auto b = join();
  for (unsigned i = 0; i < config_.ring_slots; ++i) {
    EXPECT_EQ(a->send(b->slot(), frame_of(64, 1)), SendVerdict::kSent);
  }
  EXPECT_EQ(a->send(b->slot(), frame_of(64, 1)), SendVerdict::kDropped);
  EXPECT_EQ(a->counters()[Event::kDropRingFull], 1U);
  settle(*a, *b, *a);
  unsigned received = 0;
  while (receive(*b)) ++received;
  EXPECT_EQ(received, config_.ring_slots);
  EXPECT_EQ(a->send(b->slot(), frame_of(64, 1)), SendVerdict::kSent);
}

TEST_F(MemberTest, ADestinationThatNeverConsumesLeavesTheOthersTheirBlocks) {
  const auto a = join();
  const auto silent = join();
  const auto live = join();
  while (a->send(silent->slot(), frame_of(65'536, 1)) == SendVerdict::kSent) {
  }
  EXPECT_EQ(a->counters()[Event::kDropNoBlock], 1U);
  EXPECT_EQ(a->send(live->slot(), frame_of(65'536, 2)), SendVerdict::kSent);
  settle(*a, *live);
  EXPECT_EQ(receive(*live), frame_of(65'536, 2));
}

TEST_F(MemberTest, NobodyAtTheSlotIsADropNotAnError) {
  const auto a = join();
  EXPECT_EQ(a->send(5, frame_of(64, 1)), SendVerdict::kDropped);
  EXPECT_EQ(a->send(a->slot(), frame_of(64, 1)), SendVerdict::kDropped);
  EXPECT_EQ(a->send(kMaxMembers + 1, frame_of(64, 1)), SendVerdict::kDropped);
  EXPECT_EQ(a->counters()[Event::kDropNoPeer], 3U);
}

TEST_F(MemberTest, ANewOwnerOfASlotIsMetAtOnce) {
  const auto a = join();
  auto b = join();
  const unsigned slot = b->slot();
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(b->send(a->slot(), frame_of(64, 1)), SendVerdict::kSent);
    settle(*a, *b);
    EXPECT_TRUE(receive(*a, slot));
    EXPECT_EQ(a->send(slot, frame_of(1400, round)), SendVerdict::kSent);
    settle(*a, *b);
    EXPECT_EQ(receive(*b), frame_of(1400, round));
    EXPECT_EQ(a->send(slot, frame_of(1400, 99)), SendVerdict::kSent);  // never read
    // No service of `a` in between: the hang-up and the new owner's Hello come together.
    b.reset();
    b = join();
    ASSERT_EQ(b->slot(), slot);
  }
}

TEST_F(MemberTest, AHintThatIsWipedCostsOneServiceInterval) {
  const auto a = join();
  const auto b = join();
  EXPECT_EQ(a->send(b->slot(), frame_of(64, 1)), SendVerdict::kSent);
  settle(*a, *b, *a);
  EXPECT_TRUE(receive(*b));
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(receive(*b));  // the ring is polled no more
  EXPECT_EQ(a->send(b->slot(), frame_of(64, 2)), SendVerdict::kSent);
  // What any member may do to the page: find it in this process and wipe it.
  const auto pages = bench::writable_memfds("tideline-hints");
  ASSERT_GE(pages.size(), 2U);
  for (const std::span<std::byte> page : pages) std::memset(page.data(), 0, page.size());
  EXPECT_FALSE(receive(*b));
  settle(*b);
  EXPECT_EQ(receive(*b), frame_of(64, 2));
}

TEST_F(MemberTest, AStoppedMemberBlocksNobody) {
  const auto a = join();
  bench::Child child = bench::Child::run([&] {
    auto member = Member::join(config_, now_);
    ::raise(SIGSTOP);
    return member ? 0 : 1;
  });
  int status = 0;
  ASSERT_EQ(::waitpid(child.pid(), &status, WUNTRACED), child.pid());
  ASSERT_TRUE(WIFSTOPPED(status));
  // Its socket takes the connection, its ring takes frames until it is full; then they drop.
  for (int i = 0; i < 1000; ++i) {
    (void)a->send(1, frame_of(1400, 1));
    settle(*a);
  }
  EXPECT_EQ(a->counters()[Event::kSent], config_.ring_slots);
  const auto b = join();
  EXPECT_EQ(b->slot(), 2U);
  EXPECT_EQ(a->send(2, frame_of(64, 2)), SendVerdict::kSent);
  settle(*a, *b);
  EXPECT_TRUE(receive(*b));
  child.signal(SIGCONT);
  EXPECT_TRUE(child.succeeded());
}

TEST_F(MemberTest, AForkedChildLeavesTheParentsSlotAlone) {
  auto a = join();
  const auto b = join();
  EXPECT_EQ(a->send(b->slot(), frame_of(64, 1)), SendVerdict::kSent);
  settle(*a, *b);
  EXPECT_TRUE(receive(*b));
  bench::Child child = bench::Child::run([&] {
    a.reset();  // what a pthread_atfork handler does
    auto own = Member::join(config_, now_);
    return own && (*own)->slot() == 2 ? 0 : 1;
  });
  EXPECT_TRUE(child.succeeded());
  EXPECT_EQ(a->send(b->slot(), frame_of(64, 2)), SendVerdict::kSent);
  settle(*a, *b);
  EXPECT_EQ(receive(*b), frame_of(64, 2));
  EXPECT_EQ(b->send(a->slot(), frame_of(64, 3)), SendVerdict::kSent);
  settle(*a, *b);
  EXPECT_EQ(receive(*a), frame_of(64, 3));
}

// A peer that owns a slot and says what the test wants.
class HostileTest : public MemberTest {
 protected:
  HostileTest() : victim_(join()), point_(*MeetingPoint::open(directory_.path())) {
    lease_.emplace(*Lease::claim(point_, config_.slots));
    ring_ = *Region::make("ring", ring_bytes(kRingSlots), PageKind::kNormal, Sharing::kReadOnly);
    arena_ = *Region::make("arena", kArenaBytes, PageKind::kNormal, Sharing::kReadOnly);
    hello_ = {.source = lease_->slot(),
              .ring_slots = kRingSlots,
              .incarnation = lease_->incarnation(),
              .arena_bytes = kArenaBytes};
  }

  static constexpr std::uint32_t kRingSlots = 16;
  static constexpr std::uint64_t kArenaBytes = 64 * kPageSize;

  bool is_accepted(const Hello& hello, int ring, int arena) {
    auto socket = send_hello(point_, victim_->slot(), hello, ring, arena);
    EXPECT_TRUE(socket.has_value());
    settle(*victim_);
    auto answer = receive_welcome(socket->get());
    socket_ = std::move(*socket);
    const bool accepted = answer && *answer;
    if (accepted) answer_ = std::move(**answer);
    return accepted;
  }
  UniqueFd connect_only() {
    UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    point_.socket_path(victim_->slot()).copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
              0);
    return socket;
  }
  bool is_accepted(const Hello& hello) {
    return is_accepted(hello, ring_.fd.get(), arena_.fd.get());
  }
  void put(std::size_t position, std::uint64_t offset, std::uint32_t length) {
    Slot& slot = ring_.memory.at<Slot>(0)[position % kRingSlots];
    slot.word() = offset;
    slot.head = std::uint64_t{length} << 32 | sequence_at(position);
  }

  // A frame of `length` bytes in pieces, all claimed.
  void put_pieces(std::size_t position, std::uint32_t length, std::span<const Piece> pieces) {
    Slot& slot = ring_.memory.at<Slot>(0)[position % kRingSlots];
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      slot.word(i) = std::uint64_t{pieces[i].length} << 32 | pieces[i].offset;
    }
    const std::uint64_t flags = std::uint64_t{pieces.size()} << kOffloadFlagBits;
    slot.head = (flags << kLengthBits | length) << 32 | sequence_at(position);
  }

  std::unique_ptr<Member> victim_;
  MeetingPoint point_;
  std::optional<Lease> lease_;
  Region ring_;
  Region arena_;
  Hello hello_;
  UniqueFd socket_;
  std::optional<Acceptance> answer_;
};

TEST_F(HostileTest, AHandshakeThatIsTrueIsAccepted) { EXPECT_TRUE(is_accepted(hello_)); }

TEST_F(HostileTest, FalseHandshakesAreRefused) {
  std::vector<Hello> hellos(9, hello_);
  hellos[0].magic = 0;
  hellos[1].version = kVersion + 1;
  hellos[2].source = 0;       // the victim's own slot
  hellos[3].source = 5;       // nobody's
  hellos[4].source = 1000;    // outside
  hellos[5].incarnation = 9;  // an earlier or later owner
  hellos[6].ring_slots = 17;
  hellos[7].arena_bytes = kArenaBytes * 2;
  hellos[8].arena_bytes = UINT64_MAX;
  for (std::size_t i = 0; i < hellos.size(); ++i) EXPECT_FALSE(is_accepted(hellos[i])) << i;
  EXPECT_EQ(victim_->counters()[Event::kRefusedHello], hellos.size());
  EXPECT_TRUE(is_accepted(hello_));
}

TEST_F(HostileTest, MemoryThatCouldBePulledAwayIsRefused) {
  auto unsealed = create_memfd("x", kArenaBytes, PageKind::kNormal);
  ASSERT_TRUE(unsealed.has_value());
  EXPECT_FALSE(is_accepted(hello_, ring_.fd.get(), unsealed->get()));
  // Sealed in size, but its owner could still take pages out of it.
  ASSERT_TRUE(seal_memfd(unsealed->get(), Sharing::kReadWrite).has_value());
  EXPECT_FALSE(is_accepted(hello_, ring_.fd.get(), unsealed->get()));
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  EXPECT_FALSE(is_accepted(hello_, ring_.fd.get(), pipe[0]));
  ::close(pipe[0]);
  ::close(pipe[1]);
  EXPECT_EQ(victim_->counters()[Event::kRefusedHello], 3U);
}

// Sealed, yet without a single page: population makes them, so reading cannot raise SIGBUS.
TEST_F(HostileTest, SparseMemoryIsFilledBeforeItIsRead) {
  auto sparse = create_memfd("x", kArenaBytes, PageKind::kNormal);
  ASSERT_TRUE(sparse.has_value());
  ASSERT_TRUE(seal_memfd(sparse->get(), Sharing::kReadOnly).has_value());
  ASSERT_TRUE(is_accepted(hello_, ring_.fd.get(), sparse->get()));
  put(0, 0, 1400);
  EXPECT_EQ(receive(*victim_), frame_of(1400, 0));
}

TEST_F(HostileTest, ReferencesOutsideOfTheArenaAreDropped) {
  ASSERT_TRUE(is_accepted(hello_));
  put(0, kArenaBytes - 1399, 1400);
  put(1, UINT64_MAX - 10, 1400);
  put(2, 0, (1U << kLengthBits) - 1);
  put(3, 0, kMaxFrame + 1);
  put(4, kArenaBytes, 113);
  put(5, kArenaBytes - 1400, 1400);
  EXPECT_EQ(receive(*victim_), std::nullopt);
  int looks = 0;
  std::optional<Frame> frame;
  while (!(frame = receive(*victim_)) && ++looks < 10) {
  }
  EXPECT_EQ(frame, frame_of(1400, 0));
  EXPECT_EQ(victim_->counters()[Event::kDropBadReference], 5U);
}

TEST_F(HostileTest, PiecesOutsideOfTheArenaOrOfTheirFrameAreDropped) {
  constexpr auto kEnd = static_cast<std::uint32_t>(kArenaBytes);
  constexpr auto kMost = static_cast<std::uint32_t>(kMaxFrame);
  ASSERT_TRUE(is_accepted(hello_));
  const std::vector<std::pair<std::uint32_t, std::vector<Piece>>> lies = {
      {2000, {{kEnd - 1899, 1900}}},                   // ends behind the arena
      {2000, {{UINT32_MAX, 1900}}},                    // begins there
      {2000, {{0, UINT32_MAX}}},                       // longer than it
      {2000, {{0, 2001}}},                             // longer than the frame
      {2000, {{0, 1000}, {0, 1000}, {0, 1}}},          // together so
      {2000, {{0, 0}}},                                // of nothing
      {2000, {{0, 1000}, {kEnd, 900}}},                // the second outside
      {2000, {{0, 1895}}},                             // a head longer than the slot
      {2000, {{0, 900}, {0, 900}, {0, 111}}},          // also beside three pieces
      {(1U << kLengthBits) - 1, {{0, kEnd}}},          // longer than any frame
      {kMost + 1, {{0, 33'000}, {0, kMost - 33'000}}}  // longer by a byte
  };
  for (std::size_t i = 0; i < lies.size(); ++i) put_pieces(i, lies[i].first, lies[i].second);
  put_pieces(lies.size(), 2000, std::array{Piece{kEnd - 1000, 1000}, Piece{0, 950}});
  std::optional<Arrived> arrived;
  for (int looks = 0; !arrived && looks < 20; ++looks) arrived = victim_->front();
  ASSERT_TRUE(arrived);
  EXPECT_EQ(victim_->counters()[Event::kDropBadReference], lies.size());
  EXPECT_EQ(arrived->size(), 2000U);
  EXPECT_EQ(arrived->bytes.size(), 50U);
  EXPECT_EQ(arrived->piece_count, 2U);
  // Whatever the source marks as taken back is its own loss.
  Withdrawals& withdrawals = *ring_.memory.at<Withdrawals>(kRingSlots * kSlotBytes);
  EXPECT_TRUE(victim_->front_stands());
  for (auto& each : withdrawals.sequence) each = sequence_at(lies.size());
  EXPECT_FALSE(victim_->front_stands());
  victim_->pop();
}

TEST_F(HostileTest, WhoRingsWithoutEndIsCutOff) {
  ASSERT_TRUE(is_accepted(hello_));
  const auto ring_until_full = [&] {
    const std::byte bell{};
    while (::send(socket_.get(), &bell, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1) {
    }
  };
  ring_until_full();
  settle(*victim_);
  EXPECT_EQ(victim_->counters()[Event::kLinkDown], 1U);
  pollfd entry{.fd = victim_->fd(), .events = POLLIN};
  EXPECT_EQ(::poll(&entry, 1, 0), 0);
}

TEST_F(HostileTest, AFalseIndexEndsTheLinkToItsAuthor) {
  const Region index =
      *Region::make("index", sizeof(IndexPage), PageKind::kNormal, Sharing::kReadOnly);
  const Region hints =
      *Region::make("hints", sizeof(HintPage), PageKind::kNormal, Sharing::kReadWrite);
  const auto listener = listen_at(point_, lease_->slot());
  ASSERT_TRUE(listener.has_value());
  for (int round = 0; round < 3; ++round) {
    index.memory.at<IndexPage>(0)->of_source[0].consumed = 0;
    ASSERT_EQ(victim_->send(lease_->slot(), frame_of(64, 1)), SendVerdict::kSent);
    const auto socket = accept_from(listener->get());
    ASSERT_TRUE(socket);
    ASSERT_TRUE(send_welcome(socket->get(), index.fd.get(), hints.fd.get()).has_value());
    settle(*victim_);
    EXPECT_EQ(hints.memory.at<HintPage>(0)->sources, 1U);
    index.memory.at<IndexPage>(0)->of_source[0].consumed = 1'000'000;
    unsigned sent = 0;
    while (victim_->send(lease_->slot(), frame_of(1400, 1)) == SendVerdict::kSent) ++sent;
    EXPECT_EQ(sent, config_.ring_slots - 1);
    settle(*victim_);
  }
  EXPECT_EQ(victim_->counters()[Event::kRefusedIndex], 3U);
}

TEST_F(HostileTest, SilentConnectionsAreBoundedAndTimeOut) {
  std::vector<UniqueFd> sockets;
  const std::size_t before = bench::own_resources().descriptors;
  for (int i = 0; i < 20; ++i) {
    sockets.push_back(connect_only());
    settle(*victim_);
  }
  EXPECT_LE(bench::own_resources().descriptors - before - sockets.size(), 8U);
  now_ += std::chrono::seconds(2);
  settle(*victim_);
  EXPECT_EQ(bench::own_resources().descriptors - before, sockets.size());
  EXPECT_EQ(victim_->counters()[Event::kHandshakeTimeout], 20U);
}

}  // namespace
}  // namespace tideline::port::shm
