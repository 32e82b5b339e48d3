// SPDX-License-Identifier: Apache-2.0
// A megabyte is sent from memory that the other process can read, and seen where the engine has
// received it: one copy is made, from the one to the other.
#include <tideline/engine.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <span>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using tideline::Endpoint;
using tideline::Engine;

namespace {

constexpr std::uint16_t kPort = 9;
constexpr std::size_t kSize = std::size_t{1} << 20;

std::byte pattern(std::size_t at) { return static_cast<std::byte>(at * 131 + at / 4096); }

// Returns whether the memory came back.
bool send(const Endpoint& server) {
  auto engine = Engine::open({.wire = "shm:example-zero-copy"});
  auto host = engine->add_host({});
  const std::span<std::byte> memory = engine->allocate_memory(kSize);
  for (std::size_t i = 0; i < kSize; ++i) memory[i] = pattern(i);
  const tideline::Region region = *engine->register_memory(memory);
  auto stream = host->connect(server);
  if (!stream || !stream->lend(region, 0, kSize)) return false;
  stream->shut_down();
  // The completion: the peer has acknowledged all of it, and nothing refers to it any more.
  while (stream->released() < stream->written()) {
    if (!engine->wait(10s)) return false;
    while (engine->next()) continue;
  }
  std::ranges::fill(memory, std::byte{0});  // it is ours again
  stream->close();
  engine->drain(5s);
  return true;
}

}  // namespace

int main() {
  auto engine = Engine::open({.wire = "shm:example-zero-copy"});
  if (!engine) {
    std::printf("%s\n", engine.error().message().c_str());
    return 3;
  }
  const auto host = engine->add_host({});
  tideline::Listener listener = *host->listen(kPort);
  const std::string address = host->ip4()[0].substr(0, host->ip4()[0].find('/'));
  bool sent = false;
  std::thread sender([&] { sent = send(*Endpoint::parse(address, kPort)); });

  std::optional<tideline::Stream> stream;
  std::size_t count = 0;
  std::size_t wrong = 0;
  while (!stream || !stream->at_end()) {
    if (!engine->wait(10s)) break;
    while (engine->next()) continue;
    if (!stream) stream = listener.accept();
    while (stream && !stream->received().empty()) {
      const auto bytes = stream->received();  // in the engine's memory, ours until consumed
      for (const std::byte byte : bytes) wrong += byte != pattern(count++);
      stream->consume(bytes.size());
    }
  }
  if (stream) stream->close();
  engine->drain(5s);
  sender.join();
  std::printf("%zu bytes, %zu wrong, %s\n", count, wrong, sent ? "returned" : "not returned");
  return count == kSize && wrong == 0 && sent ? 0 : 1;
}
