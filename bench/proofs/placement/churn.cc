// SPDX-License-Identifier: Apache-2.0
// The hazard that needs a second thread: memory that changes under the copy.
#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/fault_handler.h"
#include "base/fd.h"
#include "base/guarded_copy.h"
#include "base/mapping.h"
#include "base/random.h"
#include "proofs/placement/hazards.h"

namespace proofs::placement {

using tideline::CopyResult;
using tideline::fault_side;
using tideline::FaultSide;
using tideline::guarded_copy;
using tideline::install_fault_handlers;

namespace {

constexpr std::size_t kSize = 65536;

// Maps the file at `place`, instead of whatever is there.
void map_at(void* place, int fd) {
  void* mapped = ::mmap(place, kSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
  CHECK(mapped == place, "errno {}", errno);
}

// Takes the memory away in one of four ways, leaves it so for a moment, and puts it back.
void disturb(std::byte* place, int fd, tideline::Rng& rng) {
  const std::uint64_t kind = rng.below(4);
  int failed = 0;
  switch (kind) {
    case 0:
      failed = ::munmap(place, kSize);
      break;
    case 1:
      failed = ::mprotect(place, kSize, PROT_NONE);
      break;
    case 2:
      failed = ::mprotect(place, kSize, PROT_READ);
      break;
    default:
      failed = ::ftruncate(fd, static_cast<off_t>(rng.below(kSize)));
      break;
  }
  CHECK(failed == 0, "kind {}, errno {}", kind, errno);
  const std::uint64_t until = tideline::tsc_now() + rng.below(20000);
  while (tideline::tsc_now() < until) tideline::cpu_relax();
  if (kind == 0) map_at(place, fd);
  failed = kind == 3 ? ::ftruncate(fd, kSize) : ::mprotect(place, kSize, PROT_READ | PROT_WRITE);
  CHECK(failed == 0, "kind {}, errno {}", kind, errno);
}

}  // namespace

Finding check_memory_churn(std::uint64_t rounds, std::uint64_t seed) {
  if (tideline::Status status = install_fault_handlers(); !status) {
    return {.holds = false, .detail = status.error().message()};
  }
  tideline::UniqueFd file(::memfd_create("churn", MFD_CLOEXEC));
  CHECK(::ftruncate(file.get(), kSize) == 0);
  // Nothing else in the process maps memory meanwhile, so an unmapped hole stays one.
  auto* place = static_cast<std::byte*>(
      ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0));
  CHECK(place != MAP_FAILED);
  std::vector<std::byte> buffer(kSize, std::byte{3});
  std::atomic<std::uint64_t> faults{0};
  std::atomic<bool> over{false};
  std::thread other([&] {
    tideline::Rng rng(seed);
    // On a busy machine the first rounds may pass before the first copy.
    for (std::uint64_t i = 0; i < rounds || faults.load() == 0; ++i)
      disturb(place, file.get(), rng);
    over.store(true);
  });

  tideline::Rng rng(seed + 1);
  std::uint64_t copies = 0;
  std::uint64_t in_the_midst = 0;
  std::uint64_t wrong_side = 0;
  while (!over.load(std::memory_order_relaxed)) {
    const bool store = rng.below(2) == 0;
    const std::size_t size = 1 + rng.below(kSize);
    std::byte* to = store ? place : buffer.data();
    const std::byte* from = store ? buffer.data() : place;
    const CopyResult result = guarded_copy(to, from, size);
    ++copies;
    if (result.copied == size) continue;
    faults.fetch_add(1);
    if (result.copied != 0) ++in_the_midst;
    const FaultSide bad = store ? FaultSide::kDestination : FaultSide::kSource;
    if (fault_side(result, to, from, size) != bad) ++wrong_side;
  }
  other.join();
  ::munmap(place, kSize);
  return {.holds = faults.load() > 0 && wrong_side == 0,
          .detail = fmt::format("{} disturbances, {} copies, {} faults, {} of them midway, "
                                "{} blamed on the wrong side",
                                rounds, copies, faults.load(), in_the_midst, wrong_side)};
}

}  // namespace proofs::placement
