// SPDX-License-Identifier: Apache-2.0
#include "proofs/placement/session.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <new>
#include <span>

#include "base/fault_handler.h"
#include "base/memfd.h"

namespace proofs::placement {

using tideline::install_fault_handlers;

using tideline::Access;
using tideline::kPageSize;
using tideline::Mapping;
using tideline::PageKind;
using tideline::Result;
using tideline::Sharing;
using tideline::Status;
using tideline::UniqueFd;

namespace {

// Descriptors: table, helper page, what wakes the helper, done eventfd, then the memories.
constexpr std::size_t kFixedFds = 4;
constexpr std::size_t kMaxMemories = 8;

struct TargetOffer {
  std::uint64_t pid;  // believed only once DirectPath::probe has found the table's nonce there
  std::uint64_t table_size;
  std::uint64_t memory_count;
  std::array<std::uint64_t, kMaxMemories> memory_sizes;
};

// Descriptors: in-flight page, frame ring.
struct InitiatorOffer {
  std::uint64_t magic;
};

struct SharedMemory {
  UniqueFd fd;
  Mapping mapping;
};

// Memory that this process writes and its peer only reads.
Result<SharedMemory> make_own_page(const char* name, std::size_t size) {
  auto fd = tideline::create_memfd(name, size, PageKind::kNormal);
  if (!fd) return std::unexpected(fd.error());
  auto mapping = Mapping::map(fd->get(), size, Access::kReadWrite);
  if (!mapping) return std::unexpected(mapping.error());
  if (Status status = tideline::seal_memfd(fd->get(), Sharing::kReadOnly); !status) {
    return std::unexpected(status.error());
  }
  if (Status status = mapping->populate(); !status) return std::unexpected(status.error());
  return SharedMemory{std::move(*fd), std::move(*mapping)};
}

Result<Mapping> map_peer_page(int fd, std::size_t size) {
  if (Status status = tideline::verify_memfd(fd, size, Sharing::kReadOnly); !status) {
    return std::unexpected(status.error());
  }
  auto mapping = Mapping::map(fd, size, Access::kReadOnly);
  if (!mapping) return mapping;
  if (Status status = mapping->populate(); !status) return std::unexpected(status.error());
  return mapping;
}

template <typename Message>
std::span<const std::byte> bytes_of(const Message& message) {
  return std::as_bytes(std::span(&message, 1));
}

template <typename Message>
Result<std::vector<UniqueFd>> receive_offer(int socket, Message* message, std::size_t min_fds) {
  auto received = tideline::receive_with_fds(socket, std::as_writable_bytes(std::span(message, 1)));
  if (!received) return std::unexpected(received.error());
  if (received->size != sizeof(Message) || received->fds.size() < min_fds) {
    return tideline::fail({.kind = tideline::ErrorKind::kPeer,
                           .what = fmt::format("malformed offer: {} bytes, {} descriptors",
                                               received->size, received->fds.size())});
  }
  return std::move(received->fds);
}

}  // namespace

Result<std::unique_ptr<Target>> Target::create() {
  if (Status status = install_fault_handlers(); !status) return std::unexpected(status.error());
  auto table = RegionTable::create(kMaxRegions);
  if (!table) return std::unexpected(table.error());
  auto view = RegionTableView::attach((*table)->fd(), (*table)->size());
  if (!view) return std::unexpected(view.error());
  auto page = make_own_page("tideline-helper", kPageSize);
  if (!page) return std::unexpected(page.error());
  new (page->mapping.data()) HelperPage{};
  UniqueFd done(::eventfd(0, EFD_CLOEXEC));
  if (!done) return tideline::fail_errno("cannot create an eventfd");
  return std::unique_ptr<Target>(new Target(std::move(*table), std::move(*view),
                                            std::move(page->fd), std::move(page->mapping),
                                            std::move(done)));
}

Result<std::uint32_t> Target::add_memory(std::size_t size) {
  auto fd = tideline::create_memfd("tideline-memory", size, PageKind::kNormal);
  if (!fd) return std::unexpected(fd.error());
  auto mapping = Mapping::map(fd->get(), size, Access::kReadWrite);
  if (!mapping) return std::unexpected(mapping.error());
  memories_.push_back({std::move(*fd), std::move(*mapping)});
  return static_cast<std::uint32_t>(memories_.size() - 1);
}

Status Target::accept(int socket, HelperTuning tuning) {
  if (tuning.wake_by_pipe) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return tideline::fail_errno("cannot create a pipe");
    wake_read_ = UniqueFd(ends[0]);
    wake_write_ = UniqueFd(ends[1]);
  } else {
    wake_read_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
    wake_write_ = UniqueFd(::dup(wake_read_.get()));
    if (!wake_write_) return tideline::fail_errno("cannot create an eventfd");
  }
  TargetOffer offer{.pid = static_cast<std::uint64_t>(::getpid()),
                    .table_size = table_->size(),
                    .memory_count = memories_.size()};
  std::vector<int> fds{table_->fd(), page_fd_.get(), wake_write_.get(), done_.get()};
  for (std::size_t i = 0; i < memories_.size(); ++i) {
    offer.memory_sizes.at(i) = memories_[i].mapping.size();
    fds.push_back(memories_[i].fd.get());
  }
  if (Status sent = tideline::send_with_fds(socket, bytes_of(offer), fds); !sent) return sent;

