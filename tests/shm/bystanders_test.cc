// SPDX-License-Identifier: Apache-2.0
// Two programs exchange frames over shm ports and check every byte, while others on the segment are
// killed, stopped, or write over all that they can write. bench/proofs/segment tortures the members
// below the ports thousands of times; this is the short form through the port.
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/bits.h"
#include "base/clock.h"
#include "base/mapping.h"
#include "base/random.h"
#include "common/process.h"
#include "common/resources.h"
#include "common/test_directory.h"
#include "packet/copy.h"
#include "port/shm/port.h"

namespace tideline::port {
namespace {

using bench::Child;
using packet::PassCounter;

constexpr Duration kPatience = std::chrono::seconds(20);
constexpr std::size_t kNumber = kEthernetHeader;
constexpr std::size_t kSecret = kNumber + 8;
constexpr std::size_t kHeader = kSecret + 8;

// What the bystanders and the tormented tell the test.
struct Board {
  // In the frames of bystanders only: others can forge the source of theirs, as on any Ethernet.
  std::uint64_t secret;
  std::atomic<bool> stop;
  std::array<std::atomic<std::uint64_t>, 2> received;  // by either bystander, all right
  std::atomic<std::uint64_t> wrong;
  std::atomic<std::uint64_t> longest_silence_ns;
  std::atomic<std::uint32_t> met;  // the tormented has exchanged frames with both
};

class Station {
 public:
  static std::unique_ptr<Station> open(const std::string& directory) {
    auto station = std::unique_ptr<Station>(new Station);
    station->pool = std::move(*Pool::create({.segments = 1024, .loans = 64, .huge_pages = false}));
    auto port = ShmPort::open("test", station->pool.get(),
                              {.directory = directory,
                               .sizes = {.slots = 4,
                                         .ring_slots = 32,
                                         .arena = {.small_blocks = 64, .large_blocks = 8},
                                         .arena_pages = shm::ArenaPages::kNormal}},
                              monotonic_now());
    if (!port) return nullptr;
    station->port = std::move(*port);
    return station;
  }

  bool send(unsigned to, std::uint64_t number, std::size_t size) {
    PacketPtr frame = make(to, number, size);
    if (frame == nullptr) return false;
    Burst burst;
    burst.push(std::move(frame));
    return port->tx_burst(0, burst, monotonic_now()) == 1;
  }

  // Every byte follows from the number.
  static bool is_right(const Packet& frame, std::uint64_t number) {
    PassCounter passes;
    std::vector<std::byte> bytes(frame.size());
    packet::copy_out(frame, 0, bytes, passes);
    if (bytes.size() < kHeader || word_at(bytes, kNumber) != number) return false;
    for (std::size_t i = kHeader; i < bytes.size(); ++i) {
      if (bytes[i] != static_cast<std::byte>(number + i)) return false;
    }
    return true;
  }
  static bool has_secret(const Packet& frame, std::uint64_t secret) {
    const auto bytes = frame.first().bytes();
    return bytes.size() >= kHeader && word_at(bytes, kSecret) == secret;
  }
  static unsigned source_of(const Packet& frame) {
    return std::to_integer<unsigned>(frame.first().bytes()[11]);
  }

  std::unique_ptr<Pool> pool;
  std::unique_ptr<ShmPort> port;
  std::uint64_t secret = 0;

 private:
  static std::uint64_t word_at(std::span<const std::byte> bytes, std::size_t offset) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + offset, sizeof(word));
    return word;
  }

  PacketPtr make(unsigned to, std::uint64_t number, std::size_t size) {
    static const shm::MacPlan macs("test");
    std::vector<std::byte> bytes(size);
    const std::array<wire::MacAddress, 2> addresses = {macs.of_slot(to),
                                                       macs.of_slot(port->slot())};
    std::memcpy(bytes.data(), addresses.data(), sizeof(addresses));
    std::memcpy(bytes.data() + kNumber, &number, sizeof(number));
    std::memcpy(bytes.data() + kSecret, &secret, sizeof(secret));
    for (std::size_t i = kHeader; i < size; ++i) bytes[i] = static_cast<std::byte>(number + i);
    PassCounter passes;
    PacketPtr frame = packet::copy_of(bytes, *pool, passes);
    // Longer than the MTU: as RDMA sends, for which nothing but the length matters here.
    if (frame != nullptr && size > 1500) {
      frame->meta().offload = {
          .gso = packet::Gso::kRoce, .gso_size = 1024, .header_length = kHeader};
    }
    return frame;
  }
};

