// SPDX-License-Identifier: Apache-2.0
#include "api/runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/stream_state.h"
#include "engine/drops.h"

namespace tideline::api {
namespace {

// Packets on their way through the engine. What waits longer lies in buffers of streams.
constexpr std::size_t kSegments = 8192;
constexpr std::size_t kLoans = 8192;

// Of a shared segment, that peers can read: half of it to send from, half for regions.
constexpr std::size_t kSharedMemory = std::size_t{16} << 20;
std::size_t shared_memory(const EngineOptions& options) {
  return std::min(kSharedMemory,
                  options.buffer_memory / 2 / SharedHeap::kGrain * SharedHeap::kGrain);
}
// After so long, connections that are over take back what a peer has not read.
constexpr Duration kPatience = std::chrono::seconds(1);

engine::AttachmentOptions to_attachment(const EngineOptions& options, port::shm::Peers* peers) {
  return {.wire = options.wire,
          .mtu = options.mtu,
          .impair = options.impair,
          .seed = options.seed,
          .capture = options.capture,
          .peers = peers,
          .shared_memory = shared_memory(options)};
}

// No later than the clock goes.
Instant after(Instant now, Duration timeout) {
  return timeout >= kNever - now ? kNever : now + timeout;
}

}  // namespace

void Source::mark(Ready what) {
  const bool listed = pending_ != Ready::kNone;
  pending_ = pending_ | what;
  if (listed) return;
  previous_ = runtime_.last_;
  next_ = nullptr;
  (previous_ == nullptr ? runtime_.first_ : previous_->next_) = this;
  runtime_.last_ = this;
}

void Source::forget() {
  if (pending_ == Ready::kNone) return;
  pending_ = Ready::kNone;
  (previous_ == nullptr ? runtime_.first_ : previous_->next_) = next_;
  (next_ == nullptr ? runtime_.last_ : next_->previous_) = previous_;
}

Result<std::unique_ptr<Runtime>> Runtime::open(const EngineOptions& options,
                                               port::shm::Peers* peers) {
  std::unique_ptr<Runtime> runtime(new Runtime(options, to_attachment(options, peers)));
  auto pool = packet::Pool::create({.segments = kSegments, .loans = kLoans});
  if (!pool) return fail(std::move(pool.error()));
  auto port = runtime->wires_.open(options.wire, **pool, false, runtime->leases_);
  if (!port) return fail(std::move(port.error()));
  runtime->mtu_ = options.mtu == 0 ? (*port)->info().mtu : options.mtu;
  auto worker = engine::Worker::create(std::move(*pool), std::move(*port), engine::random_seed());
  if (!worker) return fail(std::move(worker.error()));
  runtime->worker_ = std::move(*worker);
  const std::span<std::byte> shared = runtime->worker_->port().shared_memory();
  runtime->heap_ = SharedHeap(shared.first(shared.size() / 2));
  runtime->chunks_.add_shared(shared.subspan(shared.size() / 2));
  return runtime;
}

Runtime::Runtime(const EngineOptions& options, engine::AttachmentOptions attachment)
    : options_(std::move(attachment)),
      max_connections_(options.max_connections),
      wires_(options_),
      chunks_(options.buffer_memory - shared_memory(options) / 2),
      now_(monotonic_now()) {}

// The worker goes first: its frames borrow from streams. What streams hold is of its pool.
Runtime::~Runtime() {
  for (const auto& stream : streams_) stream->drop_held();
  worker_.reset();
  streams_.clear();  // while the list that they leave is there
}

Status Runtime::add_host(const HostOptions& options) {
  if (has_host()) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = "this engine has a host already",
                 .remedy = "open another engine"});
  }
  options_.ip4 = options.ip4;
  options_.ip6 = options.ip6;
  options_.gateways = options.gateways;
  options_.mtu_probing = options.mtu_probing;
  // A lease is only for a version that was not given an address.
  engine::Leases leases = leases_;
  if (!options.ip4.empty()) leases.ipv4.clear();
  if (!options.ip6.empty()) leases.ipv6.clear();
  auto host = engine::host_options(options_, leases, mtu_);
  if (!host) return fail(std::move(host.error()));
  host->max_connections = max_connections_;
  host->max_receive_buffer = kMostReceiveBuffer;
  for (const auto& prefix : leases.ipv4) options_.ip4.push_back(prefix.to_text());
  for (const auto& prefix : leases.ipv6) options_.ip6.push_back(prefix.to_text());
  return worker_->add_host(*host);
}

Status Runtime::wait_until_ready(Duration timeout) {
  constexpr Duration kLook = std::chrono::milliseconds(1);
  const Instant end = after(monotonic_now(), timeout);
  while (!host().is_ready()) {
    if (const auto& conflict = host().conflict()) return fail(*conflict);
    if (now_ >= end) {
      return fail({.kind = ErrorKind::kPeer, .what = "the host's addresses do not serve in time"});
    }
    worker_->wait(std::min(end, monotonic_now() + kLook));
    poll();
  }
  return {};
}

