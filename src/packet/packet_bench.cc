// SPDX-License-Identifier: Apache-2.0
// What a packet costs to get and to put, single and in bursts, beside malloc and free of the same
// size and std::make_shared; and what it costs when another thread frees it.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdlib>
#include <memory>

#include "base/check.h"
#include "packet/copy.h"
#include "packet/packet.h"
#include "packet/pool.h"

namespace tideline::packet {
namespace {

using Buffer = std::array<std::byte, kSegmentSize>;

std::unique_ptr<Pool> make_pool() {
  auto pool = Pool::create({.segments = 4096, .loans = 256});
  CHECK(pool.has_value(), "{}", pool.error().message());
  return std::move(*pool);
}

void pool_get_put(benchmark::State& state) {
  const auto pool = make_pool();
  for (auto _ : state) {
    PacketPtr packet = pool->get();
    benchmark::DoNotOptimize(packet.get());
  }
}
BENCHMARK(pool_get_put);

void malloc_free(benchmark::State& state) {
  for (auto _ : state) {
    void* buffer = std::malloc(kSegmentSize);
    benchmark::DoNotOptimize(buffer);
    std::free(buffer);
  }
}
BENCHMARK(malloc_free);

void make_shared_buffer(benchmark::State& state) {
  for (auto _ : state) {
    auto buffer = std::make_shared_for_overwrite<Buffer>();
    benchmark::DoNotOptimize(buffer.get());
  }
}
BENCHMARK(make_shared_buffer);

// Per packet: state's items.
void pool_burst(benchmark::State& state) {
  const auto pool = make_pool();
  std::array<PacketPtr, Burst::kCapacity> packets;
  for (auto _ : state) {
    pool->get_burst(packets);
    for (PacketPtr& packet : packets) packet.reset();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(Burst::kCapacity));
}
BENCHMARK(pool_burst);

void malloc_burst(benchmark::State& state) {
  std::array<void*, Burst::kCapacity> buffers{};
  for (auto _ : state) {
    for (void*& buffer : buffers) {
      buffer = std::malloc(kSegmentSize);
      benchmark::DoNotOptimize(buffer);
    }
    for (void* buffer : buffers) std::free(buffer);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(Burst::kCapacity));
}
BENCHMARK(malloc_burst);

void make_shared_burst(benchmark::State& state) {
  std::array<std::shared_ptr<Buffer>, Burst::kCapacity> buffers;
  for (auto _ : state) {
    for (auto& buffer : buffers) buffer = std::make_shared_for_overwrite<Buffer>();
    for (auto& buffer : buffers) buffer.reset();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(Burst::kCapacity));
}
BENCHMARK(make_shared_burst);

// The way of a packet that died on another thread: into the ring, and home by reclaim().
void pool_foreign_put(benchmark::State& state) {
  const auto pool = make_pool();
  std::array<PacketPtr, Burst::kCapacity> packets;
  for (auto _ : state) {
    pool->get_burst(packets);
    pool->disown();
    for (PacketPtr& packet : packets) packet.reset();
    pool->adopt();
    pool->reclaim();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(Burst::kCapacity));
}
BENCHMARK(pool_foreign_put);

// A frame of 64 KiB: a chain of buffers, beside a header segment with one loan.
void chain_64k(benchmark::State& state) {
  const auto pool = make_pool();
  for (auto _ : state) {
    PacketPtr packet = pool->get_chain(65'536);
    benchmark::DoNotOptimize(packet.get());
  }
}
BENCHMARK(chain_64k);

void loan_64k(benchmark::State& state) {
  const auto pool = make_pool();
  const auto memory = std::make_unique<std::array<std::byte, 65'536>>();
  for (auto _ : state) {
    PacketPtr packet = pool->get();
    packet->append(54);
    packet->append(
        pool->lend({.memory = *memory, .release = [](void*, std::span<const std::byte>) {}}));
    benchmark::DoNotOptimize(packet.get());
  }
}
BENCHMARK(loan_64k);

}  // namespace
}  // namespace tideline::packet