std::size_t size_of(std::uint64_t number) {
  if (number % 64 == 63) return 30'000;
  return std::array<std::size_t, 4>{64, 1400, 112, 120}[number % 4];
}

// A bystander: exchanges numbered frames with the other one, sleeping when there is nothing to do,
// sends to the two other slots, and answers who sends to it.
class Bystander {
 public:
  Bystander(Station& station, unsigned self, Board& board)
      : station_(station), self_(self), board_(board) {
    station_.secret = board.secret;
  }

  void run() {
    while (!board_.stop.load(std::memory_order_relaxed)) {
      send();
      const Instant now = monotonic_now();
      receive(now);
      for (const PacketPtr& frame : burst_) take(*frame, now);
      burst_.clear();
      const auto silence = static_cast<std::uint64_t>((now - heard_).count());
      if (silence > board_.longest_silence_ns) board_.longest_silence_ns = silence;
    }
  }

 private:
  bool may_send() const { return sent_ < expected_ + 16; }
  void send() {
    if (may_send() && station_.send(other(), sent_, size_of(sent_))) ++sent_;
    if (sent_ % 16 != 0) return;
    for (const unsigned slot : {2U, 3U}) station_.send(slot, sent_, 200);
  }
  void receive(Instant now) {
    ShmPort& port = *station_.port;
    if (port.rx_burst(0, burst_, now) > 0) return;
    port.arm(0);
    if (port.rx_burst(0, burst_, now) == 0 && !may_send()) {
      pollfd wait{.fd = port.fd(0), .events = POLLIN};
      ::poll(&wait, 1, 1000);
    }
    port.disarm(0);
  }
  void take(const Packet& frame, Instant now) {
    const unsigned source = Station::source_of(frame);
    if (source != other()) {
      station_.send(source, 0, 64);
      return;
    }
    if (!Station::has_secret(frame, board_.secret)) return;
    if (!Station::is_right(frame, expected_)) ++board_.wrong;
    ++expected_;
    ++board_.received.at(self_);
    heard_ = now;
  }
  unsigned other() const { return 1 - self_; }

  Station& station_;
  unsigned self_;
  Board& board_;
  std::uint64_t sent_ = 0;
  std::uint64_t expected_ = 0;
  Instant heard_ = monotonic_now();
  Burst burst_;
};

int stand_by(const std::string& directory, unsigned self, Board& board) {
  const auto station = Station::open(directory);
  if (station == nullptr || station->port->slot() != self) return 1;
  Bystander(*station, self, board).run();
  return 0;
}

// Joins, and gets an answer of both bystanders.
std::unique_ptr<Station> meet(const std::string& directory, Board& board) {
  auto station = Station::open(directory);
  if (station == nullptr) return nullptr;
  std::array<bool, 2> answered{};
  Burst burst;
  const Instant give_up = monotonic_now() + kPatience;
  while (!(answered[0] && answered[1])) {
    if (monotonic_now() > give_up) return nullptr;
    for (const unsigned slot : {0U, 1U}) {
      if (!answered.at(slot)) station->send(slot, 7, 300);
    }
    station->port->rx_burst(0, burst, monotonic_now());
    for (const PacketPtr& frame : burst) {
      // Answers only: there is chatter, too.
      if (frame->size() == 64 && Station::source_of(*frame) < 2) {
        answered.at(Station::source_of(*frame)) = true;
      }
    }
    burst.clear();
    ::sched_yield();
  }
  ++board.met;
  return station;
}

int live(const std::string& directory, Board& board) {
  const auto station = meet(directory, board);
  if (station == nullptr) return 1;
  Burst burst;
  for (std::uint64_t number = 0;; ++number) {
    station->send(number % 2, number, size_of(number));
    station->port->rx_burst(0, burst, monotonic_now());
    burst.clear();
  }
}

