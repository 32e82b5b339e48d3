// SPDX-License-Identifier: Apache-2.0
// A bad link: wraps a port, and polices, loses, delays, reorders, duplicates, corrupts and slows
// what is sent through it, and swallows what is too long. Seeded: the same frames at the same times
// fare the same.
//
// It hides the segmentation offloads of its port, so that frames fare as they would on the wire;
// and if it corrupts, the checksum offload too, or a checksum made afterwards would cover up for
// it. Each queue is a link of its own, with the whole rate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/random.h"
#include "port/impairment_spec.h"
#include "port/port.h"

namespace tideline::port {

class ImpairedPort final : public Port {
 public:
  // Frames that a queue holds back at most; more are dropped. 25 ms at 2 Gb/s in 1500 bytes.
  static constexpr std::size_t kDefaultHeld = 4096;

  // `pools`, one per queue, serve duplicates and corrupted copies.
  ImpairedPort(std::unique_ptr<Port> inner, const ImpairmentSpec& spec, std::uint64_t seed,
               const QueuePools& pools, std::size_t max_held = kDefaultHeld);

  Status claim(const wire::Ipv6Address& address) override { return inner_->claim(address); }
  std::size_t rx_burst(unsigned queue, Burst& burst, Instant now) override;
  std::size_t tx_burst(unsigned queue, Burst& burst, Instant now) override;
  std::size_t tx_room(unsigned queue) override;
  int fd(unsigned queue) const override { return inner_->fd(queue); }
  void arm(unsigned queue) override { inner_->arm(queue); }
  void disarm(unsigned queue) override { inner_->disarm(queue); }
  Instant next_deadline(unsigned queue) const override;
  // What the inner port counts, and the drops made here.
  QueueStats stats(unsigned queue) override;

 private:
  struct Held {
    Instant due;
    PacketPtr frame;
  };
  struct Link {
    Link(Rng link_rng, Pool* link_pool, std::size_t max_held)
        : rng(link_rng), pool(link_pool), held(max_held) {}

    Rng rng;
    Pool* pool;
    std::vector<Held> held;  // a circle; in the order of `due`
    std::size_t first = 0;
    std::size_t count = 0;
    Instant free_at{};      // when the link has sent what it was given
    Instant last_due{};     // of the last frame that came in order
    Instant refilled_at{};  // when the policer has its whole burst again
    Burst leaving;          // what leaves now
  };

  bool chance(Link& link, double probability) {
    return probability > 0 && link.rng.unit() < probability;
  }
  bool conforms(Link& link, std::size_t size, Instant now) const;
  bool send(unsigned queue, PacketPtr frame, Instant now);
  bool hold(unsigned queue, PacketPtr frame, Instant now);
  PacketPtr corrupted(unsigned queue, PacketPtr frame);
  void leave(unsigned queue, PacketPtr frame, Instant now);
  void flush(unsigned queue, Instant now);

  std::unique_ptr<Port> inner_;
  ImpairmentSpec spec_;
  std::vector<Link> links_;
};

}  // namespace tideline::port
