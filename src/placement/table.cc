// SPDX-License-Identifier: Apache-2.0
#include "placement/table.h"

#include <sys/random.h>

#include <new>
#include <utility>

#include "base/check.h"
#include "base/memfd.h"

namespace tideline::placement {
namespace {

template <typename Value>
void write_entry(Entry<Value>& entry, const Value& value) {
  const std::uint32_t sequence = entry.sequence.load(std::memory_order_relaxed);
  entry.sequence.store(sequence + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  entry.value = value;
  entry.sequence.store(sequence + 2, std::memory_order_seq_cst);
}

constexpr rdma::Access kRemote =
    rdma::Access::kRemoteWrite | rdma::Access::kRemoteRead | rdma::Access::kRemoteAtomic;

bool takes_requests(rdma::QpState state) {
  return state == rdma::QpState::kRtr || state == rdma::QpState::kRts ||
         state == rdma::QpState::kSqd || state == rdma::QpState::kSqe;
}

}  // namespace

Result<std::unique_ptr<Table>> Table::create() {
  auto fd = create_memfd("tideline-placement", kTableSize, PageKind::kNormal);
  if (!fd) return fail(std::move(fd.error()));
  auto mapping = Mapping::map(fd->get(), kTableSize, Access::kReadWrite);
  if (!mapping) return fail(std::move(mapping.error()));
  if (Status sealed = seal_memfd(fd->get(), Sharing::kReadOnly); !sealed)
    return fail(sealed.error());
  auto* header = new (mapping->data()) Header{};
  if (::getrandom(&header->nonce, sizeof(header->nonce), 0) != sizeof(header->nonce)) {
    return fail_errno("cannot get random bytes");
  }
  header->nonce_address = reinterpret_cast<std::uintptr_t>(&header->nonce);
  header->magic = kMagic;
  return std::unique_ptr<Table>(new Table(std::move(*fd), std::move(*mapping)));
}

void Table::set_gids(const rdma::GidTable& gids) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < rdma::GidTable::size(); ++i) {
    const auto& entry = gids.at(i);
    if (!entry) continue;
    header().gids[2 * count] = entry->gid.high();
    header().gids[2 * count + 1] = entry->gid.low();
    ++count;
  }
  header().gid_count = static_cast<std::uint32_t>(count);
}

bool Table::is_for_peers(const rdma::MemoryRegion& region) {
  return (region.access & kRemote) != rdma::Access::kNone;
}

void Table::show(const rdma::MemoryRegion& region) {
  if (!region.valid || !is_for_peers(region) || region.length == 0) return;
  Region shown{.key = region.key,
               .domain = region.pd->number,
               .access = static_cast<std::uint32_t>(region.access),
               .base = region.iova,
               .length = region.length,
               .address = region.address};
  if (auto backing = find_backing(region.address, region.length, open_files_)) {
    shown.file_offset = backing->offset;
    shown.inode = backing->inode;
    shown.file = backing->file->get();
    files_.insert_or_assign(region.key, std::move(backing->file));
  }
  const std::uint32_t slot = rdma::RegionTable::slot_of(region.key, kRegionSlots);
  write_entry(mapping_.at<Entry<Region>>(kRegionsAt)[slot], shown);
}

void Table::hide(const rdma::MemoryRegion& region) {
  const std::uint32_t slot = rdma::RegionTable::slot_of(region.key, kRegionSlots);
  Entry<Region>& entry = mapping_.at<Entry<Region>>(kRegionsAt)[slot];
  if (entry.value.key != region.key) return;
  write_entry(entry, {});
  header().hidden.fetch_add(1, std::memory_order_relaxed);
  files_.erase(region.key);
}

void Table::show(const rdma::QueuePair& qp) {
  if (qp.init.type == rdma::QpType::kUd) return;
  if (!takes_requests(qp.state)) {
    hide(qp);
    return;
  }
  CHECK(qp.number > 0);
  write_entry(mapping_.at<Entry<QueuePair>>(kQueuePairsAt)[qp.number % kQueuePairSlots],
              {.number = qp.number,
               .domain = qp.pd->number,
               .access = static_cast<std::uint32_t>(qp.attributes.access),
               .peer_number = qp.attributes.destination_qpn,
               .peer_high = qp.route.destination.high(),
               .peer_low = qp.route.destination.low()});
}

void Table::hide(const rdma::QueuePair& qp) {
  auto& entry = mapping_.at<Entry<QueuePair>>(kQueuePairsAt)[qp.number % kQueuePairSlots];
  if (entry.value.number == qp.number) write_entry(entry, {});
}

}  // namespace tideline::placement
