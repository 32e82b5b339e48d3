// SPDX-License-Identifier: Apache-2.0
#include "rdma/completion_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "rdma/context.h"

namespace tideline::rdma {

CompletionQueue::CompletionQueue(Context& context, std::uint32_t entries, void* user)
    : context_(context),
      user_(user),
      mask_(std::bit_ceil(std::max(entries, 1U)) - 1),
      ring_(std::make_unique<Completion[]>(std::size_t{mask_} + 1)) {
}  // NOLINT(modernize-avoid-c-arrays)

std::size_t CompletionQueue::poll(std::span<Completion> out) {
  const std::uint32_t first = consumer_.load(std::memory_order_relaxed);
  const std::uint32_t waiting = producer_.load(std::memory_order_acquire) - first;
  const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(waiting, out.size()));
  for (std::uint32_t i = 0; i < count; ++i) out[i] = ring_[(first + i) & mask_];
  if (count > 0) consumer_.store(first + count, std::memory_order_release);
  return count;
}

// seq_cst, here and in push(): either the producer sees the request, or the program's next poll
// sees the completion.
void CompletionQueue::request_notification(Notify kind) {
  const Notify before = armed_.load(std::memory_order_relaxed);
  armed_.store(std::max(before, kind), std::memory_order_seq_cst);
}

bool CompletionQueue::push(const Completion& completion) {
  const std::uint32_t last = producer_.load(std::memory_order_relaxed);
  if (overrun_ || last - consumer_.load(std::memory_order_acquire) > mask_) {
    overrun_ = true;
    return false;
  }
  ring_[last & mask_] = completion;
  producer_.store(last + 1, std::memory_order_seq_cst);
  const Notify armed = armed_.load(std::memory_order_seq_cst);
  // IBA 11.4.2.2: an error is always worth waking for.
  const bool wakes =
      armed == Notify::kAny || (armed == Notify::kSolicited &&
                                (completion.solicited || completion.status != WcStatus::kSuccess));
  if (wakes && armed_.exchange(Notify::kNone, std::memory_order_acq_rel) != Notify::kNone) {
    context_.sink().completion(*this);
  }
  return true;
}

Status CompletionQueue::resize(std::uint32_t entries) {
  const std::uint32_t capacity = std::bit_ceil(std::max(entries, 1U));
  const std::uint32_t waiting = size();
  if (waiting > capacity) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("cannot shrink a completion queue to {} entries: {} wait",
                                     entries, waiting),
                 .errno_value = EINVAL});
  }
  auto ring = std::make_unique<Completion[]>(capacity);  // NOLINT(modernize-avoid-c-arrays)
  poll({ring.get(), waiting});
  ring_ = std::move(ring);
  mask_ = capacity - 1;
  consumer_.store(0, std::memory_order_relaxed);
  producer_.store(waiting, std::memory_order_release);
  return {};
}

void CompletionQueue::discard(std::uint32_t qp_num) {
  const std::uint32_t first = consumer_.load(std::memory_order_relaxed);
  std::uint32_t kept = first;
  for (std::uint32_t i = first; i != producer_.load(std::memory_order_relaxed); ++i) {
    if (ring_[i & mask_].qp_num != qp_num) ring_[kept++ & mask_] = ring_[i & mask_];
  }
  producer_.store(kept, std::memory_order_release);
}

}  // namespace tideline::rdma
