// SPDX-License-Identifier: Apache-2.0
// How much the receiver lets the peer have on its way: as much as the path and the owner's pace can
// use, less while memory is short, and never so that one reader's idleness is another's loss.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tcp/receive_queue.h"
#include "tcp/test_net.h"

namespace tideline::tcp::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMostWindow = std::size_t{16} << 20;

// Reads from a queue that grows, at once or at a rate.
class Reader final : public StreamOwner {
 public:
  Reader(SimNet& net, SimHost& host, ChunkPool& chunks, std::uint64_t seed)
      : queue(chunks), net_(net), host_(host), seed_(seed) {
    queue.reset(kMostWindow);
  }

  Attachment attachment() { return {.owner = this, .send = &send_, .receive = &queue}; }
  void read(std::size_t most) {
    while (most > 0 && queue.readable() > 0) {
      const auto piece = queue.front().first(std::min(most, queue.front().size()));
      for (const std::byte byte : piece) wrong += byte != byte_at(seed_, received++) ? 1 : 0;
      queue.consume(piece.size());
      most -= piece.size();
    }
    host_.tcp.consumed(id, net_.now);
  }

  void readable(ConnectionId connection, Instant) override {
    id = connection;
    if (reads) read(SIZE_MAX);
  }
  void peer_closed(ConnectionId connection, Instant now) override {
    done = true;
    host_.tcp.close(connection, queue.readable() > 0, now);
  }
  void writable(ConnectionId, Instant) override {}
  void ended(ConnectionId, End, Instant) override {}
  void released(ConnectionId, Instant) override { is_released = true; }

  ReceiveQueue queue;
  ConnectionId id;
  bool reads = true;
  bool done = false;
  bool is_released = false;
  std::uint64_t received = 0;
  std::uint64_t wrong = 0;

 private:
  SimNet& net_;
  SimHost& host_;
  std::uint64_t seed_;
  ByteFifo out_{out_memory_, indices_};
  std::array<std::byte, 64> out_memory_{};
  FifoIndices indices_;
  OutgoingFifo send_{out_};
};

Config large_windows() {
  Config config;
  config.max_receive_buffer = kMostWindow;
  return config;
}

// Senders on the left, readers on the right.
struct Scene {
  Scene(const LinkOptions& link, std::size_t memory)
      : chunks(memory), net(link, 5, large_windows()) {
    EXPECT_TRUE(net.right().tcp.listen({{}, kPort}, {}, listener).has_value());
  }
  ~Scene() {
    for (auto& sender : senders) net.left().tcp.abort(sender->id, net.now);
    for (auto& reader : readers) net.right().tcp.abort(reader->id, net.now);
    net.run([&] {
      bool all = true;
      for (auto& sender : senders) all &= sender->is_released;
      for (auto& reader : readers) all &= reader->is_released;
      return all;
    });
  }
  void add(std::uint64_t bytes) {
    const std::uint64_t seed = 2 * senders.size();
    senders.push_back(
        std::make_unique<SimStream>(net.left(), net, seed, bytes, 0, std::size_t{16} << 20));
    const auto id = net.left().tcp.connect({net.right().address(true), kPort}, {}, {},
                                           senders.back()->attachment(), net.now);
    ASSERT_TRUE(id.has_value());
    senders.back()->id = *id;
    const std::size_t before = readers.size();
    ASSERT_TRUE(net.run([&] { return readers.size() > before; }));
  }

  struct Acceptor final : ListenerOwner {
    explicit Acceptor(Scene& whole) : scene(whole) {}
    Attachment incoming(ListenerId, ConnectionId id, const Tuple&, Instant) override {
      Scene& s = scene;
      s.readers.push_back(
          std::make_unique<Reader>(s.net, s.net.right(), s.chunks, 2 * s.readers.size()));
      s.readers.back()->id = id;
      s.net.right().tcp.accepted(id);
      return s.readers.back()->attachment();
    }
    Scene& scene;
  };

  ChunkPool chunks;
  SimNet net;
  Acceptor listener{*this};
  std::vector<std::unique_ptr<SimStream>> senders;
  std::vector<std::unique_ptr<Reader>> readers;
};

