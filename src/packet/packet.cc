// SPDX-License-Identifier: Apache-2.0
#include "packet/packet.h"

#include <algorithm>
#include <cstring>

#include "packet/pool.h"

namespace tideline::packet {

void PacketDeleter::operator()(Packet* packet) const noexcept { Pool::put(packet); }

bool Packet::is_intact() const {
  for (const Segment* each = this; each != nullptr; each = each->next_) {
    if (each->stands_ != nullptr && !each->stands_(each->context_)) return false;
  }
  return true;
}

std::byte* Packet::prepend(std::size_t size) {
  if (size > headroom()) return nullptr;
  data_ -= size;
  size_ += static_cast<std::uint32_t>(size);
  total_ += static_cast<std::uint32_t>(size);
  return data_;
}

std::byte* Packet::append(std::size_t size) {
  if (size > last_->tailroom()) return nullptr;
  std::byte* opened = last_->data_ + last_->size_;
  last_->size_ += static_cast<std::uint32_t>(size);
  total_ += static_cast<std::uint32_t>(size);
  return opened;
}

void Packet::append(PacketPtr tail) {
  Packet* added = tail.release();
  last_->next_ = added;
  last_ = added->last_;
  total_ += added->total_;
  segments_ += added->segments_;
}

void Packet::trim_front(std::size_t size) {
  CHECK(size <= total_, "{} of {} bytes", size, total_);
  total_ -= static_cast<std::uint32_t>(size);
  const std::size_t cut = std::min<std::size_t>(size, size_);
  data_ += cut;
  size_ -= static_cast<std::uint32_t>(cut);
  for (size -= cut; size > 0;) {
    const std::size_t part = std::min<std::size_t>(size, next_->size_);
    trim_second(part);
    size -= part;
  }
}

// Drops `size` bytes, at most all, from the front of the second segment, and the segment if it is
// empty then.
void Packet::trim_second(std::size_t size) {
  Segment* second = next_;
  second->data_ += size;
  second->size_ -= static_cast<std::uint32_t>(size);
  if (second->size_ > 0) return;
  next_ = second->next_;
  if (last_ == second) last_ = this;
  --segments_;
  Pool::put_segment(second);
}

bool Packet::pull_front(std::size_t size, PassCounter& passes) {
  if (size <= size_) return true;
  const std::size_t missing = size - size_;
  if (size > total_ || missing > tailroom()) return false;
  for (std::size_t left = missing; left > 0;) {
    const std::size_t part = std::min<std::size_t>(left, next_->size_);
    if (part > 0) std::memcpy(data_ + size_, next_->data_, part);
    size_ += static_cast<std::uint32_t>(part);
    trim_second(part);
    left -= part;
  }
  passes.add(Pass::kCopy, missing);
  return true;
}

void Packet::truncate(std::size_t size) {
  CHECK(size <= total_, "{} of {} bytes", size, total_);
  total_ = static_cast<std::uint32_t>(size);
  Segment* last = this;
  segments_ = 1;
  while (size > last->size_) {
    size -= last->size_;
    last = last->next_;
    ++segments_;
  }
  last->size_ = static_cast<std::uint32_t>(size);
  Segment* rest = std::exchange(last->next_, nullptr);
  last_ = last;
  while (rest != nullptr) {
    Segment* next = rest->next_;
    Pool::put_segment(rest);
    rest = next;
  }
}

PacketRef::PacketRef(PacketPtr packet) : packet_(packet.release()) {
  if (packet_ != nullptr) packet_->references_ = 1;
}

PacketRef::PacketRef(const PacketRef& other) noexcept : packet_(other.packet_) {
  if (packet_ != nullptr) ++packet_->references_;
}

PacketRef::~PacketRef() {
  if (packet_ != nullptr) drop(packet_, {});
}

void PacketRef::drop(void* packet, std::span<const std::byte> /*memory*/) {
  auto* shared = static_cast<Packet*>(packet);
  if (--shared->references_ == 0) Pool::put(shared);
}

PacketPtr PacketRef::lend(Pool& pool, std::size_t offset, std::size_t size) const {
  CHECK(size > 0 && offset + size <= packet_->total_, "{}+{} of {}", offset, size, packet_->total_);
  PacketPtr lent;
  for (const Segment* segment = packet_; size > 0; segment = segment->next_) {
    if (offset >= segment->size_) {
      offset -= segment->size_;
      continue;
    }
    const std::size_t part = std::min(size, segment->size_ - offset);
    PacketPtr piece = pool.lend(
        {.memory = segment->bytes().subspan(offset, part), .release = drop, .context = packet_});
    if (piece == nullptr) return nullptr;
    ++packet_->references_;
    if (lent == nullptr) {
      lent = std::move(piece);
    } else {
      lent->append(std::move(piece));
    }
    offset = 0;
    size -= part;
  }
  lent->meta() = packet_->meta_;
  return lent;
}

void Burst::compact() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < size_; ++i) {
    if (packets_[i] == nullptr) continue;
    if (kept != i) packets_[kept] = std::move(packets_[i]);
    ++kept;
  }
  size_ = kept;
}

}  // namespace tideline::packet
