// SPDX-License-Identifier: Apache-2.0
#include "wire/toeplitz.h"

#include <immintrin.h>

#include "base/check.h"

namespace tideline::wire {
namespace {

// 32 key bits from bit `first` on, the first in the highest place; zeros behind the key.
std::uint32_t key_bits(const RssKey& key, std::size_t first) {
  std::uint64_t bits = 0;
  for (std::size_t i = first / 8; i < first / 8 + 5; ++i) {
    bits = bits << 8 | (i < key.size() ? key[i] : 0U);
  }
  return static_cast<std::uint32_t>(bits >> (8 - first % 8));
}

constexpr std::uint32_t reverse_bits(std::uint32_t value) {
  value = (value >> 1 & 0x55555555) | (value & 0x55555555) << 1;
  value = (value >> 2 & 0x33333333) | (value & 0x33333333) << 2;
  value = (value >> 4 & 0x0f0f0f0f) | (value & 0x0f0f0f0f) << 4;
  return std::byteswap(value);
}

}  // namespace

Toeplitz::Toeplitz(const RssKey& key) {
  for (std::size_t word = 0; word < kMaxWords; ++word) {
    const std::size_t first = 64 * word;
    windows_[word] = {
        .low = std::uint64_t{reverse_bits(key_bits(key, first))} |
               std::uint64_t{reverse_bits(key_bits(key, first + 32))} << 32,
        .high = reverse_bits(key_bits(key, first + 64)),
    };
  }
  for (std::size_t place = 0; place < table_.size(); ++place) {
    for (unsigned value = 0; value < 16; ++value) {
      std::uint32_t hash = 0;
      for (unsigned bit = 0; bit < 4; ++bit) {
        if ((value >> (3 - bit) & 1) != 0) hash ^= key_bits(key, 4 * place + bit);
      }
      table_[place][value] = hash;
    }
  }
  hash_ = has_carryless_multiply()
              ? [](const Toeplitz& self, Words words) { return self.hash_by_multiply(words); }
              : [](const Toeplitz& self, Words words) { return self.hash_by_table(words); };
}

bool Toeplitz::has_carryless_multiply() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("pclmul") != 0;
}

// Bit b of the hash is the sum over i of x[i] k[i + b] in GF(2). With input bit i as the
// coefficient of t^(63 - i) and key bit j as that of t^j, that sum is the coefficient of t^(63 + b)
// in the product of the two polynomials. So a word of input costs two carry-less multiplications.
[[gnu::target("pclmul,sse2")]] std::uint32_t Toeplitz::hash_by_multiply(Words words) const {
  CHECK(words.size() <= kMaxWords, "{} words to hash", words.size());
  __m128i low = _mm_setzero_si128();
  __m128i high = _mm_setzero_si128();
  for (std::size_t i = 0; i < words.size(); ++i) {
    const __m128i word = _mm_cvtsi64_si128(static_cast<long long>(words[i]));
    const __m128i key = _mm_loadu_si128(reinterpret_cast<const __m128i*>(&windows_[i]));
    low = _mm_xor_si128(low, _mm_clmulepi64_si128(word, key, 0x00));
    high = _mm_xor_si128(high, _mm_clmulepi64_si128(word, key, 0x10));
  }
  // Coefficients 63 to 94; `high` counts from 64.
  const auto low0 = static_cast<std::uint64_t>(_mm_cvtsi128_si64(low));
  const auto low1 = static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_unpackhi_epi64(low, low)));
  const auto high0 = static_cast<std::uint64_t>(_mm_cvtsi128_si64(high));
  return reverse_bits(static_cast<std::uint32_t>(low0 >> 63 | (low1 ^ high0) << 1));
}

std::uint32_t Toeplitz::hash_by_table(Words words) const {
  CHECK(words.size() <= kMaxWords, "{} words to hash", words.size());
  std::uint32_t hash = 0;
  for (std::size_t i = 0; i < 16 * words.size(); ++i) {
    hash ^= table_[i][words[i / 16] >> (60 - 4 * (i % 16)) & 15];
  }
  return hash;
}

}  // namespace tideline::wire
