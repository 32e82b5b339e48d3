// SPDX-License-Identifier: Apache-2.0
// `shm:NAME`: an Ethernet segment in shared memory. Every process that opens the same name is a
// station on it; they come and go, and no process stands in the middle. Frames of up to 64 KiB pass
// with their offload metadata: nobody sums, nobody segments. docs/adr/0001.
//
// A frame is copied into the sender's arena and out of it by the receiver: two passes. Of a frame
// longer than 2 KiB the receiver copies the headers only and lends the rest from the sender's
// arena, as long as the holder gives back in time: then it is one. And a frame that borrows from
// shared_memory() is sent as it lies: then it is none. One queue. docs/adr/0010.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "port/port.h"
#include "port/shm/addresses.h"
#include "port/shm/member.h"

namespace tideline::port {

struct ShmPortOptions {
  std::size_t mtu = 1500;
  // Gets a copy of all frames of the segment, whoever they are for.
  bool promiscuous = false;
  // Which slot, and so which addresses.
  shm::ClaimOrder claim{};
  // Where the members meet; empty: shm::segment_directory.
  std::string directory;
  shm::Peers* peers = nullptr;  // outlives the port
  // Whoever copies from frames asks Packet::is_intact() afterwards. Else what lies in a sender's
  // shared memory, which it may take back, is copied here.
  bool lends_shared = false;
  // Sizes; meeting point and claim are the port's to fill in.
  shm::MemberConfig sizes{};
};

class ShmPort final : public Port {
 public:
  static Result<std::unique_ptr<ShmPort>> open(std::string_view segment, Pool* pool,
                                               const ShmPortOptions& options, Instant now);

  std::size_t rx_burst(unsigned queue, Burst& burst, Instant now) override;
  std::size_t tx_burst(unsigned queue, Burst& burst, Instant now) override;
  // On the way to the station that was sent to last: one that does not receive must not hold up the
  // others.
  std::size_t tx_room(unsigned /*queue*/) override { return member_->room(Burst::kCapacity); }
  int fd(unsigned /*queue*/) const override { return member_->fd(); }
  void arm(unsigned /*queue*/) override { member_->arm(); }
  void disarm(unsigned /*queue*/) override { member_->disarm(); }
  Instant next_deadline(unsigned queue) const override;
  std::span<std::byte> shared_memory() override { return member_->shared_memory(); }
  Instant oldest_borrowed() const override { return member_->oldest_kept(); }
  void withdraw(std::span<const std::byte> memory, Instant before) override {
    member_->withdraw(memory, before);
  }
  QueueStats stats(unsigned queue) override;

  // The slot of the segment that this process owns: shm::leased_ipv4 and leased_ipv6 tell its
  // addresses. In a forked child, destroy the port: slot and addresses stay the parent's.
  unsigned slot() const { return member_->slot(); }

 private:
  ShmPort(PortInfo info, const shm::MacPlan& macs, std::unique_ptr<shm::Member> member, Pool* pool,
          bool lends_shared);

  struct Destinations {
    std::uint64_t slots = 0;
    bool is_group = false;
  };
  Destinations destinations_of(const Packet& frame, Instant now);
  bool send(PacketPtr& frame, Instant now);
  bool refer(const Destinations& to, PacketPtr& frame, Instant now);
  bool send_to(unsigned destination, const Packet& frame, Drop& reason);
  PacketPtr receive(const shm::Arrived& arrived);
  PacketPtr copy(const shm::Arrived& arrived);
  PacketPtr borrow(const shm::Arrived& arrived);
  bool borrow(std::span<const std::byte> bytes, Packet& frame);
  void take_back(Instant now);

  shm::MacPlan macs_;
  std::unique_ptr<shm::Member> member_;
  Pool* pool_;
  bool lends_shared_;
  // When to look again for packets that receivers have let go of, and the pause after that.
  Instant next_look_{};
  Duration pause_{};
};

}  // namespace tideline::port
