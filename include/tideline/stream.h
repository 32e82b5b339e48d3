// SPDX-License-Identifier: Apache-2.0
// Streams: TCP connections of a host of tideline's. Nothing here blocks: a call does what can be
// done now, and an event (event.h) tells when there is more to do. What is written leaves, and what
// is consumed opens the window, at the engine's next poll() or wait().
//
// Thread: the engine's. A stream or listener must be gone before its engine.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <tideline/endpoint.h>
#include <tideline/error.h>

namespace tideline {

namespace api {
class ListenerState;
class Runtime;
class StreamState;
}  // namespace api

enum class Congestion : std::uint8_t {
  kCubic,  // RFC 9438
  kReno,   // RFC 5681
  kBbr,    // version 3: a model of the path instead of its losses; paced
  kDctcp,  // RFC 8257: where all queues mark early and all hosts use it; asks for ECN
};

struct StreamOptions {
  // Bytes, from 64 KiB to 64 MiB, that buffers grow to at most: the send buffer to what the path
  // takes, the receive buffer, which bounds the window that the peer sees, to what the program
  // takes in two round trips. A stream without bytes on the way has no memory, and while memory is
  // short (EngineOptions::buffer_memory) none grows. What is lent counts as if it were copied.
  std::size_t send_buffer = std::size_t{4} << 20;
  std::size_t receive_buffer = std::size_t{8} << 20;
  // Nagle's algorithm off. What is written between two polls travels together in any case.
  bool no_delay = true;
  bool quick_ack = false;  // no delayed acknowledgments
  Congestion congestion = Congestion::kCubic;
  // Zero: off, or without limit.
  std::chrono::nanoseconds keepalive{};     // probe a peer that was silent for so long
  std::chrono::nanoseconds user_timeout{};  // give up when data is unacknowledged for so long
};

// Figures of a connection, as the transport has them now.
struct StreamInfo {
  std::uint32_t mss = 0;                  // payload bytes of a segment
  std::uint32_t cwnd = 0;                 // bytes
  std::uint64_t bytes_acked = 0;          // of ours, by the peer
  std::uint64_t bytes_received = 0;       // in order
  std::uint64_t bytes_retransmitted = 0;  //
  std::chrono::nanoseconds srtt{};        // smoothed round-trip time
  std::uint32_t timeouts = 0;             // of the retransmission timer
  std::uint32_t recoveries = 0;           // fast retransmits
};

// Memory that may be lent to streams: Engine::register_memory. Outlives what is lent of it.
class Region {
 public:
  Region() = default;
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  friend class Engine;
  explicit Region(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> bytes_;
};

class Stream {
 public:
  enum class State : std::uint8_t { kConnecting, kOpen, kEnded };

  // No stream.
  Stream() = default;
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&& other) noexcept;
  // close()
  ~Stream();

  explicit operator bool() const { return state_ != nullptr; }
  // Comes back with each event.
  void set_context(void* context);

  State state() const;
  // Why a stream is over that was not ended by both sides in peace: refused, reset, timed out,
  // unreachable (ErrorKind::kPeer).
  std::optional<Error> error() const;
  Endpoint local() const;
  Endpoint remote() const;
  StreamInfo info() const;

  // Receiving, without a copy: the bytes that are there and lie in one piece, in the engine's
  // memory, which is the program's until it consumes them. There may be more behind the piece.
  std::span<const std::byte> received() const;
  // Gives the first `size` bytes of received() back; not more than those.
  void consume(std::size_t size);
  // Receiving by copy: how many bytes there were, at most those that fit.
  std::size_t read(std::span<std::byte> buffer);
  // The peer has sent its last byte, and it was consumed.
  bool at_end() const;

  // Sending by copy: how many bytes fitted. Fewer than asked for: Ready::kWritable will come.
  std::size_t write(std::span<const std::byte> bytes);
  // Sending without a copy of ours: room of one piece in the send buffer, to be filled in place;
  // then wrote() says how much of it was. Empty: Ready::kWritable will come.
  std::span<std::byte> write_space();
  void wrote(std::size_t size);
  // Sending without any copy: lends registered memory, which must not change until
  // released() >= written() as it stands after this call. False: as much as the send buffer's size,
  // or 256 pieces, are on loan, and Ready::kReleased will come.
  bool lend(const Region& region, std::size_t offset, std::size_t size);
  // Counted from the stream's beginning, in bytes: what was written or lent; and the part of it
  // that was acknowledged and that nothing refers to any more.
  std::uint64_t written() const;
  std::uint64_t released() const;

  // Nothing more will be written: FIN behind what was. The other direction stays open.
  void shut_down();
  // Nothing more is read or written; what was written is still sent (Engine::drain). If the peer's
  // bytes are left unread, the peer is told so (RST). The object is no stream afterwards. Lent
  // memory stays on loan until drain() says that nothing is left.
  void close();
  // RST; what was not yet sent is lost. Lent memory stays on loan as after close().
  void abort();

 private:
  friend class Host;
  friend class Listener;
  explicit Stream(api::StreamState* state) : state_(state) {}

  api::StreamState* state_ = nullptr;
};

struct ListenOptions {
  // Connections that are complete and not yet accepted; beyond, as many again half open, the engine
  // answers with SYN cookies.
  std::uint32_t backlog = 1024;
  StreamOptions stream{};
};

class Listener {
 public:
  // No listener.
  Listener();
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&& other) noexcept;
  // Streams that were not accepted are reset; those accepted go on.
  ~Listener();

  void set_context(void* context);
  // The stream that has waited longest; nothing if there is none.
  std::optional<Stream> accept();

 private:
  friend class Host;
  explicit Listener(std::unique_ptr<api::ListenerState> state);

  std::unique_ptr<api::ListenerState> state_;
};

}  // namespace tideline
