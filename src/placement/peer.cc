// SPDX-License-Identifier: Apache-2.0
#include "placement/peer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/clock.h"
#include "base/guarded_copy.h"
#include "base/memfd.h"
#include "placement/backing.h"
#include "placement/process_vm.h"

namespace tideline::placement {
namespace {

// A reader gives up on an entry whose writer was stopped in the midst.
constexpr int kReadAttempts = 100;

template <typename Value>
std::optional<Value> read_entry(const Entry<Value>& entry, std::uint32_t& sequence) {
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    Entry<Value> copy;
    if (guarded_copy(&copy, &entry, sizeof(copy)).copied != sizeof(copy)) return std::nullopt;
    sequence = copy.sequence.load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (sequence % 2 == 0 && entry.sequence.load(std::memory_order_relaxed) == sequence) {
      return copy.value;
    }
    cpu_relax();
  }
  return std::nullopt;
}

// Whether [address, address + length) lies in the region, without wrapping.
bool contains(const Region& region, std::uint64_t address, std::uint64_t length) {
  return address >= region.base && length <= region.length &&
         address - region.base <= region.length - length;
}

// NOLINTNEXTLINE(performance-no-int-to-ptr): addresses that programs have named
std::byte* pointer(std::uint64_t address) { return reinterpret_cast<std::byte*>(address); }

bool copy_pieces(std::byte* mapped, const rdma::DirectRequest& request) {
  for (const rdma::DirectPiece& piece : request.pieces) {
    std::byte* own = pointer(piece.address);
    const CopyResult result = request.is_read ? guarded_copy(own, mapped, piece.length)
                                              : guarded_copy(mapped, own, piece.length);
    if (result.copied != piece.length) return false;
    mapped += piece.length;
  }
  return true;
}

bool copy_by_kernel(pid_t pid, std::uint64_t address, const rdma::DirectRequest& request) {
  return request.is_read ? read_process(pid, address, request.pieces)
                         : write_process(pid, address, request.pieces);
}

}  // namespace

Result<View> View::attach(const UniqueFd& fd) {
  if (Status good = verify_memfd(fd.get(), kTableSize, Sharing::kReadOnly); !good) {
    return fail(std::move(good.error()));
  }
  auto mapping = Mapping::map(fd.get(), kTableSize, Access::kReadOnly);
  if (!mapping) return fail(std::move(mapping.error()));
  // The header's page is there from now on: it can be neither shrunk nor punched.
  std::uint64_t magic = 0;
  const bool readable =
      guarded_copy(&magic, mapping->data(), sizeof(magic)).copied == sizeof(magic);
  if (!readable || magic != kMagic) {
    return fail({.kind = ErrorKind::kPeer, .what = "the peer's placement table is malformed"});
  }
  return View(std::move(*mapping));
}

std::optional<Region> View::region(std::uint32_t key, std::uint32_t& sequence) const {
  const std::uint32_t slot = rdma::RegionTable::slot_of(key, kRegionSlots);
  auto region = read_entry(mapping_.at<Entry<Region>>(kRegionsAt)[slot], sequence);
  return region && region->key == key && key != 0 ? region : std::nullopt;
}

std::optional<QueuePair> View::queue_pair(std::uint32_t number) const {
  std::uint32_t sequence = 0;
  auto qp =
      read_entry(mapping_.at<Entry<QueuePair>>(kQueuePairsAt)[number % kQueuePairSlots], sequence);
  return qp && qp->number == number && number != 0 ? qp : std::nullopt;
}

Result<std::unique_ptr<Peer>> Peer::attach(const UniqueFd& table, pid_t pid) {
  auto view = View::attach(table);
  if (!view) return fail(std::move(view.error()));
  const Header& header = view->header();
  std::vector<rdma::Gid> gids;
  // Read once: its owner may change it.
  const std::uint32_t claimed = __atomic_load_n(&header.gid_count, __ATOMIC_RELAXED);
  const std::size_t count = std::min<std::size_t>(claimed, rdma::kGidTableSize);
  gids.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    gids.emplace_back(header.gids.at(2 * i), header.gids.at(2 * i + 1));
  }
  // Before the nonce is read: so it is of the process that has proved itself.
  UniqueFd process(
      pid > 0 ? ::open(fmt::format("/proc/{}", pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)
              : -1);
  std::uint64_t nonce = 0;
  const rdma::DirectPiece to{.address = reinterpret_cast<std::uintptr_t>(&nonce),
                             .length = sizeof(nonce)};
  const bool permitted =
      pid > 0 && read_process(pid, header.nonce_address, {&to, 1}) && nonce == header.nonce;
  std::unique_ptr<Peer> peer(new Peer(std::move(*view), pid, std::move(process), std::move(gids)));
  peer->permitted_ = permitted;
  return peer;
}

