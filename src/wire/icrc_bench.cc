// SPDX-License-Identifier: Apache-2.0
// The CRC of the ICRC: the kernel with tables, and the one that multiplies without carries.
#include <benchmark/benchmark.h>

#include <vector>

#include "wire/icrc.h"

namespace tideline::wire {
namespace {

using Kernel = std::uint32_t (*)(std::uint32_t, Bytes);

void measure(benchmark::State& state, Kernel kernel) {
  const std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)), std::byte{0x5a});
  std::uint32_t crc = 0;
  for (auto _ : state) benchmark::DoNotOptimize(crc = kernel(crc, bytes));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void crc32_scalar(benchmark::State& state) { measure(state, internal::crc32_scalar); }
void crc32_pclmul(benchmark::State& state) {
  if (!internal::has_pclmul()) {
    state.SkipWithError("this processor has no PCLMULQDQ");
    return;
  }
  measure(state, internal::crc32_pclmul);
}
BENCHMARK(crc32_scalar)->Arg(64)->Arg(1024)->Arg(4096);
BENCHMARK(crc32_pclmul)->Arg(64)->Arg(1024)->Arg(4096);

}  // namespace
}  // namespace tideline::wire
