// SPDX-License-Identifier: Apache-2.0
// One-sided operations past the wire, between two devices of this process that take each other for
// members of a segment: what goes directly, what goes by frames and why, and what errors look like.
#include "placement/placement.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/memfd.h"
#include "rdma/test_network.h"

namespace tideline::placement {
namespace {

using rdma::ByteVector;
using rdma::Completion;
using rdma::Counter;
using rdma::Node;
using rdma::SendOpcode;
using rdma::WcStatus;

// Pages whose end is known, private or of a memfd.
class Pages {
 public:
  static constexpr std::size_t kSize = std::size_t{1} << 20;

  explicit Pages(bool shared) {
    if (shared) file_ = create_memfd("test", kSize, PageKind::kNormal).value();
    void* data = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE,
                        shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, file_.get(), 0);
    EXPECT_NE(data, MAP_FAILED);
    bytes_ = {static_cast<std::byte*>(data), kSize};
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() { ::munmap(bytes_.data(), kSize); }

  std::span<std::byte> bytes() const { return bytes_; }
  std::uint64_t address() const { return reinterpret_cast<std::uintptr_t>(bytes_.data()); }
  // What is left of unmapped memory, as long as nothing else takes its place.
  void take_away() const { ASSERT_EQ(::mprotect(bytes_.data(), kSize, PROT_NONE), 0); }
  void cut(std::size_t size) const { ASSERT_EQ(::ftruncate(file_.get(), off_t(size)), 0); }

 private:
  UniqueFd file_;
  std::span<std::byte> bytes_;
};

std::unique_ptr<Placement> make_placement() {
  auto created = Placement::create();
  EXPECT_TRUE(created.has_value());
  return std::move(*created);
}

UniqueFd copy_of(int fd) { return UniqueFd(::dup(fd)); }

class Direct : public ::testing::Test {
 protected:
  Direct() {
    a_->take_ownership();
    b_->take_ownership();
    net.a.device.set_direct_path(&*a_);
    net.b.device.set_direct_path(&*b_);
    a_->set_gids(net.a.device.gids());
    b_->set_gids(net.b.device.gids());
    meet();
    net.connected(left, right);
  }

  ~Direct() override {
    a_->release_ownership();
    b_->release_ownership();
  }

  void meet() {
    b_->source_up(0, copy_of(a_->descriptor()));
    a_->destination_up(1, ::getpid(), copy_of(b_->descriptor()));
    a_->source_up(1, copy_of(b_->descriptor()));
    b_->destination_up(0, ::getpid(), copy_of(a_->descriptor()));
  }

  static rdma::MemoryRegion& share(Node& node, const Pages& pages,
                                   rdma::Access access = kEverything,
                                   rdma::ProtectionDomain* pd = nullptr) {
    return *node.context
                ->register_region(pd == nullptr ? *node.pd : *pd, {.address = pages.address(),
                                                                   .length = Pages::kSize,
                                                                   .iova = pages.address(),
                                                                   .access = access})
                .value();
  }

  // Posts from `own` pages of a's to `far`, and waits for the completion.
  Completion run(SendOpcode opcode, const Pages& own, std::uint64_t far, std::uint32_t rkey,
                 std::uint32_t size) {
    const rdma::Sge piece{own.address(), size, share(net.a, own).key};
    EXPECT_EQ(post(opcode, piece, far, rkey), rdma::Posted::kPosted);
    return next();
  }
  rdma::Posted post(SendOpcode opcode, const rdma::Sge& piece, std::uint64_t far,
                    std::uint32_t rkey) {
    return net.a.context->post_send(left,
                                    {.wr_id = 7,
                                     .opcode = opcode,
                                     .flags = rdma::SendFlags::kSignaled,
                                     .sges = {&piece, 1},
                                     .remote_address = far,
                                     .rkey = rkey},
                                    net.now);
  }
  Completion next() {
    std::array<Completion, 1> one;
    EXPECT_TRUE(net.run([&] { return net.a.cq->poll(one) == 1; }));
    return one[0];
  }
  std::uint64_t count(Counter counter) { return net.a.device.counters().of(counter); }