bool Runtime::poll() {
  now_ = monotonic_now();
  if (!holders_.empty()) settle_holders();
  if (now_ >= next_withdrawal_) withdraw_memory();
  worker_->flush(now_);  // first, for the peer may be waiting
  worker_->turn(now_);
  tell_of_memory();
  return first_ != nullptr;
}

void Runtime::wait_for_memory(StreamState& stream) { waiting_for_memory_.push_back(&stream); }

void Runtime::forget_waiting(StreamState& stream) {
  if (!waiting_for_memory_.empty()) std::erase(waiting_for_memory_, &stream);
}

void Runtime::tell_of_memory() {
  if (waiting_for_memory_.empty() || !chunks_.can_send()) return;
  for (StreamState* stream : std::exchange(waiting_for_memory_, {})) stream->memory_is_back();
}

bool Runtime::wait(Duration timeout) {
  Instant end = kNever;
  for (bool first = true;; first = false) {
    if (poll()) return true;
    if (first) end = after(now_, timeout);
    if (take_wake() || now_ >= end) return false;
    sleep(end);
  }
}

void Runtime::sleep(Instant end) {
  worker_->wait(holders_.empty() ? end : std::min(end, now_ + StreamState::kHoldTime));
}

void Runtime::settle_holders() {
  std::erase_if(holders_, [this](StreamState* each) { return each->settle(now_); });
}

void Runtime::withdraw_memory() {
  next_withdrawal_ = now_ + kPatience;
  const Instant before = now_ - kPatience;
  if (worker_->port().oldest_borrowed() >= before) return;
  for (const auto& stream : streams_) stream->withdraw(worker_->port(), before);
}

std::span<std::byte> Runtime::allocate(std::size_t size) {
  const auto shared = heap_.take(size);
  if (!shared.empty()) return shared;
  allocated_.push_back(std::make_unique<std::byte[]>(size));
  return {allocated_.back().get(), size};
}

std::optional<Event> Runtime::next() {
  Source* source = first_;
  if (source == nullptr) return std::nullopt;
  const Event event{.context = source->context_, .ready = source->pending_};
  source->forget();
  return event;
}

void Runtime::wake() noexcept {
  woken_.store(true, std::memory_order_release);
  worker_->wake();
}

bool Runtime::drain(Duration timeout) {
  // Peers that have all of it may still want their own FIN answered, and mostly send it at once.
  constexpr Duration kFarewell = std::chrono::milliseconds(100);
  const auto any = [&](bool (StreamState::*is)()) {
    return std::ranges::any_of(streams_, [&](const auto& each) { return (*each.*is)(); });
  };
  poll();
  const Instant end = after(now_, timeout);
  Instant farewell = kNever;
  for (;;) {
    const bool sending = any(&StreamState::is_sending_on);
    if (!sending && farewell == kNever) farewell = now_ + kFarewell;
    if (!sending && (now_ >= std::min(end, farewell) || !any(&StreamState::is_ending))) return true;
    if (take_wake() || now_ >= end) return !sending;
    sleep(std::min(end, farewell));
    poll();
  }
}

StreamState* Runtime::make_stream(const StreamOptions& options) {
  if (chunks_.is_full()) return nullptr;
  StreamState* stream = nullptr;
  if (free_streams_.empty()) {
    stream = streams_.emplace_back(std::make_unique<StreamState>(*this)).get();
  } else {
    stream = free_streams_.back();
    free_streams_.pop_back();
  }
  stream->open(options);
  return stream;
}

void Runtime::give_back(StreamState& stream) { free_streams_.push_back(&stream); }

packet::PassCounter Runtime::pass_counter() {
  packet::PassCounter passes = passes_;
  passes.add(worker_->port().stats(0).passes);
  passes.add(worker_->function().stats().passes);
  if (has_host()) {
    passes.add(host().stack().passes());
    passes.add(tcp().passes());
  }
  return passes;
}

EngineStats Runtime::stats() {
  const port::QueueStats port = worker_->port().stats(0);
  const packet::PassCounter passes = pass_counter();
  EngineStats stats{.rx_frames = port.rx_frames,
                    .rx_bytes = port.rx_bytes,
                    .tx_frames = port.tx_frames,
                    .tx_bytes = port.tx_bytes,
                    .passed = passes.total(),
                    .copied = passes.bytes(packet::Pass::kKernelCopy),
                    .drops = engine::list_drops(*worker_)};
  if (datagrams_dropped_ > 0) {
    stats.drops.emplace_back("api.datagram_queue_full", datagrams_dropped_);
  }
  return stats;
}

}  // namespace tideline::api
