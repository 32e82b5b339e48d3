// SPDX-License-Identifier: Apache-2.0
// How TCP meets the owner of a connection: handles, what is told, what can be chosen and asked.
// Everything is told from Tcp::flush() and Tcp::run_timers() only, so an owner may call Tcp from
// within. Thread: the worker's that owns the host.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/time.h"
#include "tcp/buffers.h"
#include "tcp/endpoint.h"

namespace tideline::ip {
struct PathError;
}  // namespace tideline::ip

namespace tideline::tcp {

// RFC 9293 §3.3.2. LISTEN is a listener's and has no connection.
enum class State : std::uint8_t {
  kClosed,
  kSynSent,
  kSynReceived,
  kEstablished,
  kFinWait1,
  kFinWait2,
  kCloseWait,
  kClosing,
  kLastAck,
  kTimeWait,
};
// "ESTABLISHED".
std::string_view name_of(State state);

// Names a connection. A handle whose connection is gone finds nothing.
struct ConnectionId {
  std::uint32_t index = UINT32_MAX;
  std::uint32_t generation = 0;

  friend bool operator==(const ConnectionId&, const ConnectionId&) = default;
};

struct ListenerId {
  std::uint32_t index = UINT32_MAX;
  std::uint32_t generation = 0;

  friend bool operator==(const ListenerId&, const ListenerId&) = default;
};

// Why a connection is over.
enum class End : std::uint8_t {
  kNone,      // it is not
  kFinished,  // both directions were closed, and the peer knows
  kReset,     // by the peer
  kRefused,   // by the peer, when we connected
  kTimedOut,  // the peer does not answer
  kHostUnreachable,
  kNetworkUnreachable,
  kProtocolUnreachable,
  kAborted,  // by us
};

// The owner of a connection.
class StreamOwner {
 public:
  virtual void established(ConnectionId /*id*/, Instant /*now*/) {}
  // More bytes were published.
  virtual void readable(ConnectionId id, Instant now) = 0;
  // The peer has sent its last byte, and it is published.
  virtual void peer_closed(ConnectionId id, Instant now) = 0;
  // Room was released in the send buffer.
  virtual void writable(ConnectionId id, Instant now) = 0;
  // What the network says of a segment, for who asks for it (tell_path_errors). It may come while
  // one is being sent: the owner does not call back.
  virtual bool path_failed(ConnectionId /*id*/, const ip::PathError& /*error*/) { return false; }
  // Nothing is received or sent any more.
  virtual void ended(ConnectionId id, End reason, Instant now) = 0;
  // The last that is told: the handle is void, and the buffers are the owner's alone. After close()
  // it may come minutes later, from TIME-WAIT earlier.
  virtual void released(ConnectionId id, Instant now) = 0;

