// SPDX-License-Identifier: Apache-2.0
// Both sides of a copy in one thread, on a wire in shared memory of this test's own; and clients
// that do not do as they should.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "api/rdma.h"
#include "base/clock.h"
#include "base/random.h"
#include "copy/receiving.h"
#include "copy/sending.h"

namespace tideline::app::copy {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

// One of the two hosts.
struct Side {
  Side() : rdma(*api::RdmaEngine::open({.wire = "shm:copy"}, {})), verbs(*Verbs::create(*rdma)) {}

  void poll() {
    rdma->engine().poll();
    while (rdma->engine().next()) {
    }
  }

  std::unique_ptr<api::RdmaEngine> rdma;
  std::unique_ptr<Verbs> verbs;
};

class CopyTransfer : public testing::Test {
 protected:
  CopyTransfer() {
    std::string name = testing::TempDir() + "copy-transfer-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
    fs::create_directory(path_ / "in");
    ::setenv("XDG_RUNTIME_DIR", name.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): one thread
    directory_.emplace(*Directory::open(path_ / "in"));
    listener_.emplace();
    client_.emplace();
    listening_ = *listener_->rdma->host().listen(kPort, {.stream = kLineOptions});
  }
  ~CopyTransfer() override {
    receiving_.reset();
    line_.reset();
    windows_.reset();
    listening_ = Listener();
    client_.reset();
    listener_.reset();
    fs::remove_all(path_);
  }

  Stream connect() {
    std::string address = listener_->rdma->host().ip4()[0];
    address.resize(address.find('/'));
    return *client_->rdma->host().connect(*Endpoint::parse(address, kPort), kLineOptions);
  }
  // The client's word goes where a listener would have it.
  void accept(bool has_room = true) {
    until([&] {
      if (auto stream = listening_.accept()) {
        receiving_.emplace(*listener_->verbs, *directory_, std::move(*stream), has_room,
                           monotonic_now());
      }
      return receiving_.has_value();
    });
  }
  void until(const std::function<bool()>& done) {
    const Instant end = monotonic_now() + 20s;
    while (!done()) {
      ASSERT_LT(monotonic_now(), end) << "nothing happens";
      listener_->poll();
      client_->poll();
      if (receiving_) receiving_->step(monotonic_now());
    }
  }

  // By hand.
  void say_hello(std::uint64_t size) {
    line_.emplace(connect());
    accept();
    until([&] { return line_->stream().state() == Stream::State::kOpen; });
    windows_ = std::move(*Windows::create(*client_->verbs, rdma::Access::kNone));
    line_->send(Offer{.size = size, .qp = windows_->here(), .name = "file"});
    accept_ = std::get<Accept>(answer());
    ASSERT_TRUE(windows_->connect(line_->stream(), accept_.qp));
  }
  Message answer() {
    std::optional<Message> message;
    until([&] {
      auto next = line_->next();
      EXPECT_TRUE(next) << next.error();
      if (next) message = *next;
      return message.has_value() || !next;
    });
    return message.value_or(Alive{});
  }
  void write_window(std::uint32_t window, std::uint32_t length) {
    ASSERT_TRUE(windows_->write(window, length,
                                accept_.address + std::uint64_t{window} * accept_.window_size,
                                accept_.rkey));
    std::optional<rdma::Completion> completion;
    until([&] { return (completion = client_->verbs->next()).has_value(); });
    ASSERT_EQ(completion->status, rdma::WcStatus::kSuccess);
  }
  // The listener has told why, and nothing is left of the file.
  void expect_refused(const std::string& words) {
    const Message message = answer();
    ASSERT_TRUE(std::holds_alternative<Failure>(message));
    EXPECT_NE(std::get<Failure>(message).reason.find(words), std::string::npos)
        << std::get<Failure>(message).reason;
    EXPECT_FALSE(receiving_->is_kept());
    EXPECT_TRUE(fs::is_empty(path_ / "in"));
  }

  fs::path path_;
  std::optional<Directory> directory_;
  std::optional<Side> listener_;
  std::optional<Side> client_;
  Listener listening_;
  std::optional<Receiving> receiving_;
  std::optional<Line> line_;
  std::unique_ptr<Windows> windows_;
  Accept accept_;
};

std::string random_text(std::size_t size) {
  Rng rng(size);
  std::string text(size, '\0');
  for (std::size_t at = 0; at < size; at += sizeof(std::uint64_t)) {
    const std::uint64_t word = rng();
    std::memcpy(text.data() + at, &word, std::min(sizeof(word), size - at));
  }
  return text;
}

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(CopyTransfer, FilesArriveAsTheyAre) {
  constexpr std::size_t kAll = std::size_t{kWindows} * kWindowSize;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{kWindowSize} - 1, std::size_t{kWindowSize},
        std::size_t{kWindowSize} + 1, kAll + 12345}) {
    const std::string text = random_text(size);
    std::ofstream(path_ / "source", std::ios::binary) << text;
    {
      Sending sending(*client_->verbs, connect(), std::move(*open_outgoing(path_ / "source")),
                      "file", monotonic_now());
      accept();
      until([&] {
        const Status status = sending.step(monotonic_now());
        EXPECT_TRUE(status) << status.error().what;
        return sending.is_done() || !status;
      });
      EXPECT_EQ(sending.arrived(), size);
      EXPECT_EQ(sending.done().checksum, sending.checksum());
      sending.hang_up();
    }
    until([&] { return receiving_->is_over(); });
    EXPECT_TRUE(receiving_->is_kept()) << receiving_->reason();
    receiving_.reset();
    EXPECT_TRUE(content_of(path_ / "in" / "file") == text) << size << " bytes";
    EXPECT_EQ(std::distance(fs::directory_iterator(path_ / "in"), fs::directory_iterator()), 1);
  }
}