  static void fill(std::span<std::byte> bytes, std::uint64_t seed) {
    const ByteVector random = rdma::random_bytes(bytes.size(), seed);
    std::ranges::copy(random, bytes.begin());
  }

  static constexpr rdma::Access kEverything =
      rdma::Access::kLocalWrite | rdma::Access::kRemoteWrite | rdma::Access::kRemoteRead;
  // In this order: the devices show what they have until they end.
  std::unique_ptr<Placement> a_ = make_placement();
  std::unique_ptr<Placement> b_ = make_placement();
  rdma::Network net{{.segmented = false}};
  rdma::QueuePair& left = net.a.create(rdma::QpType::kRc);
  rdma::QueuePair& right = net.b.create(rdma::QpType::kRc);
};

TEST_F(Direct, WritesAndReadsNeedNoPacket) {
  for (const bool shared : {false, true}) {
    Pages own(false);
    Pages far(shared);
    const auto& region = share(net.b, far);
    for (const std::uint32_t size : {1U, 8U, 4097U, 700'000U}) {
      fill(own.bytes(), size);
      const std::uint64_t at = far.address() + 5;
      EXPECT_EQ(run(SendOpcode::kWrite, own, at, region.key, size).status, WcStatus::kSuccess);
      EXPECT_TRUE(
          std::equal(own.bytes().begin(), own.bytes().begin() + size, far.bytes().begin() + 5));
      EXPECT_EQ(far.bytes()[5 + size], std::byte{}) << "behind the end";
      fill(far.bytes(), size + 1);
      const Completion read = run(SendOpcode::kRead, own, at, region.key, size);
      EXPECT_EQ(read.status, WcStatus::kSuccess);
      EXPECT_EQ(read.byte_len, size);
      EXPECT_TRUE(
          std::equal(own.bytes().begin(), own.bytes().begin() + size, far.bytes().begin() + 5));
      std::ranges::fill(far.bytes(), std::byte{});
    }
  }
  EXPECT_EQ(count(Counter::kTxPackets), 0U);
  EXPECT_EQ(count(Counter::kDirectWrites), 8U);
  EXPECT_EQ(count(Counter::kDirectReads), 8U);
  EXPECT_GT(a_->counters().by_kernel, 0U);
  EXPECT_EQ(a_->counters().by_kernel, a_->counters().by_mapping);
  // One pass by us or by the kernel.
  const auto& passes = net.a.device.counters().passes;
  EXPECT_EQ(passes.bytes(packet::Pass::kCopy) + passes.bytes(packet::Pass::kKernelCopy),
            count(Counter::kDirectBytes));
}

TEST_F(Direct, PiecesAndInlineDataGoTheSameWay) {
  Pages own(false);
  Pages far(true);
  fill(own.bytes(), 1);
  const auto& source = share(net.a, own);
  const auto& region = share(net.b, far);
  const std::array pieces{rdma::Sge{own.address() + 100, 10, source.key},
                          rdma::Sge{own.address(), 0, source.key},
                          rdma::Sge{own.address() + 4, 3, source.key}};
  for (const std::uint32_t flags : {0U, rdma::SendFlags::kInline}) {
    std::ranges::fill(far.bytes(), std::byte{});
    ASSERT_EQ(net.a.context->post_send(left,
                                       {.opcode = SendOpcode::kWrite,
                                        .flags = flags | rdma::SendFlags::kSignaled,
                                        .sges = pieces,
                                        .remote_address = far.address(),
                                        .rkey = region.key},
                                       net.now),
              rdma::Posted::kPosted);
    EXPECT_EQ(next().status, WcStatus::kSuccess);
    EXPECT_TRUE(std::equal(&own.bytes()[100], &own.bytes()[110], far.bytes().begin()));
    EXPECT_TRUE(std::equal(&own.bytes()[4], &own.bytes()[7], &far.bytes()[10]));
  }
  EXPECT_EQ(count(Counter::kDirectWrites), 2U);
}

// What the peer does not allow gets the same answer as over a wire, from the peer's responder, and
// touches nothing.
TEST_F(Direct, WhatIsNotAllowedIsARemoteAccessError) {
  Pages own(false);
  Pages far(true);
  rdma::ProtectionDomain& other = *net.b.context->alloc_pd().value();
  const std::uint32_t good = share(net.b, far).key;
  const std::uint64_t base = far.address();
  struct Case {
    const char* what;
    SendOpcode opcode;
    std::uint64_t address;
    std::uint32_t key;
  };
  constexpr rdma::Access kReadOnly = rdma::Access::kRemoteRead;
  constexpr rdma::Access kWriteOnly = rdma::Access::kLocalWrite | rdma::Access::kRemoteWrite;
  const std::array cases{
      Case{"a key that nobody has", SendOpcode::kWrite, base, good ^ 1U},
      Case{"before the region", SendOpcode::kWrite, base - 1, good},
      Case{"past its end", SendOpcode::kWrite, base + Pages::kSize - 7, good},
      Case{"around the end of the address space", SendOpcode::kWrite, UINT64_MAX - 3, good},
      Case{"write, where reads are allowed", SendOpcode::kWrite, base,
           share(net.b, far, kReadOnly).key},
      Case{"read, where writes are", SendOpcode::kRead, base, share(net.b, far, kWriteOnly).key},
      Case{"no remote access", SendOpcode::kRead, base,
           share(net.b, far, rdma::Access::kLocalWrite).key},
      Case{"another protection domain", SendOpcode::kWrite, base,
           share(net.b, far, kEverything, &other).key}};
  fill(own.bytes(), 1);
  for (const Case& test : cases) {
    rdma::QueuePair& from = net.a.create(rdma::QpType::kRc);
    rdma::QueuePair& to = net.b.create(rdma::QpType::kRc);
    net.connected(from, to);
    const rdma::Sge piece{own.address(), 8, share(net.a, own).key};
    ASSERT_EQ(net.a.context->post_send(from,
                                       {.opcode = test.opcode,
                                        .sges = {&piece, 1},
                                        .remote_address = test.address,
                                        .rkey = test.key},
                                       net.now),
              rdma::Posted::kPosted);
    EXPECT_EQ(next().status, WcStatus::kRemoteAccess) << test.what;
    EXPECT_EQ(from.state, rdma::QpState::kErr) << test.what;
    EXPECT_EQ(to.state, rdma::QpState::kErr) << test.what;
  }
  EXPECT_TRUE(std::ranges::all_of(far.bytes(), [](std::byte byte) { return byte == std::byte{}; }));
  EXPECT_EQ(count(Counter::kDirectBytes), 0U);
}

TEST_F(Direct, OnlyTheQueuePairsOwnPeerReachesItsRegions) {
  Pages own(false);
  Pages far(true);
  const auto& region = share(net.b, far);
  // Ours says that it is connected to `right`, whose peer is another.
  rdma::QueuePair& stranger = net.a.create(rdma::QpType::kRc);
  net.bring_up(net.a, stranger, right.number, {.retry_count = 1});
  const rdma::Sge piece{own.address(), 8, share(net.a, own).key};
  ASSERT_EQ(net.a.context->post_send(stranger,
                                     {.opcode = SendOpcode::kWrite,
                                      .sges = {&piece, 1},
                                      .remote_address = far.address(),
                                      .rkey = region.key},
                                     net.now),
            rdma::Posted::kPosted);
  net.settle();
  EXPECT_EQ(count(Counter::kDirectWrites), 0U);
}

TEST_F(Direct, MemoryThatIsGoneIsACompletionError) {
  for (const bool shared : {false, true}) {
    Pages own(false);
    Pages far(shared);
    const auto& region = share(net.b, far);
    if (shared) {
      far.cut(0);
    } else {
      far.take_away();
    }
    rdma::QueuePair& from = net.a.create(rdma::QpType::kRc);
    net.connected(from, net.b.create(rdma::QpType::kRc));
    const rdma::Sge piece{own.address(), 100, share(net.a, own).key};
    ASSERT_EQ(net.a.context->post_send(from,
                                       {.opcode = SendOpcode::kWrite,
                                        .sges = {&piece, 1},
                                        .remote_address = far.address(),
                                        .rkey = region.key},
                                       net.now),
              rdma::Posted::kPosted);
    EXPECT_EQ(next().status, WcStatus::kRemoteAccess);
  }
  // Our own.
  Pages far(true);
  Pages own(false);
  const rdma::Sge piece{own.address(), 100, share(net.a, own).key};
  own.take_away();
  ASSERT_EQ(post(SendOpcode::kWrite, piece, far.address(), share(net.b, far).key),
            rdma::Posted::kPosted);
  EXPECT_EQ(next().status, WcStatus::kLocalProtection);
}

TEST_F(Direct, NothingIsReachedAfterDeregistration) {
  Pages own(false);
  Pages far(true);
  auto& region = share(net.b, far);
  const std::uint32_t key = region.key;
  fill(own.bytes(), 1);
  EXPECT_EQ(run(SendOpcode::kWrite, own, far.address(), key, 8).status, WcStatus::kSuccess);
  ASSERT_TRUE(net.b.context->deregister_region(region));
  std::ranges::fill(far.bytes(), std::byte{});
  EXPECT_EQ(run(SendOpcode::kWrite, own, far.address(), key, 8).status, WcStatus::kRemoteAccess);
  EXPECT_EQ(far.bytes()[0], std::byte{});
}

TEST_F(Direct, AReregisteredRegionIsTheNewOne) {
  Pages own(false);
  Pages before(true);
  Pages after(true);
  auto& region = share(net.b, before);
  fill(own.bytes(), 1);
  EXPECT_EQ(run(SendOpcode::kWrite, own, before.address(), region.key, 8).status,
            WcStatus::kSuccess);
  std::ranges::fill(before.bytes(), std::byte{});
  ASSERT_TRUE(
      net.b.context->reregister_region(region, {.flags = rdma::MemoryRegionChange::kTranslation,
                                                .address = after.address(),
                                                .length = Pages::kSize}));
  EXPECT_EQ(run(SendOpcode::kWrite, own, after.address(), region.key, 8).status,
            WcStatus::kSuccess);
  EXPECT_EQ(after.bytes()[0], own.bytes()[0]);
  EXPECT_EQ(before.bytes()[0], std::byte{});
  EXPECT_EQ(count(Counter::kTxPackets), 0U);
}

// A SEND is on its way: a long WRITE waits for it, a short one goes by a frame behind it, and
// completions are in order.
TEST_F(Direct, NothingOvertakesFrames) {
  Pages own(false);
  Pages far(true);
  fill(own.bytes(), 1);
  const auto& region = share(net.b, far);
  const auto& source = share(net.a, own);
  const rdma::Sge in{far.address() + 500'000, 100, region.key};
  const rdma::Sge message{own.address(), 100, source.key};
  for (const std::uint32_t size : {16U, 100'000U}) {
    std::ranges::fill(far.bytes(), std::byte{});
    ASSERT_EQ(net.b.context->post_recv(right, {.sges = {&in, 1}}, net.now), rdma::Posted::kPosted);
    const rdma::Sge piece{own.address(), size, source.key};
    ASSERT_EQ(post(SendOpcode::kSend, message, 0, 0), rdma::Posted::kPosted);
    ASSERT_EQ(post(SendOpcode::kWrite, piece, far.address(), region.key), rdma::Posted::kPosted);
    net.a.device.run(net.now);
    EXPECT_EQ(far.bytes()[1], std::byte{}) << "before the SEND has arrived";
    EXPECT_EQ(next().opcode, rdma::WcOpcode::kSend);
    EXPECT_EQ(next().opcode, rdma::WcOpcode::kWrite);
    EXPECT_TRUE(std::equal(own.bytes().begin(), own.bytes().begin() + size, far.bytes().begin()));
  }
  EXPECT_EQ(count(Counter::kDirectWrites), 1U);
}

TEST_F(Direct, AMessageBeyondTheBudgetGoesOnInTheNextRun) {
  Pages own(false);
  Pages far(true);
  const auto& source = share(net.a, own);
  const auto& region = share(net.b, far);
  const rdma::Sge piece{own.address(), Pages::kSize, source.key};
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(post(SendOpcode::kWrite, piece, far.address(), region.key), rdma::Posted::kPosted);
  }
  EXPECT_TRUE(net.a.device.run(net.now));
  EXPECT_LT(net.a.poll().size(), 20U);
  EXPECT_TRUE(net.run([&] { return count(Counter::kDirectWrites) == 20; }));
  EXPECT_EQ(count(Counter::kTxPackets), 0U);
}

// A peer that has ended takes no bytes, though its memory is still there: its queue pair is asked
// by frames, and does not answer.
TEST_F(Direct, ADeadPeerIsARetryError) {
  Pages own(false);
  Pages far(true);
  const auto& region = share(net.b, far);
  auto dead = make_placement();
  std::thread([&] { dead->take_ownership(); }).join();
  dead->set_gids(net.b.device.gids());
  dead->show(region);
  dead->show(right);
  a_->destination_up(1, ::getpid(), copy_of(dead->descriptor()));
  net.filter = [](unsigned, const packet::Packet&) { return false; };
  fill(own.bytes(), 1);
  EXPECT_EQ(run(SendOpcode::kWrite, own, far.address(), region.key, 8).status,
            WcStatus::kRetryExceeded);
  EXPECT_EQ(far.bytes()[0], std::byte{});
}

TEST_F(Direct, WithoutAPeerOrItsProcessFramesServe) {
  Pages own(false);
  Pages far(false);
  fill(own.bytes(), 1);
  const auto& region = share(net.b, far);
  // One whose process has no number here: another pid namespace.
  a_->destination_up(1, 0, copy_of(b_->descriptor()));
  EXPECT_EQ(run(SendOpcode::kWrite, own, far.address(), region.key, 8).status, WcStatus::kSuccess);
  // Another process than the table's.
  a_->destination_up(1, ::getppid(), copy_of(b_->descriptor()));
  EXPECT_EQ(run(SendOpcode::kWrite, own, far.address(), region.key, 8).status, WcStatus::kSuccess);
  a_->destination_down(1);
  EXPECT_EQ(run(SendOpcode::kWrite, own, far.address(), region.key, 8).status, WcStatus::kSuccess);
  EXPECT_EQ(far.bytes()[7], own.bytes()[7]);
  EXPECT_EQ(count(Counter::kDirectWrites), 0U);
}

// A table that claims what is not so: a file that is none in memory, another file, more than the
// file has.
TEST_F(Direct, ClaimsAboutFilesAreNotBelieved) {
  Pages own(false);
  Pages far(true);
  auto& region = share(net.b, far);
  const UniqueFd elsewhere(::memfd_create("elsewhere", MFD_CLOEXEC));
  ASSERT_TRUE(elsewhere);
  const auto view = View::attach(copy_of(b_->descriptor()));
  ASSERT_TRUE(view);
  auto peer = Peer::attach(copy_of(b_->descriptor()), ::getpid());
  ASSERT_TRUE(peer);
  std::uint32_t sequence = 0;
  const auto claimed = view->region(region.key, sequence);
  ASSERT_TRUE(claimed);
  const auto reaches = [&](const Region& claim) {
    sequence += 2;  // as a new entry
    return (*peer)->window_of(claim, sequence) != nullptr;
  };
  EXPECT_TRUE(reaches(*claimed));
  Region wrong = *claimed;
  wrong.file = elsewhere.get();
  EXPECT_FALSE(reaches(wrong)) << "another file";
  wrong = *claimed;
  wrong.file = 0;
  EXPECT_FALSE(reaches(wrong)) << "no file in memory";
  wrong = *claimed;
  wrong.file_offset = kPageSize;
  EXPECT_FALSE(reaches(wrong)) << "past its end";
  wrong = *claimed;
  wrong.file_offset = UINT64_MAX - 10;
  EXPECT_FALSE(reaches(wrong)) << "wraps";
}

// Deregistration waits for a peer that is placing, but not for one that has ended, and not for ever
// for one that was stopped.
TEST_F(Direct, DeregistrationWaitsForWhoIsPlacing) {
  auto table = Table::create().value();
  table->take_ownership();
  b_->source_up(5, copy_of(table->fd()));
  Pages far(true);
  auto& region = share(net.b, far);
  auto& local = share(net.b, far, rdma::Access::kLocalWrite);
  table->begin_placing();
  const Status refused = net.b.context->deregister_region(region);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().errno_value, EBUSY);
  EXPECT_TRUE(net.b.context->deregister_region(local)) << "which no peer can see";
  std::atomic<bool> over{false};
  std::thread placing([&] {
    over = true;
    table->end_placing();
  });
  while (!net.b.context->deregister_region(region)) std::this_thread::yield();
  EXPECT_TRUE(over);
  placing.join();
  b_->source_down(5);
  table->release_ownership();

  auto& next = share(net.b, far);
  auto ended = Table::create().value();
  std::thread([&] { ended->take_ownership(); }).join();
  ended->begin_placing();
  b_->source_up(5, copy_of(ended->fd()));
  EXPECT_TRUE(net.b.context->deregister_region(next));
  b_->source_down(5);
}

// A reader sees an entry as it was at one moment, while its owner writes it all the time.
TEST(View, EntriesAreWhole) {
  ASSERT_TRUE(install_fault_handlers());
  rdma::Network net;
  auto table = Table::create().value();
  const auto view = View::attach(copy_of(table->fd()));
  ASSERT_TRUE(view);
  rdma::MemoryRegion region{.pd = net.a.pd, .access = rdma::Access::kRemoteRead, .key = 0x1234500};
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (std::uint64_t round = 1; !stop; ++round) {
      region.address = region.iova = round << 20;
      region.length = round;
      table->show(region);
      if (round % 3 == 0) table->hide(region);
    }
  });
  for (int seen = 0; seen < 2000;) {
    std::uint32_t sequence = 0;
    const auto copy = view->region(region.key, sequence);
    if (!copy) continue;
    ++seen;
    ASSERT_EQ(copy->base, copy->length << 20);
    ASSERT_EQ(copy->address, copy->base);
  }
  stop = true;
  writer.join();
}

TEST(View, WhatIsNoTableIsRefused) {
  EXPECT_FALSE(View::attach(UniqueFd(::dup(0))));
  const auto plain = create_memfd("plain", kTableSize, PageKind::kNormal);
  EXPECT_FALSE(View::attach(*plain)) << "not sealed";
  ASSERT_TRUE(seal_memfd(plain->get(), Sharing::kReadOnly));
  EXPECT_FALSE(View::attach(*plain)) << "no magic number";
  auto small = create_memfd("small", kPageSize, PageKind::kNormal);
  ASSERT_TRUE(seal_memfd(small->get(), Sharing::kReadOnly));
  EXPECT_FALSE(View::attach(*small)) << "too small";
}

}  // namespace
}  // namespace tideline::placement
