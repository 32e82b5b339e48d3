// SPDX-License-Identifier: Apache-2.0
// Parsing a frame at ingress, beside a parser that trusts its input: it reads the same fields and
// checks nothing.
#include "wire/packet_layout.h"

#include <benchmark/benchmark.h>

#include <cstring>

#include "wire/protocol.h"
#include "wire/test_bytes.h"
#include "wire/test_packets.h"

namespace tideline::wire {
namespace {

// As a trusting program does it: offsets of TCP over IPv4, and its header's fields.
struct TrustedTcp {
  std::size_t l4;
  std::size_t payload;
  std::size_t end;
  std::uint32_t sequence_number;
  std::uint32_t acknowledgment_number;
};

template <typename T>
T load(Bytes frame, std::size_t at) {
  T value;
  std::memcpy(&value, frame.data() + at, sizeof(T));
  return std::byteswap(value);
}

TrustedTcp parse_trusting(Bytes frame) {
  const std::size_t l4 = 14 + std::size_t{4} * (load<std::uint8_t>(frame, 14) & 15U);
  return {.l4 = l4,
          .payload = l4 + std::size_t{4} * (load<std::uint8_t>(frame, l4 + 12) >> 4),
          .end = 14U + load<std::uint16_t>(frame, 16),
          .sequence_number = load<std::uint32_t>(frame, l4 + 4),
          .acknowledgment_number = load<std::uint32_t>(frame, l4 + 8)};
}

template <typename Parse>
void measure(benchmark::State& state, const packets::Sample& sample, const Parse& parse) {
  ByteVector frame = from_hex(sample.hex);
  for (auto _ : state) {
    benchmark::DoNotOptimize(frame.data());
    benchmark::ClobberMemory();
    auto parsed = parse(Bytes(frame));
    benchmark::DoNotOptimize(parsed);
  }
}

void naive_tcp4(benchmark::State& state) { measure(state, packets::kEthernetTcp4, parse_trusting); }
void layout_tcp4(benchmark::State& state) {
  measure(state, packets::kEthernetTcp4, [](Bytes frame) { return parse_layout(frame); });
}
void layout_tcp6(benchmark::State& state) {
  measure(state, packets::kEthernetTcp6, [](Bytes frame) { return parse_layout(frame); });
}
void layout_udp4(benchmark::State& state) {
  measure(state, packets::kEthernetPlain, [](Bytes frame) { return parse_layout(frame); });
}
void layout_and_tcp_with_timestamps(benchmark::State& state) {
  measure(state, packets::kEthernetTcp4, [](Bytes frame) {
    const auto layout = parse_layout(frame);
    return parse_tcp(layout->l4_bytes(frame));
  });
}
void layout_and_tcp_syn(benchmark::State& state) {
  measure(state, packets::kEthernetTcp4Syn, [](Bytes frame) {
    const auto layout = parse_layout(frame);
    return parse_tcp(layout->l4_bytes(frame));
  });
}
BENCHMARK(naive_tcp4);
BENCHMARK(layout_tcp4);
BENCHMARK(layout_tcp6);
BENCHMARK(layout_udp4);
BENCHMARK(layout_and_tcp_with_timestamps);
BENCHMARK(layout_and_tcp_syn);

}  // namespace
}  // namespace tideline::wire
