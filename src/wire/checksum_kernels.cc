// SPDX-License-Identifier: Apache-2.0
#include "wire/checksum_kernels.h"

#include <immintrin.h>

#include "base/check.h"

namespace tideline::wire {
namespace {

// A lane of 64 bits holds two halves of 32. `whole` sums lanes and wraps, `high` sums upper halves
// exactly; the lower halves are then whole - (high << 32), for their true sum is below 2^64. That
// is three instructions per vector where masking both halves takes four.
struct Lanes {
  std::uint64_t whole;
  std::uint64_t high;

  std::uint64_t sum() const { return (whole - (high << 32)) + high; }
};

// The copying kernels differ from the summing ones by their stores only.
constexpr bool kCopy = true;

template <bool copy>
std::uint64_t scalar(const std::byte* from, [[maybe_unused]] std::byte* to, std::size_t size) {
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  for (; size >= 16; from += 16, size -= 16) {
    const std::uint64_t first = internal::load_as<std::uint64_t>(from);
    const std::uint64_t second = internal::load_as<std::uint64_t>(from + 8);
    if constexpr (copy) {
      std::memcpy(to, &first, 8);
      std::memcpy(to + 8, &second, 8);
      to += 16;
    }
    a += (first & 0xffffffff) + (first >> 32);
    b += (second & 0xffffffff) + (second >> 32);
  }
  // No call to memcpy for nothing: `to` may be null when there is nothing to copy.
  if constexpr (copy) {
    if (size != 0) std::memcpy(to, from, size);
  }
  return a + b + sum_short(from, size);
}

template <bool copy>
[[gnu::target("avx2")]] std::uint64_t avx2(const std::byte* from, std::byte* to, std::size_t size) {
  constexpr std::size_t kStep = 4 * sizeof(__m256i);
  __m256i whole0 = _mm256_setzero_si256();
  __m256i whole1 = whole0;
  __m256i high0 = whole0;
  __m256i high1 = whole0;
  for (; size >= kStep; from += kStep, size -= kStep) {
    const auto* source = reinterpret_cast<const __m256i*>(from);
    const __m256i a = _mm256_loadu_si256(source);
    const __m256i b = _mm256_loadu_si256(source + 1);
    const __m256i c = _mm256_loadu_si256(source + 2);
    const __m256i d = _mm256_loadu_si256(source + 3);
    if constexpr (copy) {
      auto* target = reinterpret_cast<__m256i*>(to);
      _mm256_storeu_si256(target, a);
      _mm256_storeu_si256(target + 1, b);
      _mm256_storeu_si256(target + 2, c);
      _mm256_storeu_si256(target + 3, d);
      to += kStep;
    }
    whole0 = _mm256_add_epi64(whole0, _mm256_add_epi64(a, b));
    whole1 = _mm256_add_epi64(whole1, _mm256_add_epi64(c, d));
    high0 = _mm256_add_epi64(high0,
                             _mm256_add_epi64(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32)));
    high1 = _mm256_add_epi64(high1,
                             _mm256_add_epi64(_mm256_srli_epi64(c, 32), _mm256_srli_epi64(d, 32)));
  }
  alignas(32) std::array<std::uint64_t, 4> whole;
  alignas(32) std::array<std::uint64_t, 4> high;
  _mm256_store_si256(reinterpret_cast<__m256i*>(whole.data()), _mm256_add_epi64(whole0, whole1));
  _mm256_store_si256(reinterpret_cast<__m256i*>(high.data()), _mm256_add_epi64(high0, high1));
  std::uint64_t sum = scalar<copy>(from, to, size);
  for (std::size_t i = 0; i < whole.size(); ++i) sum += Lanes{whole[i], high[i]}.sum();
  return sum;
}

// The shift under a full mask: g++ 12 warns about the undefined vector inside _mm512_srli_epi64.
[[gnu::target("avx512f,avx512bw"), gnu::always_inline]] inline __m512i upper_halves(__m512i lanes) {
  return _mm512_maskz_srli_epi64(0xff, lanes, 32);
}

template <bool copy>
[[gnu::target("avx512f,avx512bw")]] std::uint64_t avx512(const std::byte* from, std::byte* to,
                                                         std::size_t size) {
  constexpr std::size_t kStep = 4 * sizeof(__m512i);
  __m512i whole0 = _mm512_setzero_si512();
  __m512i whole1 = whole0;
  __m512i high0 = whole0;
  __m512i high1 = whole0;
  for (; size >= kStep; from += kStep, size -= kStep) {
    const __m512i a = _mm512_loadu_si512(from);
    const __m512i b = _mm512_loadu_si512(from + 64);
    const __m512i c = _mm512_loadu_si512(from + 128);
    const __m512i d = _mm512_loadu_si512(from + 192);
    if constexpr (copy) {
      _mm512_storeu_si512(to, a);
      _mm512_storeu_si512(to + 64, b);
      _mm512_storeu_si512(to + 128, c);
      _mm512_storeu_si512(to + 192, d);
      to += kStep;
    }
    whole0 = _mm512_add_epi64(whole0, _mm512_add_epi64(a, b));
    whole1 = _mm512_add_epi64(whole1, _mm512_add_epi64(c, d));
    high0 = _mm512_add_epi64(high0, _mm512_add_epi64(upper_halves(a), upper_halves(b)));
    high1 = _mm512_add_epi64(high1, _mm512_add_epi64(upper_halves(c), upper_halves(d)));
  }
  // The rest under a mask: bytes that are not there read as zero and are not written.
  while (size > 0) {
    const std::size_t part = size < 64 ? size : 64;
    const __mmask64 mask = ~__mmask64{0} >> (64 - part);
    const __m512i a = _mm512_maskz_loadu_epi8(mask, from);
    if constexpr (copy) {
      _mm512_mask_storeu_epi8(to, mask, a);
      to += part;
    }
    whole0 = _mm512_add_epi64(whole0, a);
    high0 = _mm512_add_epi64(high0, upper_halves(a));
    from += part;
    size -= part;
  }
  alignas(64) std::array<std::uint64_t, 8> whole;
  alignas(64) std::array<std::uint64_t, 8> high;
  _mm512_store_si512(whole.data(), _mm512_add_epi64(whole0, whole1));
  _mm512_store_si512(high.data(), _mm512_add_epi64(high0, high1));
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) sum += Lanes{whole[i], high[i]}.sum();
  return sum;
}

