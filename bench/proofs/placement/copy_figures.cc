// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/bits.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/fault_handler.h"
#include "base/guarded_copy.h"
#include "base/mapping.h"
#include "common/latency.h"
#include "proofs/placement/figures.h"
#include "proofs/placement/stream.h"

namespace proofs::placement {

using tideline::guarded_copy;
using tideline::install_fault_handlers;
using tideline::tideline_copy_avx;
using tideline::tideline_copy_sse;
using tideline::tideline_copy_string;

namespace {

// What is timed: moves `size` bytes. Not inlined, so that nothing is optimised across calls.
using Move = void (*)(std::byte* to, const std::byte* from, std::size_t size);

void by_memcpy(std::byte* to, const std::byte* from, std::size_t size) {
  std::memcpy(to, from, size);
}
void by_sse(std::byte* to, const std::byte* from, std::size_t size) {
  tideline_copy_sse(to, from, size);
}
void by_guarded(std::byte* to, const std::byte* from, std::size_t size) {
  guarded_copy(to, from, size);
}
void by_avx(std::byte* to, const std::byte* from, std::size_t size) {
  tideline_copy_avx(to, from, size);
}
void by_string(std::byte* to, const std::byte* from, std::size_t size) {
  tideline_copy_string(to, from, size);
}
void by_process_vm(std::byte* to, const std::byte* from, std::size_t size) {
  const iovec local{to, size};
  const iovec remote{const_cast<std::byte*>(from), size};
  static const pid_t self = ::getpid();
  ::process_vm_readv(self, &local, 1, &remote, 1, 0);
}
// Asks that the pages be there, then trusts that they stay.
void by_populate(std::byte* to, const std::byte* from, std::size_t size) {
  ::madvise(to, tideline::align_up(size, tideline::kPageSize), MADV_POPULATE_WRITE);
  ::madvise(const_cast<std::byte*>(from), tideline::align_up(size, tideline::kPageSize),
            MADV_POPULATE_READ);
  std::memcpy(to, from, size);
}
// What a handler would siglongjmp to; without and with saving the signal mask.
thread_local sigjmp_buf t_landing;
void by_sigsetjmp(std::byte* to, const std::byte* from, std::size_t size) {
  if (sigsetjmp(t_landing, 0) == 0) std::memcpy(to, from, size);
}
void by_sigsetjmp_with_mask(std::byte* to, const std::byte* from, std::size_t size) {
  if (sigsetjmp(t_landing, 1) == 0) std::memcpy(to, from, size);
}

double time_move(Move move, std::byte* to, const std::byte* from, std::size_t size, int count) {
  // volatile: the compiler must not see through the pointer.
  Move volatile opaque = move;
  for (int i = 0; i < count / 8 + 1; ++i) opaque(to, from, size);
  const std::uint64_t before = tideline::tsc_now();
  for (int i = 0; i < count; ++i) opaque(to, from, size);
  return static_cast<double>(tideline::tsc_now() - before) / tideline::tsc_hz() * 1e9 / count;
}

struct Contender {
  std::string name;
  Move move;
  std::vector<double> nanoseconds;
};

// Medians of interleaved repetitions; the first contender is the limit of the others.
void compare(bench::Report& report, std::vector<Contender> contenders, std::size_t size,
             std::byte* to, const std::byte* from, bool quick) {
  const int count = size >= 65536 ? 2000 : 50000;
  for (int repetition = 0; repetition < (quick ? 3 : 9); ++repetition) {
    for (Contender& contender : contenders) {
      contender.nanoseconds.push_back(
          time_move(contender.move, to, from, size, quick ? count / 10 : count));
    }
  }
  const double limit = bench::median(contenders.front().nanoseconds);
  for (const Contender& contender : contenders) {
    report.figure(fmt::format("in cache, {} B: {}", size, contender.name),
                  bench::median(contender.nanoseconds), "ns", contenders.front().name, limit);
  }
}

void measure_fault(bench::Report& report, bool quick) {
  void* forbidden =
      ::mmap(nullptr, tideline::kPageSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(forbidden != MAP_FAILED);
  std::byte byte{};
  const auto* bad = static_cast<const std::byte*>(forbidden);
  const int count = quick ? 2000 : 20000;
  report.figure("a fault: guarded copy", time_move(by_guarded, &byte, bad, 1, count), "ns",
                "process_vm_readv", time_move(by_process_vm, &byte, bad, 1, count));
  ::munmap(forbidden, tideline::kPageSize);
}

}  // namespace

void measure_copies(bench::Report& report, bool quick) {
  CHECK(install_fault_handlers());
  const auto memory = tideline::Mapping::anonymous_shared(std::size_t{4} << 20).value();
  std::memset(memory.data(), 1, memory.size());
  std::byte* to = memory.data();
  const std::byte* from = memory.data() + memory.size() / 2;

  std::vector<Contender> routines{
      {"memcpy", by_memcpy, {}}, {"16 B stores", by_sse, {}}, {"rep movsb", by_string, {}}};
  if (__builtin_cpu_supports("avx")) routines.push_back({"32 B stores", by_avx, {}});
  for (const std::size_t size : {8U, 64U, 256U, 1024U, 4096U, 65536U}) {
    compare(report, routines, size, to, from, quick);
  }
  const std::vector<Contender> guards{{"memcpy", by_memcpy, {}},
                                      {"fix-up table", by_guarded, {}},
                                      {"sigsetjmp", by_sigsetjmp, {}},
                                      {"sigsetjmp, mask saved", by_sigsetjmp_with_mask, {}},
                                      {"process_vm_readv of oneself", by_process_vm, {}},
                                      {"MADV_POPULATE, then memcpy", by_populate, {}}};
  for (const std::size_t size : {8U, 65536U}) compare(report, guards, size, to, from, quick);
  measure_fault(report, quick);
}

}  // namespace proofs::placement
