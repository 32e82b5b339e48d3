// SPDX-License-Identifier: Apache-2.0
// The Internet checksum, alone and while copying, in bytes per tick of the TSC: every kernel that
// this processor has, beside RFC 1071's own loop and beside a copy followed by a sum.
#include <benchmark/benchmark.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/clock.h"
#include "wire/checksum.h"
#include "wire/view.h"

namespace tideline::wire {
namespace {

constexpr std::array kSizes{64, 256, 1460, 9000, 65536};

// RFC 1071 §4.1.
std::uint64_t naive_sum(const std::byte* from, std::size_t size) {
  std::uint32_t sum = 0;
  for (; size > 1; from += 2, size -= 2) {
    sum += static_cast<std::uint32_t>(internal::load_as<std::uint16_t>(from));
    if ((sum & 0x80000000) != 0) sum = (sum & 0xffff) + (sum >> 16);
  }
  if (size > 0) sum += std::to_integer<std::uint32_t>(*from);
  return sum;
}

std::uint64_t copy_then_sum(const std::byte* from, std::byte* to, std::size_t size) {
  std::memcpy(to, from, size);
  return best_checksum_kernel().sum(to, size);
}

std::uint64_t only_copy(const std::byte* from, std::byte* to, std::size_t size) {
  std::memcpy(to, from, size);
  return 0;
}

template <typename Run>
void measure(benchmark::State& state, const Run& run) {
  const auto size = static_cast<std::size_t>(state.range(0));
  std::vector<std::byte> from(size, std::byte{0x5a});
  std::vector<std::byte> to(size);
  const std::uint64_t start = tsc_now();
  for (auto _ : state) {
    benchmark::DoNotOptimize(run(from.data(), to.data(), size));
    benchmark::ClobberMemory();
  }
  const auto ticks = static_cast<double>(tsc_now() - start);
  const auto bytes = static_cast<double>(state.iterations()) * static_cast<double>(size);
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
  state.counters["bytes/tick"] = bytes / ticks;
}

void register_sum(const std::string& name, SumKernel kernel) {
  auto* bench =
      benchmark::RegisterBenchmark(("Checksum/" + name).c_str(), [kernel](benchmark::State& state) {
        measure(state, [kernel](const std::byte* from, std::byte*, std::size_t size) {
          return kernel(from, size);
        });
      });
  for (const int size : kSizes) bench->Arg(size);
}

void register_copy(const std::string& name, CopySumKernel kernel) {
  auto* bench =
      benchmark::RegisterBenchmark(("CopyChecksum/" + name).c_str(),
                                   [kernel](benchmark::State& state) { measure(state, kernel); });
  for (const int size : kSizes) bench->Arg(size);
}

const bool registered = [] {
  register_sum("naive", naive_sum);
  for (const ChecksumKernel& kernel : kChecksumKernels) {
    if (kernel.supported()) register_sum(std::string(kernel.name), kernel.sum);
  }
  register_copy("memcpy_alone", only_copy);
  register_copy("memcpy_then_sum", copy_then_sum);
  for (const ChecksumKernel& kernel : kChecksumKernels) {
    if (kernel.supported()) register_copy(std::string(kernel.name), kernel.copy_sum);
  }
  return true;
}();

// What a header costs: 20 bytes, in place, through the interface that protocols use.
void checksum_of_ipv4_header(benchmark::State& state) {
  const std::array<std::byte, 20> header{};
  for (auto _ : state) benchmark::DoNotOptimize(checksum(header));
}
BENCHMARK(checksum_of_ipv4_header);

}  // namespace
}  // namespace tideline::wire