template <auto kernel>
std::uint64_t sum_only(const std::byte* from, std::size_t size) {
  return kernel(from, nullptr, size);
}

bool always() { return true; }

bool has_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") != 0;
}

bool has_avx512() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0;
}

std::uint64_t choose_and_sum(const std::byte* from, std::size_t size) {
  const SumKernel best = best_checksum_kernel().sum;
  internal::sum_kernel.store(best, std::memory_order_relaxed);
  return best(from, size);
}

std::uint64_t choose_and_copy_sum(const std::byte* from, std::byte* to, std::size_t size) {
  const CopySumKernel best = best_checksum_kernel().copy_sum;
  internal::copy_sum_kernel.store(best, std::memory_order_relaxed);
  return best(from, to, size);
}

}  // namespace

constexpr std::array<ChecksumKernel, 3> kChecksumKernels{{
    {"scalar", always, sum_only<scalar<!kCopy>>, scalar<kCopy>},
    {"avx2", has_avx2, sum_only<avx2<!kCopy>>, avx2<kCopy>},
    {"avx512", has_avx512, sum_only<avx512<!kCopy>>, avx512<kCopy>},
}};

const ChecksumKernel& best_checksum_kernel() {
  const ChecksumKernel* best = kChecksumKernels.data();
  for (const ChecksumKernel& kernel : kChecksumKernels) {
    if (kernel.supported()) best = &kernel;
  }
  return *best;
}

constinit std::atomic<SumKernel> internal::sum_kernel = choose_and_sum;
constinit std::atomic<CopySumKernel> internal::copy_sum_kernel = choose_and_copy_sum;

}  // namespace tideline::wire
