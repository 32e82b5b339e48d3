// SPDX-License-Identifier: Apache-2.0
#include "engine/app_sockets.h"

#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "engine/app_datagram.h"
#include "engine/app_stream.h"
#include "engine/socket_values.h"

namespace tideline::engine {
namespace {

using client::Failure;
using client::Outcome;
using Turn = AppEngine::Turn;

constexpr std::size_t kLeastBuffer = std::size_t{64} << 10;
constexpr std::size_t kLargestBuffer = std::size_t{64} << 20;
constexpr std::size_t kKept = std::size_t{1} << 20;  // of larger ones the memory is given back

}  // namespace

AppSockets::AppSockets(AppEngine& engine) : engine_(engine) {
  engine_.exclusively([this](Worker& worker, Instant /*now*/) { worker_ = &worker; }, Turn::kNone);
}

AppSockets::~AppSockets() = default;

Outcome<client::Socket*> AppSockets::open(client::SocketType type) {
  client::Socket* socket = nullptr;
  const auto ran = locked(Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) {
    if (type == client::SocketType::kStream) {
      socket = &take_stream();
      return;
    }
    if (free_datagrams_.empty()) {
      datagrams_.push_back(std::make_unique<AppDatagram>(*this));
      free_datagrams_.push_back(datagrams_.back().get());
    }
    AppDatagram* datagram = free_datagrams_.back();
    free_datagrams_.pop_back();
    datagram->open();
    socket = datagram;
  });
  if (!ran) return std::unexpected(ran.error());
  return socket;
}

Result<std::unique_ptr<client::Waiter>> AppSockets::take_waiter() {
  {
    const std::scoped_lock lock(waiters_mutex_);
    if (!free_waiters_.empty()) {
      auto waiter = std::move(free_waiters_.back());
      free_waiters_.pop_back();
      return waiter;
    }
  }
  return client::Waiter::create();
}

void AppSockets::give_waiter(std::unique_ptr<client::Waiter> waiter) {
  const std::scoped_lock lock(waiters_mutex_);
  free_waiters_.push_back(std::move(waiter));
}

client::Sockets::Sleep AppSockets::begin_sleep(bool drives) {
  const Uncancelled whole;
  if (drives) {
    if (const auto sleep = engine_.sleep_on_wire()) {
      return {
          .descriptor = sleep->descriptor, .deadline = sleep->deadline, .number = sleep->number};
    }
  }
  engine_.hand_to_helper();
  return {};
}

void AppSockets::end_sleep(const Sleep& sleep) {
  if (sleep.descriptor < 0) return;
  const Uncancelled whole;
  engine_.leave_wire(
      {.descriptor = sleep.descriptor, .deadline = sleep.deadline, .number = sleep.number});
}

AppStream& AppSockets::take_stream() {
  if (free_streams_.empty()) {
    streams_.push_back(std::make_unique<AppStream>(*this));
    free_streams_.push_back(streams_.back().get());
  }
  AppStream& stream = *free_streams_.back();
  free_streams_.pop_back();
  stream.open();
  return stream;
}

std::size_t AppSockets::buffer_size(std::size_t wanted) {
  return std::bit_ceil(std::clamp(wanted, kLeastBuffer, kLargestBuffer));
}

std::span<std::byte> AppSockets::take_buffer(std::size_t wanted) {
  const std::size_t size = buffer_size(wanted);
  const auto found = std::find_if(free_buffers_.rbegin(), free_buffers_.rend(),
                                  [&](const auto& buffer) { return buffer.size() == size; });
  if (found != free_buffers_.rend()) {
    const std::span<std::byte> buffer = *found;
    free_buffers_.erase(std::next(found).base());
    return buffer;
  }
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return {};
  return {static_cast<std::byte*>(memory), size};
}

void AppSockets::give_buffer(std::span<std::byte> buffer) {
  if (buffer.empty()) return;
  if (buffer.size() > kKept) ::madvise(buffer.data(), buffer.size(), MADV_DONTNEED);
  free_buffers_.push_back(buffer);
}

bool AppSockets::is_taken(const Binding& wanted, const AppStream* self) const {
  return std::ranges::any_of(streams_, [&](const auto& stream) {
    return &*stream != self && stream->is_open() && stream->is_bound() &&
           excludes(stream->binding(), wanted);
  });
}

bool AppSockets::owns(const wire::Ipv6Address& address) {
  bool ours = false;
  [[maybe_unused]] const auto ran = locked(Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) {
    ours = engine::owns(stack(), address);
  });
  return ours;
}

std::optional<client::Report> AppSockets::take_report(Reports& reports, std::atomic<bool>& reported,
                                                      std::atomic<client::Failure>& error) {
  std::optional<client::Report> report;
  if (!reported.load(std::memory_order_acquire)) return report;
  [[maybe_unused]] const auto ran = locked(Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) {
    report = reports.take();
    reported.store(reports.size() > 0, std::memory_order_release);
    error.store(reports.failure(), std::memory_order_release);
  });
  return report;
}

bool AppSockets::reaches(const wire::Ipv6Address& address) {
  bool found = false;
  [[maybe_unused]] const auto ran = locked(Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) {
    found = engine::reaches(stack(), address);
  });
  return found;
}

std::optional<wire::Ipv6Address> AppSockets::own_address(bool ipv4) {
  std::optional<wire::Ipv6Address> found;
  [[maybe_unused]] const auto ran = locked(Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) {
    found = engine::own_address(stack(), ipv4);
  });
  return found;
}

void AppSockets::finish(Duration limit) {
  constexpr timespec kPause{.tv_sec = 0, .tv_nsec = 200'000};
  constexpr Duration kPatience = std::chrono::seconds(1);  // without any progress
  const Instant end = monotonic_now() + limit;
  Instant progress = monotonic_now();
  std::uint64_t acknowledged = 0;
  // A signal handler may end the program while its own thread holds the engine.
  while (engine_.poll() != ring::Entry::kRan) {
    if (!is_alive() || monotonic_now() >= progress + kPatience) return;
    ::sched_yield();
  }
  [[maybe_unused]] const auto closed = locked(Turn::kSend, [&](Worker& /*worker*/, Instant now) {
    for (const auto& stream : streams_) stream->finish(now);
  });
  for (;;) {
    bool ending = false;
    std::uint64_t now_acknowledged = 0;
    Instant now;
    const auto ran = locked(Turn::kWhole, [&](Worker& /*worker*/, Instant at) {
      now = at;
      for (const auto& stream : streams_) {
        if (!stream->is_ending()) continue;
        ending = true;
        now_acknowledged += stream->acknowledged();
      }
    });
    if (!ran || !ending) return;
    if (now_acknowledged != std::exchange(acknowledged, now_acknowledged)) progress = now;
    if (now >= end || now >= progress + kPatience) return;
    ::nanosleep(&kPause, nullptr);
  }
}

}  // namespace tideline::engine
