// SPDX-License-Identifier: Apache-2.0
#include "tcp/receive_queue.h"

#include <algorithm>

#include "base/check.h"
#include "base/copy.h"

namespace tideline::tcp {
namespace {

constexpr std::size_t kLeastWindow = std::size_t{64} << 10;  // Config::initial_window

}  // namespace

void ReceiveQueue::reset(std::size_t most) {
  chunks_.reset();
  published_ = consumed_ = put_end_ = granted_ = 0;
  most_ = std::max(most, kLeastWindow);
  window_ = std::min<std::uint64_t>(most_, kFirstWindow);
}

std::span<const std::byte> ReceiveQueue::front() const {
  if (readable() == 0) return {};
  const auto piece = chunks_.at(consumed_);
  return piece.first(std::min(piece.size(), readable()));
}

void ReceiveQueue::consume(std::size_t size) {
  CHECK(size <= readable(), "{} bytes of {}", size, readable());
  consumed_ += size;
  if (consumed_ == put_end_) chunks_.clear();
  chunks_.drop_before(consumed_);
}

std::uint64_t ReceiveQueue::limit() const {
  const std::uint64_t window =
      chunks_.pool().is_short() ? std::min<std::uint64_t>(window_, kLeastWindow) : window_;
  return granted_ = std::max(granted_, consumed_ + window);
}

bool ReceiveQueue::reserve(std::uint64_t offset, std::size_t size) {
  const std::uint64_t end = offset + size;
  for (std::uint64_t at = offset; at < end;) {
    const auto room = chunks_.make(at);
    if (room.empty()) {
      if (consumed_ == put_end_) chunks_.clear();
      return false;
    }
    at += room.size();
  }
  put_end_ = std::max(put_end_, end);
  return true;
}

void ReceiveQueue::place(std::uint64_t offset, const packet::Packet& payload) {
  for (const packet::Segment* each = &payload.first(); each != nullptr; each = each->next()) {
    std::span<const std::byte> from = each->bytes();
    while (!from.empty()) {
      const auto to = chunks_.at(offset);
      const std::size_t size = std::min(from.size(), to.size());
      copy_by_vectors(to.data(), from.data(), size);
      from = from.subspan(size);
      offset += size;
    }
  }
}

bool ReceiveQueue::put(std::uint64_t offset, packet::PacketPtr payload,
                       packet::PassCounter& passes) {
  if (!reserve(offset, payload->size())) return false;
  passes.add(packet::Pass::kCopy, payload->size());
  place(offset, *payload);
  return true;
}

void ReceiveQueue::want(std::uint64_t window) {
  if (!chunks_.pool().is_short()) window_ = std::max(window_, std::min(window, most_));
}

}  // namespace tideline::tcp
