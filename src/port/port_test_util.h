// SPDX-License-Identifier: Apache-2.0
// What the tests of ports share: test frames, and waiting for frames with a limit.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "packet/copy.h"
#include "port/port.h"

namespace tideline::port::testing {

// Test frames: two addresses, an EtherType for experiments (IEEE 802), a sequence number, and bytes
// that follow from it. The kernel's own frames, which some wires carry too, differ in the type.
inline constexpr std::size_t kTestHeader = kEthernetHeader + 4;

inline std::unique_ptr<Pool> make_pool(std::size_t segments = 4096, std::size_t loans = 256) {
  auto pool = Pool::create({.segments = segments, .loans = loans, .huge_pages = false});
  EXPECT_TRUE(pool.has_value()) << pool.error().message();
  return std::move(*pool);
}

inline std::vector<std::byte> frame_bytes(std::size_t size, std::uint32_t sequence) {
  std::vector<std::byte> bytes(size);
  constexpr std::array<std::uint8_t, kEthernetHeader> kHeader{
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x77, 0x88, 0xb5};
  std::memcpy(bytes.data(), kHeader.data(), kHeader.size());
  std::memcpy(bytes.data() + kEthernetHeader, &sequence, sizeof(sequence));
  for (std::size_t i = kTestHeader; i < size; ++i) {
    bytes[i] = static_cast<std::byte>(std::size_t{sequence} * 31 + i);
  }
  return bytes;
}

inline PacketPtr make_frame(Pool& pool, std::size_t size, std::uint32_t sequence) {
  packet::PassCounter passes;
  // One segment wherever the size permits: a port without scatter/gather takes no more.
  const std::vector<std::byte> bytes = frame_bytes(size, sequence);
  PacketPtr frame = pool.get();
  if (frame == nullptr) return nullptr;
  if (std::byte* data = frame->append(size); data != nullptr) {
    std::memcpy(data, bytes.data(), size);
    return frame;
  }
  return packet::copy_of(bytes, pool, passes);
}

inline std::vector<std::byte> bytes_of(const Packet& frame) {
  packet::PassCounter passes;
  std::vector<std::byte> bytes(frame.size());
  packet::copy_out(frame, 0, bytes, passes);
  return bytes;
}

inline bool is_test_frame(const std::vector<std::byte>& bytes) {
  return bytes.size() >= kTestHeader && bytes[12] == std::byte{0x88} &&
         bytes[13] == std::byte{0xb5};
}

inline std::uint32_t sequence_of(const std::vector<std::byte>& bytes) {
  std::uint32_t sequence = 0;
  std::memcpy(&sequence, bytes.data() + kEthernetHeader, sizeof(sequence));
  return sequence;
}

// Receives until `done(frame)` is true, sleeping on the descriptor as a worker does. False if it is
// not within the limit.
template <typename Done>
bool receive_until(Port& port, unsigned queue, Done&& done,
                   Duration limit = std::chrono::seconds(3)) {
  const Instant give_up = monotonic_now() + limit;
  Burst burst;
  while (monotonic_now() < give_up) {
    if (port.rx_burst(queue, burst, monotonic_now()) == 0) {
      port.arm(queue);
      if (port.rx_burst(queue, burst, monotonic_now()) == 0) {
        pollfd wait{.fd = port.fd(queue), .events = POLLIN};
        ::poll(&wait, 1, 20);
      }
      port.disarm(queue);
    }
    for (PacketPtr& frame : burst) {
      if (done(*frame)) return true;
    }
    burst.clear();
  }
  return false;
}

// The next `count` test frames, or as many as come.
inline std::vector<std::vector<std::byte>> receive_frames(
    Port& port, std::size_t count, Duration limit = std::chrono::seconds(3)) {
  std::vector<std::vector<std::byte>> frames;
  if (count == 0) return frames;
  receive_until(
      port, 0,
      [&](const Packet& frame) {
        auto bytes = bytes_of(frame);
        if (is_test_frame(bytes)) frames.push_back(std::move(bytes));
        return frames.size() == count;
      },
      limit);
  return frames;
}

// All test frames that come until none has come for a while.
inline std::vector<std::vector<std::byte>> receive_all(Port& port) {
  std::vector<std::vector<std::byte>> frames;
  const auto collect = [&](const Packet& frame) {
    auto bytes = bytes_of(frame);
    if (is_test_frame(bytes)) frames.push_back(std::move(bytes));
    return false;
  };
  for (std::size_t before = 0;; before = frames.size()) {
    receive_until(port, 0, collect, std::chrono::milliseconds(100));
    if (frames.size() == before) return frames;
  }
}

}  // namespace tideline::port::testing