  InitiatorOffer peer{};
  auto received = receive_offer(socket, &peer, 2);
  if (!received) return std::unexpected(received.error());
  if (peer.magic != kRegionTableMagic) {
    return tideline::fail({.kind = tideline::ErrorKind::kPeer, .what = "malformed answer"});
  }
  auto in_flight = map_peer_page((*received)[0].get(), kPageSize);
  if (!in_flight) return std::unexpected(in_flight.error());
  auto ring = map_peer_page((*received)[1].get(), kFrameRingSize);
  if (!ring) return std::unexpected(ring.error());
  peer_in_flight_ = std::move(*in_flight);
  helper_ = std::make_unique<FrameHelper>(
      std::move(*ring), page_.at<HelperPage>(0),
      WakeFds{.sleep_on = wake_read_.get(), .ring = wake_write_.get()}, done_.get(), &view_,
      kDomain, tuning);
  return {};
}

Result<std::uint32_t> Target::register_memory(std::uint32_t index, std::uint32_t access,
                                              std::uint32_t domain) {
  const Mapping& mapping = memories_[index].mapping;
  return table_->add({.base = reinterpret_cast<std::uint64_t>(mapping.data()),
                      .length = mapping.size(),
                      .backing_offset = 0,
                      .backing = index,
                      .access = access,
                      .domain = domain});
}

Result<std::uint32_t> Target::register_plain(const void* base, std::size_t size,
                                             std::uint32_t access) {
  return table_->add({.base = reinterpret_cast<std::uint64_t>(base),
                      .length = size,
                      .access = access,
                      .domain = kDomain});
}

Status Target::deregister(std::uint32_t rkey) {
  const std::array<const InFlight*, 2> initiators{peer_in_flight_.at<const InFlight>(0),
                                                  helper_->in_flight()};
  return table_->remove(rkey, initiators, std::chrono::seconds(1));
}

Result<std::unique_ptr<Initiator>> Initiator::connect(int socket, WaitMode mode) {
  if (Status status = install_fault_handlers(); !status) return std::unexpected(status.error());
  TargetOffer offer{};
  auto fds = receive_offer(socket, &offer, kFixedFds);
  if (!fds) return std::unexpected(fds.error());
  if (offer.memory_count > kMaxMemories || fds->size() != kFixedFds + offer.memory_count) {
    return tideline::fail({.kind = tideline::ErrorKind::kPeer, .what = "malformed offer"});
  }
  auto table = RegionTableView::attach((*fds)[0].get(), offer.table_size);
  if (!table) return std::unexpected(table.error());
  auto helper = map_peer_page((*fds)[1].get(), kPageSize);
  if (!helper) return std::unexpected(helper.error());
  std::vector<Mapping> memories;
  for (std::size_t i = 0; i < offer.memory_count; ++i) {
    // Not verified: regions may be memory that the program shared itself, without seals.
    auto mapping =
        Mapping::map((*fds)[kFixedFds + i].get(), offer.memory_sizes.at(i), Access::kReadWrite);
    if (!mapping) return std::unexpected(mapping.error());
    memories.push_back(std::move(*mapping));
  }

  auto in_flight = make_own_page("tideline-in-flight", kPageSize);
  if (!in_flight) return std::unexpected(in_flight.error());
  auto ring = make_own_page("tideline-frames", kFrameRingSize);
  if (!ring) return std::unexpected(ring.error());
  auto* announced = new (in_flight->mapping.data()) InFlight{};
  announced->owner.take();
  new (ring->mapping.data()) FramePage{};
  const InitiatorOffer answer{.magic = kRegionTableMagic};
  const std::array<int, 2> own{in_flight->fd.get(), ring->fd.get()};
  if (Status sent = tideline::send_with_fds(socket, bytes_of(answer), own); !sent) {
    return std::unexpected(sent.error());
  }

  std::unique_ptr<Initiator> initiator(new Initiator(std::move(in_flight->mapping)));
  initiator->direct_ = std::make_unique<DirectPath>(std::move(*table), std::move(memories),
                                                    static_cast<pid_t>(offer.pid), announced);
  initiator->direct_->probe();
  initiator->frames_ = std::make_unique<FrameSender>(std::move(ring->mapping), std::move(*helper),
                                                     std::move((*fds)[2]), std::move((*fds)[3]),
                                                     &initiator->direct_->table(), mode);
  return initiator;
}

Initiator::~Initiator() { in_flight_.at<InFlight>(0)->owner.release(); }

}  // namespace proofs::placement
