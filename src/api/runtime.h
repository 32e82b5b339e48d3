// SPDX-License-Identifier: Apache-2.0
// What stands behind an Engine: a worker on a wire, the objects of the program on its host, and the
// list of those that are ready. Objects tell the list what came (mark), and the program takes it
// from there one by one, so nothing is called back and an object that is gone has no event.
// Thread: the engine's.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <tideline/engine.h>

#include "api/shared_heap.h"
#include "base/clock.h"
#include "base/time.h"
#include "engine/attachment.h"
#include "engine/worker.h"
#include "packet/pass_counter.h"
#include "tcp/chunk_pool.h"

namespace tideline::api {

class Runtime;
class StreamState;

// Decides the scale of windows.
inline constexpr std::size_t kMostReceiveBuffer = std::size_t{64} << 20;

// An object of the program's that can be ready.
class Source {
 public:
  explicit Source(Runtime& runtime) : runtime_(runtime) {}
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source() { forget(); }

  void set_context(void* context) { context_ = context; }
  Runtime& runtime() { return runtime_; }
  // Something came.
  void mark(Ready what);
  // No event for what came so far.
  void forget();

 private:
  friend class Runtime;

  Runtime& runtime_;
  void* context_ = nullptr;
  Ready pending_ = Ready::kNone;
  // On the runtime's list while anything is pending.
  Source* previous_ = nullptr;
  Source* next_ = nullptr;
};

class Runtime {
 public:
  // `peers` outlives it.
  static Result<std::unique_ptr<Runtime>> open(const EngineOptions& options,
                                               port::shm::Peers* peers = nullptr);
  ~Runtime();

  Status add_host(const HostOptions& options);
  bool has_host() { return worker_->host() != nullptr; }
  engine::Host& host() { return *worker_->host(); }
  engine::Worker& worker() { return *worker_; }
  tcp::Tcp& tcp() { return host().tcp(); }
  const std::vector<std::string>& ip4() const { return options_.ip4; }
  const std::vector<std::string>& ip6() const { return options_.ip6; }
  std::size_t mtu() const { return mtu_; }
  std::uint64_t seed() const { return wires_.seed(); }
  Status flush_capture() { return wires_.flush(); }
  Status wait_until_ready(Duration timeout);

  bool poll();
  bool wait(Duration timeout);
  std::optional<Event> next();
  void wake() noexcept;
  bool drain(Duration timeout);
  // Of the present, or latest, turn.
  Instant now() const { return now_; }
  EngineStats stats();
  packet::PassCounter pass_counter();

  // A stream of the program's; null if memory lacks.
  StreamState* make_stream(const StreamOptions& options);
  // TCP has let go of it, and the program too.
  void give_back(StreamState& stream);
  tcp::ChunkPool& chunks() { return chunks_; }
  // Tells the stream when there is memory to send from.
  void wait_for_memory(StreamState& stream);
  void forget_waiting(StreamState& stream);
  // As long as the engine lives.
  std::span<std::byte> allocate(std::size_t size);
  // The stream holds what lies in a peer's memory, and is asked to settle() it soon.
  void add_holder(StreamState& stream) { holders_.push_back(&stream); }
  void remove_holder(StreamState& stream) { std::erase(holders_, &stream); }
  packet::PassCounter& passes() { return passes_; }
  void count_datagram_dropped() { ++datagrams_dropped_; }

 private:
  friend class Source;

  Runtime(const EngineOptions& options, engine::AttachmentOptions attachment);

  void tell_of_memory();
  void settle_holders();
  void withdraw_memory();
  // Sleeps until `end` at most.
  void sleep(Instant end);
  // Whether wake() was called since the last time.
  bool take_wake() { return woken_.exchange(false, std::memory_order_acq_rel); }

  engine::AttachmentOptions options_;
  std::size_t max_connections_;
  engine::WireOpener wires_;
  engine::Leases leases_;
  std::size_t mtu_ = 0;
  tcp::ChunkPool chunks_;
  SharedHeap heap_;
  std::vector<std::unique_ptr<std::byte[]>> allocated_;  // beside it
  std::vector<std::unique_ptr<StreamState>>
      streams_;  // outlive the worker, whose host they hear of
  std::vector<StreamState*> free_streams_;
  std::vector<StreamState*> waiting_for_memory_;
  std::vector<StreamState*> holders_;
  Instant next_withdrawal_{};
  packet::PassCounter passes_;  // of copies between the program and its streams
  std::uint64_t datagrams_dropped_ = 0;
  Source* first_ = nullptr;
  Source* last_ = nullptr;
  Instant now_;
  std::atomic<bool> woken_{false};
  std::unique_ptr<engine::Worker> worker_;
};

// The way behind the public face, for programs of tideline's own.
struct Inside {
  static Engine make(std::unique_ptr<Runtime> runtime) { return Engine(std::move(runtime)); }
  static Runtime& runtime(Engine& engine) { return *engine.runtime_; }
};

}  // namespace tideline::api
