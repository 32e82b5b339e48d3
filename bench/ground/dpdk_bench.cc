// SPDX-License-Identifier: Apache-2.0
// DPDK's counterparts of the ground floor, as Debian ships them: rings, memory pools, checksum, RSS
// hash, packet types. Built where DPDK is installed; bench/ground/run holds tideline's figures
// against these.
#include <benchmark/benchmark.h>
#include <rte_eal.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_net.h>
#include <rte_ring.h>
#include <rte_thash.h>

#include <array>
#include <span>
#include <vector>

#include "ring/transfer_bench.h"
#include "wire/test_bytes.h"
#include "wire/test_packets.h"

namespace {

using tideline::ring::kCapacity;
using tideline::ring::kMaxBurst;

template <unsigned kFlags>
class Ring {
 public:
  ~Ring() { rte_ring_free(ring_); }
  std::size_t push(std::span<const std::uint64_t> items) {
    return rte_ring_enqueue_burst_elem(ring_, items.data(), sizeof(std::uint64_t),
                                       static_cast<unsigned>(items.size()), nullptr);
  }
  std::size_t pop(std::span<std::uint64_t> items) {
    return rte_ring_dequeue_burst_elem(ring_, items.data(), sizeof(std::uint64_t),
                                       static_cast<unsigned>(items.size()), nullptr);
  }

 private:
  rte_ring* ring_ =
      rte_ring_create_elem("bench", sizeof(std::uint64_t), kCapacity, SOCKET_ID_ANY, kFlags);
};

template <unsigned kFlags>
void transfer(benchmark::State& state) {
  tideline::ring::transfer<Ring<kFlags>>(state);
}
BENCHMARK(transfer<RING_F_SP_ENQ | RING_F_SC_DEQ>)
    ->Name("dpdk_transfer_spsc")
    ->ArgName("burst")
    ->Arg(1)
    ->Arg(kMaxBurst)
    ->UseRealTime();
BENCHMARK(transfer<0>)
    ->Name("dpdk_transfer_mpmc")
    ->ArgName("burst")
    ->Arg(1)
    ->Arg(kMaxBurst)
    ->UseRealTime();

rte_mempool* mbufs() {
  static rte_mempool* const pool =
      rte_pktmbuf_pool_create("mbufs", 4095, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  CHECK(pool != nullptr);
  return pool;
}

void dpdk_mbuf_alloc_free(benchmark::State& state) {
  rte_mempool* const pool = mbufs();
  for (auto _ : state) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool);
    benchmark::DoNotOptimize(mbuf);
    rte_pktmbuf_free(mbuf);
  }
}
BENCHMARK(dpdk_mbuf_alloc_free);

void dpdk_mbuf_burst(benchmark::State& state) {
  rte_mempool* const pool = mbufs();
  std::array<rte_mbuf*, kMaxBurst> burst{};
  for (auto _ : state) {
    CHECK(rte_pktmbuf_alloc_bulk(pool, burst.data(), kMaxBurst) == 0);
    benchmark::DoNotOptimize(burst.data());
    rte_pktmbuf_free_bulk(burst.data(), kMaxBurst);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kMaxBurst));
}
BENCHMARK(dpdk_mbuf_burst);

void dpdk_raw_cksum(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  const std::vector<std::byte> from(size, std::byte{0x5a});
  for (auto _ : state) {
    benchmark::DoNotOptimize(rte_raw_cksum(from.data(), size));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(size));
}
BENCHMARK(dpdk_raw_cksum)->Arg(64)->Arg(256)->Arg(1460)->Arg(9000)->Arg(65536);

// The next input depends on this hash, as in toeplitz_bench.cc.
void dpdk_softrss(benchmark::State& state) {
  const auto words = static_cast<std::uint32_t>(state.range(0));
  alignas(8) std::array<std::uint8_t, 40> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i * 37 + 1);
  std::array<std::uint32_t, 9> tuple{0xc0000201, 0xc0000202, 0x12345678};
  for (auto _ : state) tuple[0] = rte_softrss_be(tuple.data(), words, key.data());
  benchmark::DoNotOptimize(tuple[0]);
}
BENCHMARK(dpdk_softrss)->Arg(3)->Arg(9);

void dpdk_ptype(benchmark::State& state, const char* hex) {
  const auto frame = tideline::wire::from_hex(hex);
  rte_mbuf* const mbuf = rte_pktmbuf_alloc(mbufs());
  CHECK(mbuf != nullptr);
  char* const to = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(frame.size()));
  std::memcpy(to, frame.data(), frame.size());
  for (auto _ : state) {
    rte_net_hdr_lens lengths;
    benchmark::ClobberMemory();
    benchmark::DoNotOptimize(rte_net_get_ptype(mbuf, &lengths, RTE_PTYPE_ALL_MASK));
    benchmark::DoNotOptimize(lengths);
  }
  rte_pktmbuf_free(mbuf);
}
void dpdk_ptype_tcp4(benchmark::State& state) {
  dpdk_ptype(state, tideline::wire::packets::kEthernetTcp4.hex.data());
}
void dpdk_ptype_tcp6(benchmark::State& state) {
  dpdk_ptype(state, tideline::wire::packets::kEthernetTcp6.hex.data());
}
BENCHMARK(dpdk_ptype_tcp4);
BENCHMARK(dpdk_ptype_tcp6);

}  // namespace

int main(int argc, char** argv) {
  std::array<const char*, 10> eal{"dpdk_bench",        "--no-huge", "--no-pci", "--no-shconf",
                                  "--no-telemetry",    "-m",        "128",      "--lcores=0",
                                  "--log-level=error", nullptr};
  CHECK(rte_eal_init(9, const_cast<char**>(eal.data())) >= 0);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return rte_eal_cleanup() == 0 ? 0 : 1;
}
