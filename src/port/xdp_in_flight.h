// SPDX-License-Identifier: Apache-2.0
// Frames that the kernel sends straight from a pool's memory: a frame leaves as one descriptor per
// segment, the kernel gives their addresses back in any order, and with the last of a frame its
// segments return to their pool. Thread: the queue's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "packet/packet.h"

namespace tideline::port {

class XdpInFlight {
 public:
  // Addresses are offsets in a memory of `chunks` times packet::kSegmentSize bytes.
  XdpInFlight(std::size_t chunks, std::size_t descriptors);
  XdpInFlight(const XdpInFlight&) = delete;
  XdpInFlight& operator=(const XdpInFlight&) = delete;
  // Frees what is left.
  ~XdpInFlight();

  // How many descriptors may still be added.
  std::size_t room() const { return free_.size(); }
  // `addresses`: one per descriptor, at least one, at most room().
  void add(packet::PacketPtr frame, std::span<const std::uint64_t> addresses);
  // The kernel is done with a descriptor. False if there is none with this address.
  bool complete(std::uint64_t address);

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  struct Descriptor {
    std::uint64_t address = 0;
    std::uint32_t next = kNone;   // in the same chunk: a packet may be lent to several frames
    std::uint32_t first = kNone;  // of the frame: it keeps the frame and the count
    std::uint32_t left = 0;
    packet::PacketPtr frame;
  };

  std::uint32_t unlink(std::uint64_t address);

  std::vector<std::uint32_t> chunks_;  // the chunk's descriptors in flight
  std::vector<Descriptor> descriptors_;
  std::vector<std::uint32_t> free_;  // full size at start
};

}  // namespace tideline::port
