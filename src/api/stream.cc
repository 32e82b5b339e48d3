// SPDX-License-Identifier: Apache-2.0
#include <tideline/stream.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "api/address.h"
#include "api/stream_state.h"
#include "base/check.h"

namespace tideline {
namespace {

const char* explain(tcp::End end) {
  switch (end) {
    case tcp::End::kNone:
    case tcp::End::kFinished:
    case tcp::End::kAborted:
      return nullptr;
    case tcp::End::kReset:
      return "the peer has reset the connection";
    case tcp::End::kRefused:
      return "the peer refuses the connection";
    case tcp::End::kTimedOut:
      return "the peer does not answer";
    case tcp::End::kHostUnreachable:
      return "the host cannot be reached";
    case tcp::End::kNetworkUnreachable:
      return "the network cannot be reached";
    case tcp::End::kProtocolUnreachable:
      return "the host does not know TCP";
  }
  return nullptr;
}

}  // namespace

Stream::Stream(Stream&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this != &other) {
    close();
    state_ = std::exchange(other.state_, nullptr);
  }
  return *this;
}

Stream::~Stream() { close(); }

void Stream::set_context(void* context) { state_->set_context(context); }

Stream::State Stream::state() const { return state_->state(); }

std::optional<Error> Stream::error() const {
  const char* text = explain(state_->end());
  if (text == nullptr) return std::nullopt;
  return Error{.kind = ErrorKind::kPeer, .what = remote().text() + ": " + text};
}

Endpoint Stream::local() const {
  return api::to_api(state_->tuple().local.address, state_->tuple().local.port);
}

Endpoint Stream::remote() const {
  return api::to_api(state_->tuple().remote.address, state_->tuple().remote.port);
}

StreamInfo Stream::info() const {
  const tcp::Info info = state_->runtime().tcp().info(state_->id());
  return {.mss = info.mss,
          .cwnd = info.cwnd,
          .bytes_acked = info.bytes_acked,
          .bytes_received = info.bytes_received,
          .bytes_retransmitted = info.bytes_retransmitted,
          .srtt = info.srtt,
          .timeouts = info.timeouts,
          .recoveries = info.recoveries};
}

std::span<const std::byte> Stream::received() const { return state_->front(); }

void Stream::consume(std::size_t size) {
  state_->consume(size);
  state_->consumed();
}

std::size_t Stream::read(std::span<std::byte> buffer) { return state_->read(buffer); }

bool Stream::at_end() const { return state_->at_end(); }

std::size_t Stream::write(std::span<const std::byte> bytes) {
  if (state() == State::kEnded) return 0;
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto space = state_->send().space();
    if (space.empty()) {
      state_->want_room();
      break;
    }
    const std::size_t size = std::min(space.size(), bytes.size() - done);
    std::memcpy(space.data(), bytes.data() + done, size);
    state_->send().wrote(size);
    done += size;
  }
  if (done > 0) {
    state_->runtime().passes().add(packet::Pass::kCopy, done);
    state_->wrote();
  }
  return done;
}

std::span<std::byte> Stream::write_space() {
  if (state() == State::kEnded) return {};
  const auto space = state_->send().space();
  if (space.empty()) state_->want_room();
  return space;
}

void Stream::wrote(std::size_t size) {
  state_->send().wrote(size);
  state_->wrote();
}

bool Stream::lend(const Region& region, std::size_t offset, std::size_t size) {
  CHECK(offset <= region.bytes().size() && size <= region.bytes().size() - offset,
        "{} bytes at {} of a region of {}", size, offset, region.bytes().size());
  return state() != State::kEnded && state_->lend(region.bytes().subspan(offset, size));
}

std::uint64_t Stream::written() const { return state_->send().end(); }

std::uint64_t Stream::released() const { return state_->send().released(); }

void Stream::shut_down() { state_->shut_down(); }

void Stream::close() {
  if (state_ != nullptr) std::exchange(state_, nullptr)->close();
}

void Stream::abort() {
  if (state_ != nullptr) std::exchange(state_, nullptr)->abort();
}

Listener::Listener() = default;
Listener::Listener(Listener&& other) noexcept = default;
Listener& Listener::operator=(Listener&& other) noexcept = default;
Listener::~Listener() = default;
Listener::Listener(std::unique_ptr<api::ListenerState> state) : state_(std::move(state)) {}

void Listener::set_context(void* context) { state_->set_context(context); }

std::optional<Stream> Listener::accept() {
  api::StreamState* stream = state_->accept();
  if (stream == nullptr) return std::nullopt;
  return Stream(stream);
}

}  // namespace tideline
