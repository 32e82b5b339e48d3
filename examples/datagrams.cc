// SPDX-License-Identifier: Apache-2.0
// Datagrams, and waiting with a deadline: the time of day is asked for and answered over UDP.
#include <tideline/engine.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using tideline::Endpoint;
using tideline::Engine;

namespace {

constexpr std::uint16_t kPort = 37;

// Asks each 100 ms until an answer comes: datagrams get lost.
std::string ask(const Endpoint& server) {
  auto engine = Engine::open({.wire = "shm:example-datagrams"});
  auto host = engine->add_host({});
  auto socket = host->bind(0);
  if (!socket) return {};
  std::array<std::byte, 64> answer{};
  for (int i = 0; i < 100; ++i) {
    if (auto sent = socket->send({}, server); !sent) return {};
    if (!engine->wait(100ms)) continue;
    while (engine->next()) continue;
    if (const auto received = socket->receive(answer)) {
      // A longer one was cut off.
      return {reinterpret_cast<const char*>(answer.data()),
              std::min(received->size, answer.size())};
    }
  }
  return {};
}

}  // namespace

int main() {
  auto engine = Engine::open({.wire = "shm:example-datagrams"});
  if (!engine) {
    std::printf("%s\n", engine.error().message().c_str());
    return 3;
  }
  const auto host = engine->add_host({});
  auto socket = host->bind(kPort);
  const std::string address = host->ip4()[0].substr(0, host->ip4()[0].find('/'));

  std::string answer;
  std::atomic<bool> done{false};
  std::thread client([&] {
    answer = ask(*Endpoint::parse(address, kPort));
    done = true;
    engine->wake();  // from any thread
  });
  while (!done) {
    engine->wait(1s);
    while (engine->next()) continue;
    while (const auto asked = socket->receive({})) {
      const std::string now = std::to_string(std::time(nullptr));
      (void)socket->send(std::as_bytes(std::span(now)), asked->from);
    }
  }
  client.join();
  std::printf("it is %s\n", answer.c_str());
  return answer.empty() ? 1 : 0;
}
