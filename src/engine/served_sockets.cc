// SPDX-License-Identifier: Apache-2.0
#include "engine/served_sockets.h"

#include <algorithm>
#include <chrono>
#include <ranges>

namespace tideline::engine {
namespace {

constexpr Duration kRestEvery = std::chrono::seconds(1);
constexpr std::size_t kRestsAtOnce = 256;

}  // namespace

bool ServedSockets::may_send(Instant now) {
  constexpr Duration kPatience = std::chrono::milliseconds(100);
  if (worker_.function().tx_room() > 0) {
    full_since_ = kNever;
    return true;
  }
  full_since_ = std::min(full_since_, now);
  return now - full_since_ >= kPatience;
}

ServedStream* ServedSockets::open_stream(const std::shared_ptr<FamilyMemory>& memory) {
  if (free_streams_.empty()) {
    streams_.push_back(std::make_unique<ServedStream>(*this));
    free_streams_.push_back(streams_.back().get());
  }
  ServedStream* stream = free_streams_.back();
  if (!stream->open(memory)) return nullptr;
  free_streams_.pop_back();
  ++in_use_;
  return stream;
}

ServedDatagram* ServedSockets::open_datagram(const std::shared_ptr<FamilyMemory>& memory) {
  if (free_datagrams_.empty()) {
    datagrams_.push_back(std::make_unique<ServedDatagram>(*this));
    free_datagrams_.push_back(datagrams_.back().get());
  }
  ServedDatagram* datagram = free_datagrams_.back();
  if (!datagram->open(memory)) return nullptr;
  free_datagrams_.pop_back();
  ++in_use_;
  return datagram;
}

void ServedSockets::give_back(ServedStream& stream) {
  free_streams_.push_back(&stream);
  --in_use_;
}

void ServedSockets::give_back(ServedDatagram& datagram) {
  free_datagrams_.push_back(&datagram);
  --in_use_;
}

void ServedSockets::note_large(ServedStream& stream, Instant now) {
  if (stream.large_at() != SIZE_MAX) return;
  stream.set_large_at(large_.size());
  large_.push_back(&stream);
  if (rest_at_ == kNever) rest_at_ = now + kRestEvery;
}

void ServedSockets::forget_large(ServedStream& stream) {
  if (stream.large_at() == SIZE_MAX) return;
  large_.back()->set_large_at(stream.large_at());
  large_[stream.large_at()] = large_.back();
  large_.pop_back();
  stream.set_large_at(SIZE_MAX);
}

void ServedSockets::let_rest(Instant now) {
  if (now < rest_at_) return;
  for (std::size_t left = std::min(kRestsAtOnce, large_.size()); left > 0; --left) {
    if (next_large_ >= large_.size()) next_large_ = 0;
    ServedStream& stream = *large_[next_large_];
    if (stream.rest(now)) {
      forget_large(stream);
    } else {
      ++next_large_;
    }
  }
  rest_at_ = large_.empty() ? kNever : now + kRestEvery;
}

bool ServedSockets::is_anothers(const client::Endpoint& local, client::Sharing sharing,
                                std::uint64_t user) const {
  using enum client::Sharing;
  return std::ranges::any_of(datagrams_, [&](const auto& each) {
    if (!each->is_bound_beside(local) || each->family().user() == user) return false;
    return sharing != kAddress || each->sharing() != kAddress;
  });
}

bool ServedSockets::is_taken(const Binding& wanted) const {
  const auto [first, last] = ports_.equal_range(wanted.local.port);
  return std::ranges::any_of(std::ranges::subrange(first, last), [&](const auto& entry) {
    return excludes(entry.second->binding(), wanted);
  });
}

void ServedSockets::bound(ServedStream& stream) {
  ports_.emplace(stream.binding().local.port, &stream);
}

void ServedSockets::unbound(ServedStream& stream) {
  const auto [first, last] = ports_.equal_range(stream.binding().local.port);
  const auto found =
      std::ranges::find_if(std::ranges::subrange(first, last),
                           [&](const auto& entry) { return entry.second == &stream; });
  if (found != last) ports_.erase(found);
}

void ServedSockets::set_channel(std::uint16_t number, ServedChannel* channel) {
  if (number >= channels_.size()) channels_.resize(number + std::size_t{1});
  channels_[number] = channel;
}

}  // namespace tideline::engine
