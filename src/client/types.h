// SPDX-License-Identifier: Apache-2.0
// What a shim and an engine tell each other about sockets: plain values, the same in every
// placement. Thread: any.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>

#include "base/time.h"
#include "wire/ip_address.h"

namespace tideline::client {

// Why a call on a socket did not do what it was asked for. Shims have the one table that makes
// errno of it.
enum class Failure : std::uint8_t {
  kNone,
  kWouldBlock,
  kInProgress,
  kConnected,     // it is already
  kNotConnected,  //
  kShutDown,      // for sending
  kInvalid,
  kNoDestination,
  kMessageSize,
  kAddressInUse,
  kAddressUnknown,  // not one of ours
  kRefused,
  kReset,
  kTimedOut,
  kHostUnreachable,
  kNetworkUnreachable,
  kProtocolUnreachable,
  kNoMemory,
  kNotSupported,
  kForked,        // the engine is the parent's
  kNotPermitted,  // by the front end's policy
  kProtocol,      // the peer, or a router, could not make sense of what was sent
};

template <typename T>
using Outcome = std::expected<T, Failure>;

enum class SocketType : std::uint8_t { kStream, kDatagram };

// IPv4 addresses are mapped. As a local address, :: is any of both versions, 0.0.0.0 mapped any of
// IPv4.
struct Endpoint {
  wire::Ipv6Address address{};
  std::uint16_t port = 0;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// In the order of tcp::CongestionAlgorithm.
enum class Congestion : std::uint8_t { kCubic, kReno, kBbr, kDctcp };

// With whom an address and port may be shared: SO_REUSEADDR, SO_REUSEPORT, which has the first in
// it. Who shares a port in the second way takes a part of what comes, if all are the same user's.
enum class Sharing : std::uint8_t { kNone, kAddress, kPort };

// Of an IP header.
struct HeaderMarks {
  std::uint8_t traffic_class = 0;  // a stream's ECN field is TCP's own
  std::uint8_t hop_limit = 0;      // of what is sent, 0: as the engine thinks fit

  friend bool operator==(const HeaderMarks&, const HeaderMarks&) = default;
};

// How a datagram goes, beside its destination.
struct DatagramWay {
  std::optional<wire::Ipv6Address> source{};  // one of the host's
  HeaderMarks marks{};
  bool whole = false;  // refused if it is longer than the path's MTU, and never fragmented
};

// Of a stream, or of what a listener accepts. Buffers count from the connection's beginning on.
struct Options {
  std::size_t send_buffer = 0;  // bytes; 0: as the engine thinks fit
  std::size_t receive_buffer = 0;
  bool no_delay = false;
  bool cork = false;
  bool quick_ack = false;
  Congestion congestion = Congestion::kCubic;
  std::uint64_t max_pacing_rate = UINT64_MAX;  // bytes per second; less: paced
  std::uint16_t max_segment = 0;
  bool keepalive = false;
  Duration keepalive_idle = std::chrono::hours(2);
  Duration keepalive_interval = std::chrono::seconds(75);
  std::uint8_t keepalive_probes = 9;
  Duration user_timeout{};     // 0: the engine's
  Duration defer_accept{};     // TCP_DEFER_ACCEPT; 0: not
  bool urgent_inline = false;  // SO_OOBINLINE
  // What ICMP, or ICMPv6, says is kept for take_report(); of a stream that is connected it is told
  // at once, as an error. IP_RECVERR, IPV6_RECVERR.
  bool reports_ipv4 = false;
  bool reports_ipv6 = false;
  std::uint32_t notsent_lowat = 0;  // bytes; 0: the engine's. TCP_NOTSENT_LOWAT
  std::uint32_t receive_lowat = 1;  // bytes, for twice as many of which there is room. SO_RCVLOWAT
  // Of a listener: so many connections may have sent data with their SYN and not answered yet.
  std::uint32_t fast_open = 0;
  HeaderMarks marks{};
  bool only_ipv6 = false;  // of a socket bound to ::, also for datagrams; counts from then on
  // Of connect(): data may go with the SYN; if it can, connect() succeeds before anything is sent.
  bool connect_fast = false;

