// SPDX-License-Identifier: Apache-2.0
// Completion queues: IBA 10.8, 11.4.2. A ring between the engine, which adds under its lock, and
// the program, which polls without it.
//
// Thread: push() under the engine's lock. poll(), request_notification() and size() on any thread
// without it, one at a time per queue: the caller has a lock per queue if it needs one. resize()
// and discard() need both.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/bits.h"
#include "base/error.h"
#include "rdma/types.h"

namespace tideline::rdma {

class Context;

// What the first 40 bytes of a UD receive hold: annex A17.4.5.1.
enum class NetworkHeader : std::uint8_t { kNone, kGrh, kIpv6, kIpv4 };

struct Completion {
  std::uint64_t wr_id = 0;
  std::uint32_t qp_num = 0;
  std::uint32_t src_qp = 0;     // UD receive: the sender's number
  std::uint32_t byte_len = 0;   // received, read or atomic; not of sends and writes
  std::uint32_t immediate = 0;  // as it was on the wire (kImmediate), or an rkey in host order
                                // (kInvalidated)
  WcStatus status = WcStatus::kSuccess;
  WcOpcode opcode = WcOpcode::kSend;  // undefined if status is not kSuccess: IBA 11.4.2.1
  std::uint16_t flags = 0;            // WcFlags
  std::uint8_t vendor_error = 0;      // the AETH syndrome that caused the status, if one did
  bool solicited = false;             // wakes who waits for solicited completions only
  NetworkHeader header = NetworkHeader::kNone;
  std::uint16_t pkey_index = 0;
  std::uint64_t timestamp = 0;  // ns of the engine's clock
};

class CompletionQueue {
 public:
  // Asked for when a completion is to be announced; IBA 11.4.2.2.
  enum class Notify : std::uint32_t { kNone, kSolicited, kAny };

  CompletionQueue(Context& context, std::uint32_t entries, void* user);

  Context& context() const { return context_; }
  void* user() const { return user_; }
  void set_user(void* user) { user_ = user; }
  // At least what was asked for.
  std::uint32_t entries() const { return mask_ + 1; }

  // Program. Moves up to `out.size()` completions, oldest first; returns how many.
  std::size_t poll(std::span<Completion> out);
  // Program. The next completion of that kind is announced, once, by EventSink::completion; those
  // that are there already are not: poll again after the request, before sleeping.
  void request_notification(Notify kind);
  // Program. Completions that wait.
  std::uint32_t size() const {
    return producer_.load(std::memory_order_acquire) - consumer_.load(std::memory_order_relaxed);
  }

  // Engine. False if the queue is full: the completion is lost, and the queue unusable from now on
  // (IBA 11.6.3.1, CQ error). Announces it if somebody has asked.
  bool push(const Completion& completion);
  bool overrun() const { return overrun_; }
  // Engine, nobody polling. Fails if more completions wait than would fit.
  Status resize(std::uint32_t entries);
  // Engine, nobody polling. Takes out what waits of a queue pair.
  void discard(std::uint32_t qp_num);

  std::uint32_t users = 0;  // queue pairs on it: it cannot be destroyed while there are any

 private:
  Context& context_;
  void* user_;
  std::uint32_t mask_;
  bool overrun_ = false;
  std::unique_ptr<Completion[]> ring_;  // NOLINT(modernize-avoid-c-arrays)
  alignas(kCacheLine) std::atomic<std::uint32_t> producer_{0};
  std::atomic<Notify> armed_{Notify::kNone};
  alignas(kCacheLine) std::atomic<std::uint32_t> consumer_{0};
};

}  // namespace tideline::rdma