TEST(ReceiveWindow, GrowsUntilALongPathIsFull) {
  constexpr std::uint64_t kBytes = 60'000'000;
  Scene scene({.delay = milliseconds(50), .rate = 100'000'000, .queue = 2'000'000},
              std::size_t{64} << 20);
  scene.add(kBytes);
  const Instant begin = scene.net.now;
  ASSERT_TRUE(scene.net.run([&] { return scene.readers[0]->received == kBytes; }));
  EXPECT_EQ(scene.readers[0]->wrong, 0U);
  // At the link's rate it takes 4.8 s; with a window of 256 KiB it would take 23.
  EXPECT_LT(scene.net.now - begin, seconds(8));
  EXPECT_GT(scene.readers[0]->queue.limit() - kBytes, 1'250'000U);  // rate times round trip
}

TEST(ReceiveWindow, StaysSmallForAReaderThatIsSlow) {
  Scene scene({.delay = milliseconds(5), .rate = 1'000'000'000}, std::size_t{64} << 20);
  scene.add(60'000'000);
  Reader& reader = *scene.readers[0];
  reader.reads = false;
  for (int i = 0; i < 2000; ++i) {  // 10 MB/s: 100 kB in a round trip
    scene.net.run_for(milliseconds(1));
    reader.read(10'000);
  }
  EXPECT_EQ(reader.wrong, 0U);
  EXPECT_GT(reader.received, 18'000'000U);
  EXPECT_LE(reader.queue.limit() - reader.received, ReceiveQueue::kFirstWindow * 2);
}

TEST(ReceiveWindow, IdleReadersDoNotStarveOthersOfMemory) {
  constexpr std::uint64_t kBytes = 3'000'000;
  Scene scene({.delay = milliseconds(1), .rate = 1'000'000'000}, std::size_t{4} << 20);
  for (int i = 0; i < 24; ++i) {
    scene.add(kBytes);
    scene.readers.back()->reads = i % 4 == 3;
  }
  const auto all_read = [&] {
    for (const auto& reader : scene.readers) {
      if (reader->reads && reader->received < kBytes) return false;
    }
    return true;
  };
  EXPECT_TRUE(scene.net.run(all_read, seconds(120)));
  for (const auto& reader : scene.readers) EXPECT_EQ(reader->wrong, 0U);
  EXPECT_TRUE(scene.chunks.is_short());
  // And those that were idle get all of theirs.
  for (const auto& reader : scene.readers) reader->reads = true;
  for (const auto& reader : scene.readers) reader->read(SIZE_MAX);
  EXPECT_TRUE(scene.net.run(all_read, seconds(120)));
  for (const auto& reader : scene.readers) EXPECT_EQ(reader->wrong, 0U);
}

TEST(ReceiveWindow, WhoReadsLateIsNotLeftToProbesWhileMemoryIsShort) {
  constexpr std::uint64_t kBytes = 2'000'000;
  Scene scene({.delay = milliseconds(1), .rate = 1'000'000'000, .super_frames = true},
              std::size_t{4} << 20);
  for (int i = 0; i < 20; ++i) {
    scene.add(kBytes);
    scene.readers.back()->reads = false;
  }
  scene.net.run_for(milliseconds(100));
  ASSERT_TRUE(scene.chunks.is_short());
  // Two read, after what has come was acknowledged; the others do not.
  const Instant begin = scene.net.now;
  const auto done = [&] {
    return scene.readers[3]->received == kBytes && scene.readers[17]->received == kBytes;
  };
  while (!done() && scene.net.now - begin < seconds(60)) {
    scene.net.run_for(milliseconds(1));
    scene.readers[3]->read(SIZE_MAX);
    scene.readers[17]->read(SIZE_MAX);
  }
  EXPECT_TRUE(done());
  EXPECT_TRUE(scene.chunks.is_short());
  // 64 KiB for each persist time-out would take some six seconds and more.
  EXPECT_LT(scene.net.now - begin, seconds(3));
}

}  // namespace
}  // namespace tideline::tcp::test
