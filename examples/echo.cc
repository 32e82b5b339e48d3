// SPDX-License-Identifier: Apache-2.0
// An echo server and its client, each a host of its own on one wire in shared memory. They are two
// threads here; two processes, or another wire, make no difference to either.
#include <tideline/engine.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <list>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using tideline::Endpoint;
using tideline::Engine;
using tideline::Ready;
using tideline::Stream;

namespace {

constexpr std::uint16_t kPort = 7;

// Sends back what comes, until one connection has ended.
void serve(Engine& engine, const tideline::Host& host) {
  tideline::Listener listener = *host.listen(kPort);  // its context stays null
  std::list<Stream> streams;
  for (bool served = false; !served;) {
    engine.wait(1s);
    while (const auto event = engine.next()) {
      if (event->context == nullptr) {
        while (auto accepted = listener.accept()) {
          streams.push_back(std::move(*accepted));
          streams.back().set_context(&streams.back());
        }
        continue;
      }
      Stream& stream = *static_cast<Stream*>(event->context);
      // What does not fit the send buffer stays in the receive buffer, and Ready::kWritable comes.
      while (!stream.received().empty()) {
        const std::size_t sent = stream.write(stream.received());
        if (sent == 0) break;
        stream.consume(sent);
      }
      if (stream.at_end()) {
        stream.close();  // FIN behind the last byte
        served = true;
      }
    }
  }
  engine.drain(5s);  // until the peer has it all
}

// Sends a text, and returns what comes back.
std::string ask(Engine& engine, const tideline::Host& host, const Endpoint& server,
                const std::string& text) {
  auto stream = host.connect(server);
  if (!stream) return stream.error().message();
  stream->write(std::as_bytes(std::span(text)));  // before it is connected: it goes with that
  stream->shut_down();
  std::string answer;
  while (!stream->at_end() && stream->state() != Stream::State::kEnded) {
    engine.wait(1s);
    while (engine.next()) continue;  // there is but one stream
    const auto bytes = stream->received();
    answer.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    stream->consume(bytes.size());
  }
  if (const auto error = stream->error()) return error->message();
  stream->close();
  engine.drain(5s);
  return answer;
}

}  // namespace

int main() {
  auto engine = Engine::open({.wire = "shm:example-echo"});
  if (!engine) {
    std::printf("%s\n", engine.error().message().c_str());
    return 3;
  }
  const auto host = engine->add_host({});  // addresses are leased
  const std::string address = host->ip4()[0].substr(0, host->ip4()[0].find('/'));
  const Endpoint server = *Endpoint::parse(address, kPort);

  std::string answer;
  std::thread client([&] {  // an engine belongs to the thread that opens it
    auto own = Engine::open({.wire = "shm:example-echo"});
    const auto own_host = own->add_host({});
    answer = ask(*own, *own_host, server, "the line moves\n");
  });
  serve(*engine, *host);
  client.join();
  std::printf("%s answers: %s", server.text().c_str(), answer.c_str());
  return answer == "the line moves\n" ? 0 : 1;
}
