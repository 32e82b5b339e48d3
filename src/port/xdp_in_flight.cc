// SPDX-License-Identifier: Apache-2.0
#include "port/xdp_in_flight.h"

#include <utility>

#include "base/check.h"
#include "packet/pool.h"

namespace tideline::port {

XdpInFlight::XdpInFlight(std::size_t chunks, std::size_t descriptors)
    : chunks_(chunks, kNone), descriptors_(descriptors), free_(descriptors) {
  for (std::size_t i = 0; i < descriptors; ++i) free_[i] = static_cast<std::uint32_t>(i);
}

XdpInFlight::~XdpInFlight() = default;

void XdpInFlight::add(packet::PacketPtr frame, std::span<const std::uint64_t> addresses) {
  CHECK(!addresses.empty() && addresses.size() <= free_.size(), "{} of {}", addresses.size(),
        free_.size());
  const std::uint32_t first = free_.back();
  descriptors_[first].frame = std::move(frame);
  descriptors_[first].left = static_cast<std::uint32_t>(addresses.size());
  for (const std::uint64_t address : addresses) {
    const std::uint32_t index = free_.back();
    free_.pop_back();
    Descriptor& descriptor = descriptors_[index];
    descriptor.address = address;
    descriptor.first = first;
    descriptor.next = std::exchange(chunks_[address / packet::kSegmentSize], index);
  }
}

bool XdpInFlight::complete(std::uint64_t address) {
  const std::uint32_t index = unlink(address);
  if (index == kNone) return false;
  const std::uint32_t first = descriptors_[index].first;
  // The first stays until the frame is done, for it keeps it.
  if (index != first) free_.push_back(index);
  if (--descriptors_[first].left == 0) {
    descriptors_[first].frame.reset();
    free_.push_back(first);
  }
  return true;
}

// Takes a descriptor out of its chunk's list, which is rarely longer than one.
std::uint32_t XdpInFlight::unlink(std::uint64_t address) {
  if (address / packet::kSegmentSize >= chunks_.size()) return kNone;
  std::uint32_t* link = &chunks_[address / packet::kSegmentSize];
  while (*link != kNone && descriptors_[*link].address != address) {
    link = &descriptors_[*link].next;
  }
  if (*link == kNone) return kNone;
  const std::uint32_t index = *link;
  *link = descriptors_[index].next;
  return index;
}

}  // namespace tideline::port
