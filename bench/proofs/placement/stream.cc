// SPDX-License-Identifier: Apache-2.0
#include "proofs/placement/stream.h"

#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <new>
#include <vector>

#include "base/bits.h"
#include "base/check.h"
#include "base/clock.h"
#include "common/process.h"

namespace proofs::placement {

using tideline::Mapping;

namespace {

// Rounds over the window alternate between two values, so that every byte changes each time.
constexpr std::array<unsigned char, 2> kValues{0x55, 0xaa};
constexpr std::uint64_t kWarmUp = 64;

struct Control {
  alignas(tideline::kCacheLine) std::atomic<std::uint64_t> answered;
  alignas(tideline::kCacheLine) std::atomic<std::uint32_t> rkey;
  std::atomic<std::uint64_t> base;
  std::atomic<std::uint64_t> stale_blocks;
  std::atomic<bool> stop;
};

std::size_t stride_of(const Stream& stream) {
  return tideline::align_up(stream.size, tideline::kCacheLine);
}

void place_thread(std::optional<int> core) {
  if (core) {
    bench::pin_to_core(*core);
  } else {
    bench::unpin();
  }
}

bool is_complete(const std::byte* block, std::size_t size, unsigned char value) {
  std::uint64_t difference = 0;
  std::uint64_t expected = 0;
  std::memset(&expected, value, sizeof(expected));
  for (std::size_t i = 0; i + sizeof(expected) <= size; i += sizeof(expected)) {
    std::uint64_t word = 0;
    std::memcpy(&word, block + i, sizeof(word));
    difference |= word ^ expected;
  }
  return difference == 0;
}

void spin_on_memory(const Stream& stream, const std::byte* base, Control* control) {
  for (std::uint64_t i = 0;; ++i) {
    const std::byte* block = base + i % stream.window * stride_of(stream);
    const unsigned char value = kValues.at(i / stream.window % 2);
    const auto* last = reinterpret_cast<const unsigned char*>(block + stream.size - 1);
    while (__atomic_load_n(last, __ATOMIC_ACQUIRE) != value) {
      if (control->stop.load(std::memory_order_relaxed)) return;
    }
    if (stream.verify && !is_complete(block, stream.size, value)) {
      control->stale_blocks.fetch_add(1, std::memory_order_relaxed);
    }
    control->answered.store(i + 1, std::memory_order_release);
  }
}

int run_target(const Stream& stream, int socket, Control* control) {
  place_thread(stream.target_core);
  const std::size_t size =
      tideline::align_up(stream.window * stride_of(stream), tideline::kPageSize);
  auto target = Target::create();
  CHECK(target, "{}", target.error().message());
  // Memory that only process_vm_writev reaches; MAP_SHARED or not makes no difference to it.
  auto plain = Mapping::anonymous_shared(size);
  CHECK(plain && plain->populate());
  const auto index = (*target)->add_memory(size);
  CHECK(index);
  std::memset((*target)->memory(*index).data(), 0, size);
  const tideline::Status accepted = (*target)->accept(socket, stream.helper);
  CHECK(accepted, "{}", accepted.error().message());
  const bool in_memfd = stream.path == Path::kRaw || stream.path == Path::kDirect;
  const auto rkey = in_memfd ? (*target)->register_memory(*index, kRemoteWrite)
                             : (*target)->register_plain(plain->data(), size, kRemoteWrite);
  CHECK(rkey);
  const std::byte* base = in_memfd ? (*target)->memory(*index).data() : plain->data();
  control->base.store(reinterpret_cast<std::uint64_t>(base));
  control->rkey.store(*rkey, std::memory_order_release);
  spin_on_memory(stream, base, control);
  return 0;
}

// The initiator's side of one run.
class Sender {
 public:
  Sender(const Stream& stream, int socket, Control* control)
      : stream_(stream), control_(control), sources_{source(0), source(1)} {
    auto initiator = Initiator::connect(socket, stream.wait);
    CHECK(initiator, "{}", initiator.error().message());
    initiator_ = std::move(*initiator);
    while ((rkey_ = control->rkey.load(std::memory_order_acquire)) == 0) ::sched_yield();
    base_ = control->base.load();
  }