bool Peer::has(const rdma::Gid& gid) const { return std::ranges::find(gids_, gid) != gids_.end(); }

// What the responder checks of a packet: its queue pair takes requests, comes from the one that it
// is connected to, and lets it; the key opens the whole range in that domain.
std::optional<Region> Peer::find(const rdma::QueuePair& qp, const rdma::DirectRequest& request,
                                 std::uint32_t& sequence) const {
  if (!view_.owner_lives()) return std::nullopt;
  const auto target = view_.queue_pair(qp.attributes.destination_qpn);
  if (!target || target->peer_number != qp.number ||
      rdma::Gid(target->peer_high, target->peer_low) != qp.route.source) {
    return std::nullopt;
  }
  const rdma::Access needed =
      request.is_read ? rdma::Access::kRemoteRead : rdma::Access::kRemoteWrite;
  auto region = view_.region(request.rkey, sequence);
  const bool allowed =
      region && region->domain == target->domain &&
      rdma::allows(static_cast<rdma::Access>(region->access & target->access), needed) &&
      contains(*region, request.address, request.length);
  return allowed ? region : std::nullopt;
}

bool Peer::reaches(const Region& region, std::uint32_t sequence) {
  return permitted_ || window_of(region, sequence) != nullptr;
}

rdma::DirectResult Peer::move(const rdma::QueuePair& qp, const rdma::DirectRequest& request) {
  std::uint32_t sequence = 0;
  const auto region = find(qp, request, sequence);
  if (!region) return rdma::DirectResult::kRefused;
  const std::uint64_t into = request.address - region->base + request.offset;
  std::byte* window = window_of(*region, sequence);
  bool done = false;
  if (window != nullptr) {
    done = copy_pieces(window + into, request);
  } else if (permitted_) {
    done = copy_by_kernel(pid_, region->address + into, request);
  }
  // The memory of a dead process takes bytes as before, but its peer must not see success; and
  // after an exec they are another program's.
  if (!done || !view_.owner_lives()) return rdma::DirectResult::kRefused;
  return window != nullptr ? rdma::DirectResult::kMapped : rdma::DirectResult::kKernel;
}

std::byte* Peer::window_of(const Region& region, std::uint32_t sequence) {
  if (region.file < 0) return nullptr;
  if (view_.header().hidden.load(std::memory_order_relaxed) != hidden_) sweep();
  if (last_ == nullptr || last_key_ != region.key || last_->sequence != sequence) {
    Window& window = windows_[region.key];
    if (window.sequence != sequence) window = open_window(region, sequence);
    last_ = &window;
    last_key_ = region.key;
  }
  return last_->begin;
}

// By its descriptor in the peer: proc(5), which asks for less than process_vm_readv does.
Peer::Window Peer::open_window(const Region& region, std::uint32_t sequence) const {
  Window window{.sequence = sequence};
  const std::string path = fmt::format("fd/{}", region.file);
  struct stat status{};
  // Looked at first: to open a device or a pipe does things.
  if (!process_ || ::fstatat(process_.get(), path.c_str(), &status, 0) != 0 ||
      !S_ISREG(status.st_mode) || status.st_ino != region.inode) {
    return window;
  }
  const UniqueFd file(
      ::openat(process_.get(), path.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file || ::fstat(file.get(), &status) != 0 || status.st_ino != region.inode ||
      !is_in_memory(file.get())) {
    return window;
  }
  const std::uint64_t size = align_up(static_cast<std::uint64_t>(status.st_size), kPageSize);
  const std::uint64_t begin = region.file_offset / kPageSize * kPageSize;
  if (region.file_offset > size || region.length > size - region.file_offset) return window;
  const std::uint64_t bytes = align_up(region.file_offset + region.length - begin, kPageSize);
  auto mapping = Mapping::map(file.get(), bytes, Access::kReadWrite, begin);
  if (!mapping) return window;
  window.mapping = std::move(*mapping);
  window.begin = window.mapping.data() + (region.file_offset - begin);
  return window;
}

// Mappings of regions that are no more keep their memory from going back.
void Peer::sweep() {
  hidden_ = view_.header().hidden.load(std::memory_order_relaxed);
  std::erase_if(windows_, [this](const auto& window) {
    std::uint32_t sequence = 0;
    const auto region = view_.region(window.first, sequence);
    return !region || sequence != window.second.sequence;
  });
  last_ = nullptr;
}

}  // namespace tideline::placement
