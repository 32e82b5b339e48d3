// SPDX-License-Identifier: Apache-2.0
#include "proofs/placement/direct_path.h"

#include <sys/uio.h>

#include <array>
#include <cerrno>

#include "base/guarded_copy.h"

namespace proofs::placement {

using tideline::CopyResult;
using tideline::fault_side;
using tideline::FaultSide;
using tideline::guarded_copy;

namespace {

Outcome copy_outcome(const CopyResult& result, const void* destination, const void* source,
                     std::size_t size, FaultSide local) {
  const FaultSide side = fault_side(result, destination, source, size);
  if (side == FaultSide::kNone) return Outcome::kPlaced;
  return side == local ? Outcome::kLocalFault : Outcome::kRemoteFault;
}

// Of a call that moved `done` bytes (or -1) where it should have moved more. The kernel says EFAULT
// for either side, so ask our own memory.
Outcome process_vm_outcome(ssize_t done, int error, const CopyResult& local_probe) {
  if (done < 0 && error == EPERM) return Outcome::kNotPermitted;
  if (done < 0 && error == ESRCH) return Outcome::kTargetGone;
  return local_probe.copied == 1 ? Outcome::kRemoteFault : Outcome::kLocalFault;
}

}  // namespace

Outcome write_process_vm(pid_t pid, std::uint64_t address, const void* source, std::size_t size,
                         LastByte last_byte) {
  if (size == 0) return Outcome::kPlaced;
  const iovec local{const_cast<void*>(source), size};
  const std::size_t alone = last_byte == LastByte::kAlone && size > 1 ? 1 : 0;
  const std::array<iovec, 2> remote{{
      {reinterpret_cast<void*>(address), size - alone},      // NOLINT(performance-no-int-to-ptr)
      {reinterpret_cast<void*>(address + size - 1), alone},  // NOLINT(performance-no-int-to-ptr)
  }};
  const ssize_t done = ::process_vm_writev(pid, &local, 1, remote.data(), 1 + alone, 0);
  if (done == static_cast<ssize_t>(size)) return Outcome::kPlaced;
  const int error = errno;
  std::byte byte{};
  const auto* next = static_cast<const std::byte*>(source) + (done < 0 ? 0 : done);
  return process_vm_outcome(done, error, guarded_copy(&byte, next, 1));
}

Outcome read_process_vm(pid_t pid, std::uint64_t address, void* destination, std::size_t size) {
  if (size == 0) return Outcome::kPlaced;
  const iovec local{destination, size};
  const iovec remote{reinterpret_cast<void*>(address), size};  // NOLINT(performance-no-int-to-ptr)
  const ssize_t done = ::process_vm_readv(pid, &local, 1, &remote, 1, 0);
  if (done == static_cast<ssize_t>(size)) return Outcome::kPlaced;
  const int error = errno;
  const std::byte byte{};
  auto* next = static_cast<std::byte*>(destination) + (done < 0 ? 0 : done);
  return process_vm_outcome(done, error, guarded_copy(next, &byte, 1));
}

bool DirectPath::probe() {
  std::uint64_t nonce = 0;
  const RegionTableHeader* header = table_.header();
  process_vm_works_ =
      read_process_vm(pid_, header->nonce_address, &nonce, sizeof(nonce)) == Outcome::kPlaced &&
      nonce == header->nonce;
  return process_vm_works_;
}

DirectPath::Place DirectPath::begin(const Request& request) {
  in_flight_->begin(request.rkey);  // announce, then look: see region_table.h
  Place place{.outcome = Outcome::kTargetGone, .way = Way::kProcessVm, .mapped = nullptr};
  // Also keeps process_vm_writev from a process that has called exec, or has the pid of a dead one.
  if (!table_.owner_lives()) return place;
  Region region;
  place.outcome = table_.check(request, &region);
  if (place.outcome != Outcome::kPlaced) return place;
  if (region.backing == kPlainMemory) {
    if (!process_vm_works_) place.outcome = Outcome::kNotPermitted;
    return place;
  }
  place.way = Way::kSharedMapping;
  const std::uint64_t into_region = request.address - region.base;
  // The target's claims about its memfd may be wrong.
  if (region.backing >= memories_.size() ||
      region.backing_offset > memories_[region.backing].size() ||
      into_region > memories_[region.backing].size() - region.backing_offset ||
      request.length > memories_[region.backing].size() - region.backing_offset - into_region) {
    place.outcome = Outcome::kOutOfBounds;
    return place;
  }
  place.mapped = memories_[region.backing].data() + region.backing_offset + into_region;
  return place;
}

Outcome DirectPath::end(Outcome outcome) {
  in_flight_->end();
  // A dead target's memfd takes writes as before, but its peer must not see success; and after an
  // exec the fault is that of another program's memory.
  const bool touched = outcome == Outcome::kPlaced || outcome == Outcome::kRemoteFault;
  if (touched && !table_.owner_lives()) outcome = Outcome::kTargetGone;
  ++counts_[static_cast<std::size_t>(outcome)];
  return outcome;
}

Outcome DirectPath::write(const Request& request, const void* source) {
  const Place place = begin(request);
  if (place.outcome != Outcome::kPlaced) return end(place.outcome);
  if (place.way == Way::kProcessVm) {
    return end(write_process_vm(pid_, request.address, source, request.length, LastByte::kAlone));
  }
  const CopyResult result = guarded_copy(place.mapped, source, request.length);
  return end(copy_outcome(result, place.mapped, source, request.length, FaultSide::kSource));
}

Outcome DirectPath::read(const Request& request, void* destination) {
  const Place place = begin(request);
  if (place.outcome != Outcome::kPlaced) return end(place.outcome);
  if (place.way == Way::kProcessVm) {
    return end(read_process_vm(pid_, request.address, destination, request.length));
  }
  const CopyResult result = guarded_copy(destination, place.mapped, request.length);
  return end(
      copy_outcome(result, destination, place.mapped, request.length, FaultSide::kDestination));
}

}  // namespace proofs::placement
