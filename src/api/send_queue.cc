// SPDX-License-Identifier: Apache-2.0
#include "api/send_queue.h"

#include <algorithm>

#include "base/check.h"

namespace tideline::api {

void SendQueue::reset(std::size_t most) {
  chunks_.reset();
  most_ = std::max(most, kLeastLimit);
  limit_ = std::min<std::uint64_t>(most_, kFirstLimit);
  is_offered_ = false;
  end_ = released_ = copied_ = freed_ = lent_ = on_loan_ = 0;
  first_ = count_ = loans_ = 0;
}

std::span<std::byte> SendQueue::copies(std::uint64_t copied, std::size_t most) const {
  const auto piece = chunks_.at(copied);
  return piece.first(std::min(most, piece.size()));
}

std::span<std::byte> SendQueue::space() {
  if (room() == 0) return {};
  const auto piece = chunks_.make(copied_);
  is_offered_ = !piece.empty();
  return piece.first(std::min(room(), piece.size()));
}

void SendQueue::wrote(std::size_t size) {
  CHECK(size <= copies(copied_, room()).size(), "{} bytes written into {}", size,
        copies(copied_, room()).size());
  is_offered_ = false;
  copied_ += size;
  end_ += size;
}

void SendQueue::add(const Piece& piece) {
  if (pieces_.empty()) pieces_.resize(2 * kMostLoans + 1);
  pieces_[(first_ + count_++) % pieces_.size()] = piece;
}

bool SendQueue::lend(std::span<const std::byte> memory) {
  if (loans_ == kMostLoans || on_loan_ >= limit_) return false;
  if (memory.empty()) return true;
  const std::uint64_t listed = count_ == 0 ? released_ : piece(count_ - 1).end;
  if (listed < end_) {
    add({.begin = listed, .end = end_, .memory = nullptr, .lent_before = lent_});
  }
  add({.begin = end_, .end = end_ + memory.size(), .memory = memory.data(), .lent_before = lent_});
  end_ += memory.size();
  lent_ += memory.size();
  on_loan_ += memory.size();
  ++loans_;
  return true;
}

std::span<const std::byte> SendQueue::at(std::uint64_t offset, std::size_t most) const {
  most = static_cast<std::size_t>(std::min<std::uint64_t>(most, end_ - offset));
  if (count_ == 0 || offset >= piece(count_ - 1).end) return copies(offset - lent_, most);
  // The piece that ends behind the offset: most often near the end, where new data is.
  std::size_t low = 0;
  std::size_t high = count_ - 1;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (piece(middle).end > offset) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  const Piece& found = piece(low);
  most = static_cast<std::size_t>(std::min<std::uint64_t>(most, found.end - offset));
  if (found.memory == nullptr) return copies(offset - found.lent_before, most);
  return {found.memory + (offset - found.begin), most};
}

void SendQueue::release(std::uint64_t offset) {
  released_ = offset;
  while (count_ > 0 && piece(0).end <= offset) {
    const Piece& gone = piece(0);
    if (gone.memory != nullptr) {
      --loans_;
      on_loan_ -= gone.end - gone.begin;
    }
    first_ = (first_ + 1) % pieces_.size();
    --count_;
  }
  if (count_ == 0) {
    freed_ = offset - lent_;
  } else {
    const Piece& front = piece(0);
    freed_ = (front.memory == nullptr ? offset : front.begin) - front.lent_before;
  }
  chunks_.drop_before(freed_);
  if (freed_ == copied_ && !is_offered_) chunks_.clear();
}

void SendQueue::want(std::uint64_t bytes) {
  if (!chunks_.pool().is_short()) limit_ = std::max(limit_, std::min(bytes, most_));
}

}  // namespace tideline::api
