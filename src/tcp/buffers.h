// SPDX-License-Identifier: Apache-2.0
// Where a connection's bytes lie: memory of its owner, which may be shared with another process.
// TCP knows bytes by their offset in the stream, the first being 0, and asks for them when a frame
// is made. Thread: the worker's; what the owner does on other threads is the implementation's
// business (byte_fifo.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "packet/packet.h"
#include "packet/pass_counter.h"

namespace tideline::tcp {

// Bytes to send. They stay where they are until they are released, for frames borrow them.
class SendBuffer {
 public:
  // How many bytes the owner has ever put in. Never less than before.
  virtual std::uint64_t end() const = 0;
  // The bytes from `offset` on, as many as lie in one piece but at most `most`; at least one.
  // offset < end(), and `most` > 0.
  virtual std::span<const std::byte> at(std::uint64_t offset, std::size_t most) const = 0;
  // Where the record ends that the byte at `offset` belongs to: no segment reaches beyond. The
  // largest number: nowhere that is known.
  virtual std::uint64_t record_end(std::uint64_t /*offset*/) const { return UINT64_MAX; }
  // Whether its owner has more to put in than there is room for.
  virtual bool is_full() const { return false; }
  // Where the last of what is urgent ends; 0, or what is acknowledged: nothing is.
  virtual std::uint64_t urgent_end() const { return 0; }
  // What is before `offset` was acknowledged, and no frame borrows it any more.
  virtual void release(std::uint64_t offset) = 0;
  // TCP could have so many bytes on their way, and unacknowledged: a buffer that grows may.
  virtual void want(std::uint64_t /*bytes*/) {}
  // StreamOptions::notsent_lowat: so little is unsent that the owner should write while end() is
  // less than `hungry_end`, and beyond `end` it should not.
  virtual void want_unsent(std::uint64_t /*end*/, std::uint64_t /*hungry_end*/) {}

 protected:
  ~SendBuffer() = default;
};

// Room for received bytes.
class ReceiveBuffer {
 public:
  // Bytes before this offset have room. What was once granted stays granted.
  virtual std::uint64_t limit() const = 0;
  // What the owner has taken of what was published.
  virtual std::uint64_t consumed() const = 0;
  // Takes bytes of the stream, whole below limit(), in any order; some come twice. False: there is
  // no memory now, and nothing was taken; the peer will send them again.
  [[nodiscard]] virtual bool put(std::uint64_t offset, packet::PacketPtr payload,
                                 packet::PassCounter& passes) = 0;
  // The same with bytes that the caller keeps: makes room for those before `end` where it can, and
  // says what has some, limit() at most. 0: it keeps packets, and nothing else.
  virtual std::uint64_t room_for_copy(std::uint64_t /*end*/) { return 0; }
  // Below room_for_copy().
  virtual void put_copy(std::uint64_t /*offset*/, std::span<const std::byte> /*from*/,
                        packet::PassCounter& /*passes*/) {}
  // The peer calls the byte at `offset` urgent. It, and all behind it, has yet to be published.
  virtual void mark_urgent(std::uint64_t /*offset*/) {}
  // All bytes before `end` are there, and are the owner's.
  virtual void publish(std::uint64_t end) = 0;
  // At the owner's pace, the peer could have so many bytes on their way: a buffer that grows may
  // make room for them.
  virtual void want(std::uint64_t /*window*/) {}

 protected:
  ~ReceiveBuffer() = default;
};

}  // namespace tideline::tcp
