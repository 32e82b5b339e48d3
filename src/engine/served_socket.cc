// SPDX-License-Identifier: Apache-2.0
#include "engine/served_socket.h"

#include <algorithm>
#include <utility>

#include "client/records.h"
#include "engine/served_channel.h"
#include "engine/served_sockets.h"

namespace tideline::engine {

using queue::WatcherSlot;

bool ServedSocket::begin(std::shared_ptr<FamilyMemory> memory) {
  page_index_ = memory->take_page();
  if (page_index_ == 0) return false;
  family_ = std::move(memory);
  page_ = &family_->page(page_index_);
  page_->type = static_cast<std::uint32_t>(type_);
  flags_ = 0;
  return true;
}

void ServedSocket::end() {
  close_fifos();
  family_->give_page(page_index_);
  family_.reset();
  page_ = nullptr;
}

bool ServedSocket::open_fifos(std::size_t outgoing, std::size_t incoming) {
  close_fifos();
  if (!outgoing_.open(*family_, page_->outgoing_places, page_->outgoing, outgoing) ||
      !incoming_.open(*family_, page_->incoming_places, page_->incoming, incoming)) {
    close_fifos();
    return false;
  }
  page_->told.store(0, std::memory_order_relaxed);
  page_->wants_room.store(0, std::memory_order_relaxed);
  return true;
}

void ServedSocket::close_fifos() {
  outgoing_.close();
  incoming_.close();
}

void ServedSocket::hold(ServedChannel& channel, std::uint32_t handle) {
  holders_.push_back({.channel = &channel, .handle = handle});
}

std::uint32_t ServedSocket::handle_of(const ServedChannel& channel) const {
  const auto found = std::ranges::find(holders_, &channel, &Holder::channel);
  return found == holders_.end() ? 0 : found->handle;
}

void ServedSocket::let_go(ServedChannel& channel, bool abort, bool died, Instant now) {
  std::erase_if(holders_, [&](const Holder& each) { return each.channel == &channel; });
  if (!is_held()) {
    close(abort, now);
  } else if (died) {
    forget(channel);
  }
}

void ServedSocket::let_go_of_token(Instant now) {
  --tokens_;
  if (!is_held()) close(false, now);
}

// A dead program's locks and watchers, for the others who hold the socket.
void ServedSocket::forget(const ServedChannel& channel) const {
  for (auto* lock : {&page_->sending, &page_->receiving}) {
    std::uint32_t word = std::uint32_t{channel.number()} + 1;
    lock->compare_exchange_strong(word, 0, std::memory_order_acq_rel);
  }
  for (auto& watcher : page_->watchers) {
    std::uint64_t slot = watcher.load(std::memory_order_relaxed);
    if (slot != 0 && WatcherSlot::channel(slot) == channel.number()) {
      watcher.compare_exchange_strong(slot, 0, std::memory_order_relaxed);
    }
  }
}

void ServedSocket::show_local(const client::Endpoint& local) {
  page_->local = client::to_record(local);
}

void ServedSocket::show_remote(const client::Endpoint& remote) {
  page_->remote = client::to_record(remote);
}

void ServedSocket::tell() const {
  for (const auto& watcher : page_->watchers) {
    const std::uint64_t slot = watcher.load(std::memory_order_acquire);
    if (slot == 0) continue;
    ServedChannel* channel = sockets_.channel(WatcherSlot::channel(slot));
    if (channel == nullptr || handle_of(*channel) == 0) continue;
    channel->hint_waiter(WatcherSlot::waiter(slot), WatcherSlot::hint(slot));
  }
}

}  // namespace tideline::engine