 protected:
  ~StreamOwner() = default;
};

// What a connection gets from its owner. All three outlive it: until released().
struct Attachment {
  StreamOwner* owner = nullptr;
  SendBuffer* send = nullptr;
  ReceiveBuffer* receive = nullptr;
};

enum class CongestionAlgorithm : std::uint8_t {
  kCubic,
  kReno,
  kBbr,    // paced in any case
  kDctcp,  // asks for accurate ECN; with classic ECN it echoes marks as RFC 8257 wants it
};

struct StreamOptions {
  bool no_delay = false;                       // no Nagle algorithm
  bool cork = false;                           // hold what does not fill a segment, up to 200 ms
  bool quick_ack = false;                      // no delayed acknowledgments
  bool pacing = false;                         // spread segments over the round trip
  std::uint64_t max_pacing_rate = UINT64_MAX;  // bytes per second; bounds pacing
  std::uint16_t max_segment = 0;               // bounds the MSS; 0: the path does
  CongestionAlgorithm congestion = CongestionAlgorithm::kCubic;
  bool keepalive = false;
  Duration keepalive_idle = std::chrono::hours(2);
  Duration keepalive_interval = std::chrono::seconds(75);
  std::uint8_t keepalive_probes = 9;
  // Of connect(), RFC 7413: asks the server for a cookie; with one, the SYN waits for what is
  // written first and takes it along. The owner must bear that such data comes twice (its §6.1).
  bool fast_open = false;
  // Of a listener: connections wait for data before they are handed over, about so long; the peer
  // is then asked once more whether it is there, and its answer will do. Of connect(): the
  // handshake's last acknowledgment waits for data to go with, a while. As Linux has it.
  Duration defer_accept{};
  // SendBuffer::want_unsent(): the owner is to write when less than half of so many bytes wait to
  // be sent for the first time, and no more than that, or a frame; 0: as the configuration has it.
  std::uint32_t notsent_lowat = 0;
  std::uint8_t traffic_class = 0;  // but for the ECN field
  std::uint8_t hop_limit = 64;
  Duration user_timeout{};  // give up when data is unacknowledged for so long; 0: after 15 tries
  // Of an authenticated connection: what ICMP says counts, though anybody can send it (RFC 5925
  // §7.8).
  bool heed_path_errors = false;
  // The owner hears at once what ICMP says, also what does not end the connection: path_failed().
  bool tell_path_errors = false;
};

// Accepts what has come for a listener.
class ListenerOwner {
 public:
  // A handshake is complete. The buffers hold at least initial_window of the configuration. Without
  // an owner, the peer's last acknowledgment counts as lost. Of Tcp, only accepted() may be called.
  virtual Attachment incoming(ListenerId listener, ConnectionId id, const Tuple& tuple,
                              Instant now) = 0;

