// SPDX-License-Identifier: Apache-2.0
// A hostile program at a queue pair (docs/queue-pair.md, "Trust"): the input is what it writes into
// shared memory, asks for, wishes and hints. Each input has a program of its own; the engine, and
// all that earlier programs have left in it, stays.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "engine/queue_test_client.h"
#include "input.h"

namespace tideline::engine {
namespace {

class Program {
 public:
  Program(TestEngine& engine, Input input) : engine_(engine), input_(input), client_(engine) {}

  void run() {
    if (!client_.greet()) return;
    const auto pair = client_.join(client_, 1000);
    sockets_ = {pair.listener, pair.near, pair.far, client_.open(client::SocketType::kDatagram)};
    for (int steps = 0; !input_.empty() && steps < 64 && !client_.is_ended(); ++steps) {
      step();
      engine_.turns(1);
    }
  }

 private:
  RawClient::Socket& socket() { return sockets_[input_.byte() % sockets_.size()]; }

  void step() {
    const auto what = input_.byte();
    switch (what % 10) {
      case 0:
        return call();
      case 1:
        return write_some(std::as_writable_bytes(std::span(socket().page, 1)));
      case 2:
        return write_some(
            {reinterpret_cast<std::byte*>(&client_.memory()), sizeof(queue::ChannelMemory)});
      case 3:
        return write_fifo();
      case 4:
        return move_index();
      case 5:
        return wish();
      case 6:
        return client_.hint(input_.byte() % 8);
      case 7:
        return transfer();
      case 8:
        return engine_.skip(std::chrono::seconds(1));
      default:
        if (what == 255) client_.die();
        return;
    }
  }
  void call() {
    queue::CallSlot& slot = client_.memory().call;
    slot.request = input_.take<queue::Request>();
    slot.asked.fetch_add(1);
    client_.hint(0);
  }
  void write_some(std::span<std::byte> bytes) {
    const std::size_t at = input_.take<std::uint32_t>() % bytes.size();
    input_.fill(bytes.subspan(at, std::min<std::size_t>(8, bytes.size() - at)));
  }
  // A record, or bytes, at the beginning of what the engine reads next.
  void write_fifo() {
    const RawClient::Socket& to = socket();
    if (to.out().size() == 0) return;
    const auto record = input_.take<queue::DatagramRecord>();
    const std::uint64_t at = to.page->outgoing.consumed.load() % kSpan;
    std::memcpy(to.family->bytes().data() + queue::kFifosBegin + at, &record, sizeof(record));
  }
  void move_index() {
    queue::SocketPage& page = *socket().page;
    std::atomic<std::uint64_t>* const indices[] = {&page.outgoing.written, &page.outgoing.consumed,
                                                   &page.incoming.written, &page.incoming.consumed};
    *indices[input_.byte() % 4] += input_.word();
    client_.hint(input_.byte() % 8);
  }
  // So much that FIFOs grow, between all that is broken.
  void transfer() {
    const std::string block(std::size_t{1} << (8 + input_.byte() % 10), 'b');
    client_.write(socket(), block);
    client_.read(socket());
  }
  void wish() {
    if (!client_.attach) return;
    const auto wish = input_.take<queue::WishMessage>();
    const int fd = client_.bell.get();
    const std::size_t fds = input_.byte() % 2;
    client_.tell(wish, std::span(&fd, fds));
    client_.hint(0);
  }

  static constexpr std::uint64_t kSpan = std::uint64_t{1} << 20;

  TestEngine& engine_;
  Input input_;
  RawClient client_;
  std::vector<RawClient::Socket> sockets_;
};

}  // namespace
}  // namespace tideline::engine

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline::engine;  // NOLINT(google-build-using-namespace): of a C function
  static TestEngine engine;
  Program(engine, tideline::Input(data, size)).run();
  // What it held is given back, and what it has broken was its own.
  const bool gone = engine.until([] { return engine.server().is_idle(); });
  CHECK(gone, "{} clients, {} sockets", engine.server().clients(),
        engine.server().sockets().in_use());
  return 0;
}