int scribble(const std::string& directory, Board& board, std::uint64_t seed) {
  const auto station = meet(directory, board);
  if (station == nullptr) return 1;
  const auto targets = bench::writable_memfds("tideline-");
  Rng rng(seed);
  for (std::uint64_t round = 0;; ++round) {
    const std::span<std::byte> target = targets[rng.below(targets.size())];
    const std::size_t words = target.size() / sizeof(std::uint64_t);
    // Small numbers pass for sequences, lengths, offsets, indices and flags.
    const std::uint64_t word =
        rng.below(2) == 0 ? rng() >> rng.below(64) : rng.below(64) | rng.below(1U << 26) << 32;
    const std::size_t at = rng.below(rng.below(2) == 0 ? std::min<std::size_t>(words, 32) : words);
    std::atomic_ref(reinterpret_cast<std::uint64_t*>(target.data())[at])
        .store(word, std::memory_order_relaxed);
    if (round % 1024 == 0) station->send(round / 1024 % 2, round, 64);
  }
}

class Bystanders : public ::testing::Test {
 protected:
  Bystanders()
      : memory_(*Mapping::anonymous_shared(align_up(sizeof(Board), kPageSize))),
        board_(*new(memory_.data()) Board{}) {
    std::random_device random;
    board_.secret = std::uint64_t{random()} << 32 | random();
    for (unsigned slot = 0; slot < 2; ++slot) {
      processes_.push_back(
          Child::run([this, slot] { return stand_by(directory_.path(), slot, board_); }));
      // In this order, for the slots.
      EXPECT_TRUE(wait_until([&] {
        return std::filesystem::exists(directory_.path() + (slot == 0 ? "/0.sock" : "/1.sock"));
      }));
    }
    EXPECT_TRUE(go_on());
  }
  ~Bystanders() override {
    EXPECT_TRUE(go_on());
    board_.stop = true;
    for (Child& process : processes_) EXPECT_TRUE(process.succeeded());
    EXPECT_EQ(board_.wrong, 0U);
    EXPECT_LT(board_.longest_silence_ns, 5'000'000'000U);
    EXPECT_FALSE(std::filesystem::exists(directory_.path() + "/0.sock"));
  }

  static bool wait_until(const std::function<bool()>& condition) {
    const Instant give_up = monotonic_now() + kPatience;
    while (!condition()) {
      if (monotonic_now() > give_up) return false;
      ::poll(nullptr, 0, 1);
    }
    return true;
  }
  // Both get a hundred frames of each other from now.
  bool go_on() {
    const std::array<std::uint64_t, 2> before = {board_.received[0], board_.received[1]};
    return wait_until([&] {
      return board_.received[0] >= before[0] + 100 && board_.received[1] >= before[1] + 100;
    });
  }
  Child start(const std::function<int()>& body) {
    const std::uint32_t met = board_.met;
    Child child = Child::run(body);
    EXPECT_TRUE(wait_until([&] { return board_.met > met; }));
    return child;
  }

  bench::TestDirectory directory_;
  Mapping memory_;
  Board& board_;
  std::vector<Child> processes_;
};

TEST_F(Bystanders, GoOnWhenMembersAreKilled) {
  for (int i = 0; i < 20; ++i) {
    Child child = start([&] { return live(directory_.path(), board_); });
    ::poll(nullptr, 0, i % 4);
    child.signal(SIGKILL);
    child.wait();
  }
}

TEST_F(Bystanders, GoOnWhenAMemberIsStopped) {
  Child child = start([&] { return live(directory_.path(), board_); });
  child.signal(SIGSTOP);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(go_on());
  child.signal(SIGCONT);
  EXPECT_TRUE(go_on());
}

TEST_F(Bystanders, GoOnWhenAMemberScribblesOverAllItCanWrite) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    const Child hostile = start([&] { return scribble(directory_.path(), board_, seed); });
    for (int i = 0; i < 5; ++i) {
      // Newcomers are served meanwhile.
      const Child child = start([&] { return live(directory_.path(), board_); });
      EXPECT_TRUE(go_on());
    }
  }
}

}  // namespace
}  // namespace tideline::port
