// SPDX-License-Identifier: Apache-2.0
// The control socket of a worker in real time, in a directory of this test's own.
#include "control/server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "control/conversation.h"
#include "control/place.h"
#include "engine/rdma_service.h"
#include "port/dgram.h"

namespace tideline::control {
namespace {

namespace fs = std::filesystem;

class NoEvents final : public rdma::EventSink {
 public:
  void completion(rdma::CompletionQueue& /*cq*/) override {}
  void asynchronous(const rdma::AsyncEvent& /*event*/) override {}
};

class Endless final : public engine::Task {
 public:
  Instant next_deadline() const override { return kNever; }
  void run_timers(Instant /*now*/) override {}
  bool is_done() const override { return false; }
};

class ControlServer : public testing::Test {
 protected:
  ControlServer() {
    std::string name = testing::TempDir() + "control-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
    ::setenv("XDG_RUNTIME_DIR", name.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): one thread
    auto pool = packet::Pool::create({.segments = 1024, .loans = 512, .huge_pages = false});
    auto port = port::DgramPort::open(path_ / "1", path_ / "2", pool->get(),
                                      {.mac = wire::MacAddress({2, 0, 0, 0, 0, 1})});
    EXPECT_TRUE(port.has_value());
    worker_ = std::move(*engine::Worker::create(std::move(*pool), std::move(*port), 1));
    EXPECT_TRUE(worker_->add_host({.ipv4 = {*wire::Ipv4Prefix::from_text("192.0.2.1/24")}}));
    device_.emplace(rdma::DeviceOptions{}, worker_->host()->stack(), worker_->pool(), rng_, keys_);
    device_->gids().add({.gid = rdma::Gid::mapped(wire::Ipv4Address(192, 0, 2, 1))});
    subject_.emplace(*worker_, &*device_);
    server_ = std::move(*Server::start(*subject_, {.wire = "dgram:\"x\"", .addresses = {"a"}}));
    directory_ = std::move(*open_place());
  }
  ~ControlServer() override {
    stop();
    server_.reset();
    EXPECT_TRUE(sockets_in(directory_.get()).empty());
    device_.reset();
    worker_.reset();
    fs::remove_all(path_);
  }

  void drive() {
    thread_ = std::jthread([this] {
      Endless task;
      worker_->pool().adopt();
      worker_->run(task);
      worker_->pool().disown();
    });
  }
  void stop() {
    if (!thread_.joinable()) return;
    worker_->stop();
    thread_.join();
    worker_->pool().adopt();
  }

  UniqueFd connect() { return std::move(connect_to(directory_.get(), server_->name())->fd); }
  static std::string read_all(int fd) {
    std::string text;
    std::array<char, 4096> bytes{};
    for (;;) {
      const ssize_t size = ::recv(fd, bytes.data(), bytes.size(), 0);
      if (size <= 0) return text;
      text.append(bytes.data(), static_cast<std::size_t>(size));
    }
  }
  static void say(int fd, std::string_view text) {
    EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  std::string ask() {
    const UniqueFd fd = connect();
    say(fd.get(), kQuestion);
    return read_all(fd.get());
  }

  fs::path path_;
  Rng rng_{1};
  engine::RandomKeys keys_;
  std::unique_ptr<engine::Worker> worker_;
  std::optional<rdma::Device> device_;
  std::optional<WorkerSubject> subject_;
  std::unique_ptr<Server> server_;
  UniqueFd directory_;
  std::jthread thread_;
};

void expect_words(const std::string& text, std::initializer_list<const char*> words) {
  for (const char* word : words) {
    EXPECT_NE(text.find(word), std::string::npos) << word << " is not in " << text;
  }
}

TEST_F(ControlServer, TellsWhatTheEngineIsLike) {
  NoEvents events;
  rdma::GuardedMemory memory;
  rdma::Context& context = device_->open(memory, events);
  rdma::ProtectionDomain& pd = **context.alloc_pd();
  rdma::CompletionQueue& cq = **context.create_cq(16);
  std::string last_number;
  // More than a part of the list.
  for (int i = 0; i < 600; ++i) {
    rdma::QueuePair& qp =
        **context.create_qp(pd, {.type = rdma::QpType::kUc, .send_cq = &cq, .recv_cq = &cq});
    last_number = "\"number\":" + std::to_string(qp.number) + ",";
  }
  drive();
  const std::string answer = ask();
  expect_words(answer,
               {"\"tideline\":1", R"("wire":"dgram:\"x\"")", "\"addresses\":[\"a\"]",
                "\"busy\":false", "\"pds\":1", "\"cqs\":1", "\"qp_count\":600", "\"type\":\"UC\"",
                "\"state\":\"RESET\"", "\"tcp\":{\"count\":0", last_number.c_str()});
  std::size_t qps = 0;
  for (std::size_t at = answer.find("\"sq_psn\""); at != std::string::npos;
       at = answer.find("\"sq_psn\"", at + 1)) {
    ++qps;
  }
  EXPECT_EQ(qps, 600U);
}

TEST_F(ControlServer, WhoSaysNothingOrGarbageHoldsUpNobody) {
  drive();
  std::vector<UniqueFd> silent;
  silent.reserve(20);
  for (int i = 0; i < 20; ++i) silent.push_back(connect());
  const UniqueFd garbage = connect();
  say(garbage.get(), std::string(1000, '\xff'));
  expect_words(ask(), {"\"busy\":false"});
  expect_words(read_all(garbage.get()), {"\"error\""});
  // The silent ones are let go, those that had to make room at once.
  for (const UniqueFd& fd : silent) {
    constexpr timeval kLong{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kLong, sizeof(kLong));
    char byte = 0;
    EXPECT_EQ(::recv(fd.get(), &byte, 1, 0), 0);
  }
}

TEST_F(ControlServer, AnEngineThatNobodyDrivesIsBusy) {
  expect_words(ask(), {"\"busy\":true"});
  drive();
  expect_words(ask(), {"\"busy\":false"});
}

TEST_F(ControlServer, SocketsThatNobodyListensToAreRemoved) {
  const std::string name = server_->name();
  fs::path place;
  for (const auto& entry : fs::recursive_directory_iterator(path_)) {
    if (entry.path().filename() == name) place = entry.path().parent_path();
  }
  ASSERT_FALSE(place.empty());
  // As a killed process leaves one: a name without a listener.
  fs::rename(place / name, place / "1-kept.sock");
  const auto other = Server::start(*subject_, {});
  ASSERT_TRUE(other);
  EXPECT_TRUE(fs::exists(place / "1-kept.sock")) << "it still listens";
  fs::rename(place / "1-kept.sock", place / name);
  const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr address{.sa_family = AF_UNIX, .sa_data = {}};
  ASSERT_EQ(::chdir(place.c_str()), 0);
  std::string_view("x.sock").copy(address.sa_data, 6);
  ASSERT_EQ(::bind(dead.get(), &address, sizeof(sa_family_t) + 7), 0);
  EXPECT_FALSE(connect_to(directory_.get(), "x.sock"));
  EXPECT_FALSE(fs::exists(place / "x.sock"));
  EXPECT_EQ(::chdir("/"), 0);
}

}  // namespace
}  // namespace tideline::control