TEST_F(CopyTransfer, AWrongChecksumIsFoundAndTheFileIsNotKept) {
  say_hello(1000);
  std::ranges::fill(windows_->window(0).first(1000), std::byte{7});
  write_window(0, 1000);
  line_->send(Filled{.window = 0, .length = 1000});
  ASSERT_TRUE(std::holds_alternative<Freed>(answer()));
  Hash hash;
  hash.add(windows_->window(0).first(1000));
  Checksum wrong = hash.value();
  wrong[5] ^= 1;
  line_->send(End{.size = 1000, .checksum = wrong});
  const Message done = answer();
  ASSERT_TRUE(std::holds_alternative<Done>(done));
  EXPECT_EQ(std::get<Done>(done).checksum, hash.value());
  EXPECT_FALSE(receiving_->is_kept());
  EXPECT_NE(receiving_->reason().find("differ"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(path_ / "in"));
}

TEST_F(CopyTransfer, AnotherVersionIsToldBoth) {
  line_.emplace(connect());
  accept();
  until([&] { return line_->stream().state() == Stream::State::kOpen; });
  line_->send(Offer{.version = 9, .size = 1, .name = "file"});
  expect_refused("version 9 of the protocol, this listener version 1");
}

TEST_F(CopyTransfer, AnOfferThatCannotBeTakenIsRefused) {
  line_.emplace(connect());
  accept();
  until([&] { return line_->stream().state() == Stream::State::kOpen; });
  line_->send(Offer{.size = 1, .name = "../file"});
  expect_refused("slash");
}

// Each is found out before any of it reaches the file.
TEST_F(CopyTransfer, WindowsThatWereNotGivenAreRefused) {
  const std::vector<std::vector<Message>> wrong{
      {Filled{.window = kWindows, .length = 1}},
      {Filled{.window = UINT32_MAX, .length = 1}},
      {Filled{.window = 0, .length = 0}},
      {Filled{.window = 0, .length = kWindowSize + 1}},
      {Filled{.window = 0, .length = 1000}, Filled{.window = 1, .length = 1}},
      {End{.size = 1000}},
      {Filled{.window = 0, .length = 999}, End{.size = 1000}},
      {Freed{.window = 0}},
      {Offer{.size = 1, .name = "again"}},
  };
  for (const auto& messages : wrong) {
    say_hello(1000);
    for (const Message& message : messages) line_->send(message);
    Message last = answer();
    if (std::holds_alternative<Freed>(last)) last = answer();
    EXPECT_TRUE(std::holds_alternative<Failure>(last));
    EXPECT_FALSE(receiving_->is_kept());
    EXPECT_TRUE(fs::is_empty(path_ / "in"));
    windows_.reset();
    line_.reset();
    until([&] { return receiving_->is_over(); });
    receiving_.reset();
  }
}

TEST_F(CopyTransfer, AListenerWithoutRoomSaysSo) {
  line_.emplace(connect());
  accept(false);
  until([&] { return line_->stream().state() == Stream::State::kOpen; });
  line_->send(Offer{.size = 1, .name = "file"});
  expect_refused("try again");
}

TEST_F(CopyTransfer, GarbageIsRefused) {
  line_.emplace(connect());
  accept();
  until([&] { return line_->stream().state() == Stream::State::kOpen; });
  const std::string garbage = "GET / HTTP/1.1\r\n\r\n";
  line_->stream().write(std::as_bytes(std::span(garbage)));
  expect_refused("no message");
}

TEST_F(CopyTransfer, AClientThatGoesLeavesNothing) {
  say_hello(1000);
  EXPECT_FALSE(fs::is_empty(path_ / "in"));
  windows_.reset();
  line_->stream().abort();
  until([&] { return receiving_->is_over(); });
  EXPECT_TRUE(fs::is_empty(path_ / "in"));
  EXPECT_FALSE(receiving_->reason().empty());
}

TEST_F(CopyTransfer, ASilentClientIsForgotten) {
  say_hello(1000);
  receiving_->step(monotonic_now() + 9s);
  EXPECT_FALSE(receiving_->is_leaving());
  line_->send(Alive{});
  receiving_->step(monotonic_now() + 30s);
  expect_refused("silent");
}

}  // namespace
}  // namespace tideline::app::copy
