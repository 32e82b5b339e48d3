// SPDX-License-Identifier: Apache-2.0
// Which connections the server ends by itself: two engines in one thread, on a wire in shared
// memory of this test's own.
#include "http/server.h"

#include <gtest/gtest.h>
#include <tideline/engine.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/clock.h"

namespace tideline::app::http {
namespace {

using namespace std::chrono_literals;

class HttpServer : public testing::Test {
 protected:
  HttpServer() {
    std::string name = testing::TempDir() + "http-server-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    std::ofstream(directory_ / "big") << std::string(3'000'000, 'x');
    ::setenv("XDG_RUNTIME_DIR", name.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): one thread
    engine_.emplace(*Engine::open({.wire = "shm:http"}));
    peer_.emplace(*Engine::open({.wire = "shm:http"}));
    const Host host = *engine_->add_host({});
    server_.emplace(*host.listen(80), *Files::open(directory_),
                    Server::Options{.idle = 300ms, .linger = 300ms});
    const std::string& address = host.ip4()[0];
    stream_ =
        *peer_->add_host({})->connect(*Endpoint::parse(address.substr(0, address.find('/')), 80));
    EXPECT_TRUE(until([&] { return server_->counters().connections == 1; }));
  }
  ~HttpServer() override {
    stream_ = {};
    server_.reset();
    peer_.reset();
    engine_.reset();
    std::filesystem::remove_all(directory_);
  }

  // Turns both until it is so; false after ten seconds.
  bool until(const std::function<bool()>& done) {
    const Instant end = monotonic_now() + 10s;
    while (!done()) {
      const Instant now = monotonic_now();
      if (now > end) return false;
      engine_->poll();
      while (const auto event = engine_->next()) server_->handle(*event, now);
      server_->run_timers(now);
      peer_->poll();
      while (peer_->next()) continue;
    }
    return true;
  }
  void say(const std::string& text) { stream_.write(std::as_bytes(std::span(text))); }
  // The peer goes on sending single bytes, and the server ends the connection nevertheless.
  bool ends_though_bytes_come() {
    return until([&] {
      if (monotonic_now() - said_ > 20ms) {
        said_ = monotonic_now();
        say("x");
      }
      return server_->is_idle();
    });
  }

  std::filesystem::path directory_;
  std::optional<Engine> engine_;
  std::optional<Engine> peer_;
  std::optional<Server> server_;
  Stream stream_;
  Instant said_{};
};

TEST_F(HttpServer, EndsWhoNeverEndsItsRequest) {
  say("GET / HTTP/1.1\r\nX: ");
  EXPECT_TRUE(ends_though_bytes_come());
}

TEST_F(HttpServer, EndsWhoTakesNoAnswer) {
  say("GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(ends_though_bytes_come());
  EXPECT_EQ(server_->counters().aborted, 1U);
}

TEST_F(HttpServer, EndsWhoGoesOnBehindTheLastAnswer) {
  say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999\r\n\r\n");
  EXPECT_TRUE(ends_though_bytes_come());
  EXPECT_EQ(server_->counters().errors, 1U);
}

TEST_F(HttpServer, AcceptsNoMoreOnceItWindsDown) {
  server_->wind_down();
  EXPECT_TRUE(server_->is_idle());
  EXPECT_TRUE(until([&] { return stream_.state() == Stream::State::kEnded || stream_.at_end(); }));
}

}  // namespace
}  // namespace tideline::app::http