  friend bool operator==(const Options&, const Options&) = default;
};

// What happens to the keys that authenticate a stream: TCP-AO, RFC 5925.
struct KeyChange {
  static constexpr std::size_t kMaxSize = 80;
  enum class Kind : std::uint8_t {
    kAdd,     // before connect() or listen(), or of a stream that began with keys
    kRemove,  // the one with these identifiers
    kUse,     // of a stream that began with keys: another one, as below
  };
  Kind kind = Kind::kAdd;
  bool is_current = false;  // we send with send_id from now on
  bool is_next = false;     // and want receive_id from the peer
  bool aes = false;         // AES-128-CMAC-96, not HMAC-SHA-1-96
  bool covers_options = true;
  std::uint8_t send_id = 0;
  std::uint8_t receive_id = 0;
  wire::Ipv6Address peer{};    // whose connections; IPv4 is mapped
  std::uint8_t peer_bits = 0;  // of a prefix, 0 to 128
  std::uint8_t size = 0;       // of the key, in bytes
  std::array<std::byte, kMaxSize> key{};
};

// What is known of a stream's keys, and one of them.
struct KeyState {
  std::uint32_t count = 0;   // of keys; 0: it has none
  bool has_choice = false;   // of those that are used first, or now
  std::uint8_t current = 0;  // we send with that send_id
  std::uint8_t next = 0;     // and want that receive_id
  // Segments of a connection.
  std::uint64_t authentic = 0;
  std::uint64_t refused = 0;      // for their code
  std::uint64_t unknown_key = 0;  //
  std::uint64_t missing = 0;      // without a code
  std::uint64_t path_errors = 0;  // ICMP, that was ignored
  // The key that was asked for, if there are as many; what it has seen.
  KeyChange key;
  std::uint64_t key_authentic = 0;
  std::uint64_t key_refused = 0;
};

// RFC 9293 §3.3.2.
enum class StreamState : std::uint8_t {
  kClosed,
  kListen,
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

// Why data did not go with a SYN that was to take some: RFC 7413. In Linux's order.
enum class FastOpenFailure : std::uint8_t { kNone, kNoCookie, kNotAcknowledged, kRetransmitted };

// What a stream's congestion control alone knows: TCP_CC_INFO.
struct AlgorithmInfo {
  // BBR's model.
  std::uint64_t rate = 0;  // bytes per second
  Duration rtt{};
  std::uint32_t pacing_gain = 0;  // in 256ths
  std::uint32_t cwnd_gain = 0;    //
  // DCTCP: RFC 8257 §3.3.
  std::uint32_t marked_share = 0;   // in 1024ths, averaged over windows
  std::uint32_t window_acked = 0;   // bytes, in the present one
  std::uint32_t window_marked = 0;  //
  bool echoes_mark = false;         // what came last was marked
};

// What accurate ECN (RFC 9768) has counted. Of us: of what the peer sent.
struct MarkInfo {
  std::uint32_t packets = 0;           // of ours that were marked, of classic ECN too
  std::uint32_t bytes = 0;             //
  std::uint32_t received_packets = 0;  // marked
  std::uint32_t received_bytes = 0;    //
  std::uint32_t received_ect0_bytes = 0;
  std::uint32_t received_ect1_bytes = 0;
};

// Figures of a stream: what TCP_INFO shows. Lengths in bytes.
struct Info {
  StreamState state = StreamState::kClosed;
  bool timestamps = false;
  bool sack = false;
  bool window_scaling = false;
  bool ecn = false;
  bool accurate_ecn = false;
  bool ect_seen = false;     // something came that could be marked
  bool syn_data = false;     // came with the SYN, and was taken
  bool fast_child = false;   // a listener's, by a cookie of its own
  bool app_limited = false;  // of delivery_rate: there was no more to send
  FastOpenFailure fast_open_failure = FastOpenFailure::kNone;
  Congestion congestion = Congestion::kCubic;
  std::uint8_t recovery = 0;  // 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss
  std::uint8_t send_window_scale = 0;
  std::uint8_t receive_window_scale = 0;
  std::uint32_t mss = 0;       // of a datagram socket with a peer: what goes without fragments
  std::uint32_t path_mtu = 0;  // the largest packet of a stream
  std::uint32_t cwnd = 0;
  std::uint32_t ssthresh = 0;
  std::uint32_t unsent = 0;
  // Segments; of a listener, connections that wait to be accepted.
  std::uint32_t unacknowledged = 0;
  std::uint32_t sacked = 0;  // of a listener, how many may wait
  std::uint32_t lost = 0;
  std::uint32_t retransmitted = 0;  // and in flight
  std::uint32_t send_window = 0;
  std::uint32_t receive_window = 0;
  std::uint32_t largest_window = 0;  // that there was room for
  std::uint32_t taken = 0;           // the most that the program took in a round trip
  std::uint16_t receive_mss = 0;     // of the peer's full segments, as seen
  Duration rto{};
  Duration srtt{};
  Duration rttvar{};
  Duration min_rtt{};
  Duration receive_rtt{};  // as the receiver sees it; 0: not yet
  Duration ack_delay{};
  std::uint16_t advertised_mss = 0;
  std::uint32_t reordering = 0;   // segments that came late, at most
  std::uint32_t reorderings = 0;  // how often
  std::uint8_t probes = 0;        // of a closed window, unanswered
  std::uint8_t backoff = 0;
  std::uint8_t retries = 0;
  Duration since_received{};  // ages
  Duration since_data_received{};
  Duration since_data_sent{};
  Duration busy{};                 // with something to send, or to be acknowledged
  Duration window_limited{};       // of that, held up by the peer's window
  Duration buffer_limited{};       // or by the size of the send buffer
  std::uint32_t timeouts = 0;      // of SYNs, too
  std::uint32_t timeout_rows = 0;  // each until something new is acknowledged
  Duration timed_out{};            // they lasted
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_retransmitted = 0;
  std::uint64_t bytes_acked = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t segments_in = 0;
  std::uint64_t segments_out = 0;
  std::uint64_t pacing_rate = 0;    // bytes per second; 0: the round trip is not known
  std::uint64_t delivery_rate = 0;  // the same; 0: not measured
  std::uint32_t data_segments_in = 0;
  std::uint32_t data_segments_out = 0;
  std::uint32_t delivered = 0;  // segments, and the SYN
  std::uint32_t segments_retransmitted = 0;
  std::uint32_t duplicates = 0;    // segments that came to the peer twice
  std::uint32_t out_of_order = 0;  // segments that came
  MarkInfo marks{};
  AlgorithmInfo algorithm{};
};

// What a sender says of a stream's bytes. Who cannot make use of it passes it over.
struct SendHints {
  bool more = false;           // more will come soon: MSG_MORE
  bool urgent = false;         // the last byte is: MSG_OOB
  bool end_of_record = false;  // no segment reaches beyond: MSG_EOR

  friend bool operator==(const SendHints&, const SendHints&) = default;
};

// What the network said of something that was sent.
struct Report {
  bool ipv6 = false;  // of ICMPv6
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint8_t size = 0;                 // of `payload`
  std::uint32_t mtu = 0;                 // of ICMP's "packet too big"
  Endpoint to{};                         // where it was sent
  wire::Ipv6Address from;                // who says so
  std::array<std::byte, 128> payload{};  // the beginning of it, as far as it was quoted
};

// What receive() has found.
struct Received {
  std::size_t size = 0;   // bytes copied; of a stream, 0: the peer has sent its last
  std::size_t whole = 0;  // of a datagram: its length
  Endpoint from{};        // of a datagram
  Endpoint to{};          //
  HeaderMarks marks{};    //
  Instant arrived{};      //
};

}  // namespace tideline::client
