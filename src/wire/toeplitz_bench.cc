// SPDX-License-Identifier: Apache-2.0
// The RSS hash of a flow, beside the definition's own loop over bits.
#include "wire/toeplitz.h"

#include <benchmark/benchmark.h>

namespace tideline::wire {
namespace {

// Words of input: addresses and ports.
constexpr int kIpv4 = 2;
constexpr int kIpv6 = 5;

std::uint32_t naive(const RssKey& key, Toeplitz::Words words) {
  std::uint32_t hash = 0;
  std::uint32_t window = std::uint32_t{key[0]} << 24 | std::uint32_t{key[1]} << 16 |
                         std::uint32_t{key[2]} << 8 | key[3];
  for (std::size_t i = 0; i < 64 * words.size(); ++i) {
    if ((words[i / 64] >> (63 - i % 64) & 1) != 0) hash ^= window;
    const unsigned next = i / 8 + 4 < key.size() ? key[i / 8 + 4] : 0;
    window = window << 1 | (next >> (7 - i % 8) & 1);
  }
  return hash;
}

template <typename Hash>
void measure(benchmark::State& state, const Hash& hash) {
  std::array<std::uint64_t, Toeplitz::kMaxWords> words{1, 2, 3, 4, 5};
  const auto input = Toeplitz::Words(words).first(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    // The next input depends on this hash: latency, as at ingress where the queue depends on it.
    words[0] = hash(input);
    benchmark::ClobberMemory();
  }
}

void toeplitz_naive(benchmark::State& state) {
  measure(state, [](Toeplitz::Words words) { return naive(kMicrosoftRssKey, words); });
}
void toeplitz_table(benchmark::State& state) {
  const Toeplitz toeplitz(kMicrosoftRssKey);
  measure(state, [&](Toeplitz::Words words) { return toeplitz.hash_by_table(words); });
}
void toeplitz_multiply(benchmark::State& state) {
  if (!Toeplitz::has_carryless_multiply()) {
    state.SkipWithError("no carry-less multiplication");
    return;
  }
  const Toeplitz toeplitz(kMicrosoftRssKey);
  measure(state, [&](Toeplitz::Words words) { return toeplitz.hash_by_multiply(words); });
}
BENCHMARK(toeplitz_naive)->Arg(kIpv4)->Arg(kIpv6);
BENCHMARK(toeplitz_table)->Arg(kIpv4)->Arg(kIpv6);
BENCHMARK(toeplitz_multiply)->Arg(kIpv4)->Arg(kIpv6);

// Through the interface, from addresses and ports.
void toeplitz_of_ipv4_flow(benchmark::State& state) {
  const Toeplitz toeplitz(kMicrosoftRssKey);
  std::uint16_t port = 1;
  for (auto _ : state) {
    port = static_cast<std::uint16_t>(
        toeplitz.hash(Ipv4Address(192, 0, 2, 1), Ipv4Address(192, 0, 2, 2), port, 80));
    benchmark::DoNotOptimize(port);
  }
}
void toeplitz_of_ipv6_flow(benchmark::State& state) {
  const Toeplitz toeplitz(kMicrosoftRssKey);
  const Ipv6Address source(0x20010db800000000, 1);
  const Ipv6Address destination(0x20010db800000000, 2);
  std::uint16_t port = 1;
  for (auto _ : state) {
    port = static_cast<std::uint16_t>(toeplitz.hash(source, destination, port, 80));
    benchmark::DoNotOptimize(port);
  }
}
BENCHMARK(toeplitz_of_ipv4_flow);
BENCHMARK(toeplitz_of_ipv6_flow);

}  // namespace
}  // namespace tideline::wire