  Outcome place(std::uint64_t i) {
    const std::uint64_t offset = i % stream_.window * stride_of(stream_);
    const std::byte* from = sources_.at(i / stream_.window % 2).data();
    const Request request{.rkey = rkey_,
                          .address = base_ + offset,
                          .length = stream_.size,
                          .access = kRemoteWrite,
                          .domain = kDomain};
    DirectPath& direct = initiator_->direct();
    switch (stream_.path) {
      case Path::kRaw:
        stream_.raw_copy(direct.memories()[0].data() + offset, from, stream_.size);
        return Outcome::kPlaced;
      case Path::kDirect:
      case Path::kProcessVm:
        return direct.write(request, from);
      case Path::kProcessVmOneElement:
        return write_process_vm(direct.pid(), request.address, from, stream_.size,
                                LastByte::kWithTheRest);
      case Path::kFrames:
        return place_by_frames(request, from);
    }
    return Outcome::kUnknownKey;
  }

  void wait_for_answers(std::uint64_t count) const {
    while (control_->answered.load(std::memory_order_acquire) < count) {
      if (stream_.wait == WaitMode::kYield) {
        ::sched_yield();
      } else {
        tideline::cpu_relax();
      }
    }
  }

  // What the helper says of all frames.
  Outcome finish() { return initiator_->frames().finish(); }

 private:
  Outcome place_by_frames(const Request& request, const std::byte* from) {
    FrameSender& frames = initiator_->frames();
    // With window 1 an initiator that sleeps leaves its core to the helper at once.
    if (stream_.wait == WaitMode::kSleep && stream_.window == 1) return frames.write(request, from);
    return frames.post(request, from);
  }

  std::vector<std::byte> source(std::size_t round) const {
    return std::vector<std::byte>(stream_.size, static_cast<std::byte>(kValues.at(round)));
  }

  const Stream& stream_;
  Control* control_;
  std::array<std::vector<std::byte>, 2> sources_;
  std::unique_ptr<Initiator> initiator_;
  std::uint32_t rkey_ = 0;
  std::uint64_t base_ = 0;
};

}  // namespace

StreamResult run_stream(const Stream& stream) {
  std::array<int, 2> sockets{};
  CHECK(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets.data()) == 0);
  const tideline::UniqueFd ours(sockets[0]);
  tideline::UniqueFd theirs(sockets[1]);
  const Mapping shared = Mapping::anonymous_shared(sizeof(Control)).value();
  auto* control = new (shared.data()) Control{};
  bench::Child child = bench::Child::run([&] { return run_target(stream, theirs.get(), control); });

  theirs.reset();  // so that a dead target is noticed

  place_thread(stream.initiator_core);
  StreamResult result{.round_trips = bench::LatencySamples(stream.window == 1 ? stream.count : 0)};
  bool placed = true;
  {
    Sender sender(stream, ours.get(), control);
    const std::uint64_t limit = tideline::tsc_ticks(stream.limit);
    std::uint64_t started = tideline::tsc_now();
    std::uint64_t i = 0;
    for (; placed && i < stream.count + kWarmUp; ++i) {
      if (i >= stream.window) sender.wait_for_answers(i - stream.window + 1);
      const std::uint64_t before = tideline::tsc_now();
      if (i == kWarmUp) started = before;
      if (i > kWarmUp && before - started > limit) break;
      placed = sender.place(i) == Outcome::kPlaced;
      if (stream.window == 1 && placed) {
        sender.wait_for_answers(i + 1);
        if (i >= kWarmUp) result.round_trips.add_ticks(tideline::tsc_now() - before);
      }
    }
    if (placed) sender.wait_for_answers(i);
    result.blocks = i > kWarmUp ? i - kWarmUp : 0;
    result.seconds = static_cast<double>(tideline::tsc_now() - started) / tideline::tsc_hz();
    placed = placed && sender.finish() == Outcome::kPlaced;
  }
  result.stale_blocks = control->stale_blocks.load();
  control->stop.store(true);
  result.good = child.succeeded() && placed;
  bench::unpin();
  return result;
}

}  // namespace proofs::placement