 protected:
  ~ListenerOwner() = default;
};

struct ListenOptions {
  // Connections that were handed over and not yet accepted() are at most so many; as many again may
  // be half open, beyond which SYN cookies answer (RFC 4987).
  std::uint32_t backlog = 128;
  // RFC 7413: so many connections may have sent data with their SYN, and not answered yet; 0: none.
  std::uint32_t fast_open = 0;
  // With others that say so, the endpoint is a group's: each connection is for one of them
  // (SO_REUSEPORT).
  bool shared = false;
  bool only_ipv6 = false;  // ::, of one version
  StreamOptions stream{};
};

// How recovery stands. The order is that of severity.
enum class RecoveryState : std::uint8_t {
  kOpen,
  kDisorder,  // something is missing, and may only be late
  kCwr,       // the window shrinks because of congestion marks
  kRecovery,  // fast retransmit
  kLoss,      // the retransmission timer has expired
};

// Why data did not go with a SYN that was to take some: RFC 7413. In Linux's order.
enum class FastOpenFailure : std::uint8_t {
  kNone,
  kNoCookie,
  kNotAcknowledged,  // by the SYN-ACK
  kRetransmitted,    // the SYN, without data
};

// Figures of one connection: what TCP_INFO shows.
struct Info {
  State state = State::kClosed;
  Tuple tuple;
  RecoveryState recovery = RecoveryState::kOpen;
  End end = End::kNone;
  bool timestamps = false;
  bool window_scaling = false;
  bool sack = false;
  bool ecn = false;
  bool accurate_ecn = false;  // RFC 9768
  bool ect_seen = false;      // something came that could be marked
  bool syn_data = false;      // the SYN, the peer's or ours, had some, and it was taken: RFC 7413
  bool fast_child = false;    // a listener's, by its cookie
  bool app_limited = false;   // of delivery_rate: the owner had no more to send
  FastOpenFailure fast_open_failure = FastOpenFailure::kNone;
  std::uint8_t send_window_scale = 0;
  std::uint8_t receive_window_scale = 0;
  std::uint32_t mss = 0;         // payload bytes per segment, without options
  std::uint16_t path_mtu = 0;    // the largest packet that is sent
  bool searches_mtu = false;     // by probes: RFC 4821
  std::uint32_t mtu_probes = 0;  // sent
  std::uint32_t mtu_probes_lost = 0;
  std::uint32_t cwnd = 0;           // bytes
  std::uint32_t ssthresh = 0;       // bytes
  std::uint32_t in_flight = 0;      // bytes that the network is believed to hold
  std::uint32_t sacked = 0;         // bytes
  std::uint32_t lost = 0;           // bytes
  std::uint32_t retransmitted = 0;  // bytes in flight that are
  std::uint32_t unacknowledged = 0;
  // The same four in segments, as they were sent.
  std::uint32_t segments_unacknowledged = 0;
  std::uint32_t segments_sacked = 0;
  std::uint32_t segments_lost = 0;
  std::uint32_t segments_in_flight_again = 0;
  std::uint32_t unsent = 0;  // bytes that wait
  std::uint32_t send_window = 0;
  std::uint32_t receive_window = 0;
  std::uint32_t largest_window = 0;  // that there was room for
  std::uint32_t taken = 0;           // bytes, the most that the owner took in a round trip
  std::uint16_t receive_mss = 0;     // of the peer's full segments, as seen
  Duration receive_rtt{};            // as the receiver sees it; 0: not yet
  Duration ack_delay{};              // of a delayed acknowledgment
  Duration srtt{};
  Duration rttvar{};
  Duration min_rtt{};
  Duration rto{};
  bool reordering_seen = false;
  std::uint32_t reordering = 3;   // segments that came late, at most; at first what is assumed
  std::uint32_t reorderings = 0;  // acknowledgments that told of some
  std::uint16_t advertised_mss = 0;
  std::uint8_t probes = 0;   // of a closed window, unanswered
  std::uint8_t backoff = 0;  // the retransmission time-out was doubled so often
  std::uint8_t retries = 0;  // time-outs in a row
  Instant last_received{};
  Instant last_data_received{};
  Instant last_data_sent{};
  Duration busy{};               // while there was something to send, or to be acknowledged
  Duration window_limited{};     // of that, while the peer's window was what held it up
  Duration buffer_limited{};     // or the size of the send buffer
  std::uint64_t bytes_sent = 0;  // retransmissions included
  std::uint64_t bytes_retransmitted = 0;
  std::uint64_t bytes_bypassed = 0;  // of those sent: without a segment, to another of this host
  std::uint64_t bytes_acked = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t segments_in = 0;
  std::uint64_t segments_out = 0;
  std::uint32_t data_segments_in = 0;
  std::uint32_t data_segments_out = 0;       // retransmissions included
  std::uint32_t delivered = 0;               // segments of ours, and the SYN
  std::uint32_t segments_retransmitted = 0;  // SYNs included
  std::uint32_t duplicates = 0;              // of ours that came twice, as DSACKs say
  std::uint32_t out_of_order = 0;            // segments that came
  std::uint32_t timeouts = 0;                // of SYNs, too
  std::uint32_t timeout_rows = 0;            // that began, each until something new is acknowledged
  Duration timed_out{};                      // they lasted
  std::uint32_t recoveries = 0;
  std::uint32_t undone = 0;
  std::uint32_t marked_packets = 0;  // of ours, as ECN tells it
  // Of accurate ECN alone.
  std::uint32_t marked_bytes = 0;
  std::uint32_t received_marked_packets = 0;
  std::uint32_t received_marked_bytes = 0;
  std::uint32_t received_ect0_bytes = 0;
  std::uint32_t received_ect1_bytes = 0;
  std::uint64_t pacing_rate = 0;    // bytes per second; 0: the round trip is not known
  std::uint64_t delivery_rate = 0;  // bytes per second, of a round trip; 0: not measured
  // Of BBR alone.
  std::uint64_t model_rate = 0;  // bytes per second: what the model takes the path's rate for
  Duration model_rtt{};
  std::string_view phase{};  // "ProbeBW_UP"
  double pacing_gain = 0;
  double cwnd_gain = 0;
  // Of DCTCP alone: RFC 8257 §3.3.
  double marked_share = 0;          // its alpha
  std::uint32_t window_acked = 0;   // bytes, in the present observation window
  std::uint32_t window_marked = 0;  //
  bool echoes_mark = false;         // what came last was marked
};

}  // namespace tideline::tcp
