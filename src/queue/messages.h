// SPDX-License-Identifier: Apache-2.0
// Every message of the queue pair, as it lies in memory: docs/queue-pair.md. Integers are the
// machine's own, for both sides are on one machine; what is reserved is zero.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace tideline::queue {

inline constexpr std::uint64_t kMagic = 0x656e'696c'6564'6974;  // "tideline"
inline constexpr std::uint32_t kVersion = 5;

// How the name of a token's far end begins (an abstract one, after the 0): any process can ask for
// it (getpeername), and so tells a token from all else.
inline constexpr std::string_view kTokenName{"\0tideline.token.", 16};

// --- On the attach socket (AF_UNIX, SOCK_SEQPACKET): one message and descriptors.

// The first, from the program.
struct Hello {
  std::uint64_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t reserved = 0;
  std::array<char, 32> program{};  // for people; ends with 0
};

// The answer, with three descriptors if `refused` is 0: the channel's memory, the eventfd that
// wakes the engine, the family's memory.
struct Welcome {
  std::uint64_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t refused = 0;
  std::uint16_t channel = 0;
  std::uint16_t reserved = 0;
  std::uint32_t family = 0;
  std::uint64_t family_size = 0;
  std::array<char, 256> reason{};  // why not, and what to do; ends with 0
};

enum class Wish : std::uint32_t {
  kWaiter,  // `number` is a waiter from now on; carries the end of its doorbell. No answer
  kFork,    // a channel for a child, holding what this one holds; answered by Welcome
  kFamily,  // the memory of family `number`
  kToken,   // a descriptor that stands for socket `number`, whoever holds it
  kAdopt,   // carries such a descriptor: the socket is this channel's, too
  kHeap,    // memory for buffers that verbs reach by plain copies
  kMemory,  // carries /proc/self/mem, for verbs to reach the rest
};

struct WishMessage {
  Wish wish = Wish::kWaiter;
  std::uint32_t number = 0;
};

// To kFamily, kToken and kHeap with the descriptor, to kAdopt with the socket's handle;
// to kMemory: kNotPermitted if the engine makes no use of it.
struct WishAnswer {
  std::uint32_t failure = 0;  // client::Failure
  std::uint32_t number = 0;
  std::uint64_t size = 0;
};

// --- In the channel's memory: calls, one at a time.

struct EndpointRecord {
  std::array<std::uint8_t, 16> address{};  // IPv4 is mapped
  std::uint16_t port = 0;
  std::uint16_t reserved = 0;
};
static_assert(sizeof(EndpointRecord) == 20);

struct OptionsRecord {
  std::uint64_t send_buffer = 0;
  std::uint64_t receive_buffer = 0;
  std::int64_t keepalive_idle_ns = 0;
  std::int64_t keepalive_interval_ns = 0;
  std::int64_t user_timeout_ns = 0;
  std::int64_t defer_accept_ns = 0;
  std::uint64_t max_pacing_rate = 0;
  std::uint32_t fast_open = 0;
  std::uint16_t max_segment = 0;
  std::uint8_t no_delay = 0;
  std::uint8_t cork = 0;
  std::uint8_t quick_ack = 0;
  std::uint8_t congestion = 0;
  std::uint8_t keepalive = 0;
  std::uint8_t keepalive_probes = 0;
  std::uint8_t connect_fast = 0;
  std::uint8_t urgent_inline = 0;
  std::uint8_t reports_ipv4 = 0;
  std::uint8_t reports_ipv6 = 0;
  std::uint8_t traffic_class = 0;
  std::uint8_t hop_limit = 0;
  std::uint8_t only_ipv6 = 0;
  std::uint8_t reserved = 0;
  std::uint32_t notsent_lowat = 0;
  std::uint32_t receive_lowat = 0;
  std::uint32_t reserved2 = 0;
};
static_assert(sizeof(OptionsRecord) == 88);

// As client::KeyChange.
struct KeyRecord {
  std::uint8_t kind = 0;
  std::uint8_t is_current = 0;
  std::uint8_t is_next = 0;
  std::uint8_t aes = 0;
  std::uint8_t covers_options = 0;
  std::uint8_t send_id = 0;
  std::uint8_t receive_id = 0;
  std::uint8_t peer_bits = 0;
  std::array<std::uint8_t, 16> peer{};
  std::uint8_t size = 0;
  std::array<std::byte, 80> key{};
  std::array<std::uint8_t, 7> reserved{};
};
static_assert(sizeof(KeyRecord) == 112);

// As client::KeyState.
struct KeyStateRecord {
  std::uint32_t count = 0;
  std::uint8_t has_choice = 0;
  std::uint8_t current = 0;
  std::uint8_t next = 0;
  std::uint8_t reserved = 0;
  std::array<std::uint64_t, 5> totals{};  // authentic .. path_errors
  KeyRecord key{};
  std::array<std::uint64_t, 2> key_totals{};  // key_authentic, key_refused
};
static_assert(sizeof(KeyStateRecord) == 176);

struct InfoRecord {
  std::uint8_t state = 0;
  std::uint8_t timestamps = 0;
  std::uint8_t sack = 0;
  std::uint8_t ecn = 0;
  std::uint8_t congestion = 0;
  std::uint8_t recovery = 0;
  std::uint8_t send_window_scale = 0;
  std::uint8_t receive_window_scale = 0;
  std::uint8_t syn_data = 0;
  std::uint8_t probes = 0;
  std::uint8_t backoff = 0;
  std::uint8_t retries = 0;
  std::uint8_t window_scaling = 0;
  std::uint8_t accurate_ecn = 0;
  std::uint8_t ect_seen = 0;
  std::uint8_t fast_child = 0;
  std::uint8_t app_limited = 0;
  std::uint8_t fast_open_failure = 0;
  std::uint8_t echoes_mark = 0;
  std::uint8_t reserved = 0;
  // As in client::Info: mss .. taken, advertised_mss, receive_mss, reordering, reorderings,
  // timeouts, timeout_rows.
  std::array<std::uint32_t, 18> lengths{};
  // rto .. ack_delay, since_received .. buffer_limited, timed_out, AlgorithmInfo::rtt.
  std::array<std::int64_t, 14> times_ns{};
  std::array<std::uint64_t, 9> totals{};  // bytes_sent .. delivery_rate, AlgorithmInfo::rate
  // data_segments_in .. out_of_order, as MarkInfo, AlgorithmInfo's pacing_gain .. window_marked.
  std::array<std::uint32_t, 17> counts{};
  std::uint32_t reserved_too = 0;
};
static_assert(sizeof(InfoRecord) == 352);

// As in client::Report.
struct ReportRecord {
  std::uint8_t ipv6 = 0;
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint8_t size = 0;
  std::uint32_t mtu = 0;
  EndpointRecord to{};
  EndpointRecord from{};
  std::array<std::byte, 128> payload{};
};
static_assert(sizeof(ReportRecord) == 176);

enum class Op : std::uint16_t {
  kOpen,        // number: client::SocketType          -> handle, family, page
  kBind,        // handle, endpoint, kShared, kSharedPort
  kListen,      // handle, number: backlog
  kConnect,     // handle, endpoint, kHasEndpoint
  kAccept,      // handle                              -> handle, family, page
  kShutDown,    // handle, kReceiving, kSending
  kClose,       // handle, kAbort: this channel lets go of it
  kSetOptions,  // handle, options
  kInfo,        // handle                              -> info, endpoint: the local one
  kDescribe,    // handle, of one that was adopted     -> handle, family, page
  kRoute,       // endpoint: its address               -> number: kOwns, kReaches
  kOwnAddress,  // kWantsIpv4                          -> endpoint, number: 1 if there is one
  kTakeReport,  // handle                              -> report
  kVerbs,       // CallSlot::verbs_request             -> verbs_response
  kChangeKeys,  // handle, CallSlot::key
  kReadKey,     // handle, number: its index           -> CallSlot::key_state
};

// Bits of Request::flags.
inline constexpr std::uint16_t kShared = 1;
inline constexpr std::uint16_t kHasEndpoint = 2;
inline constexpr std::uint16_t kReceiving = 4;
inline constexpr std::uint16_t kSending = 8;
inline constexpr std::uint16_t kAbort = 16;
inline constexpr std::uint16_t kWantsIpv4 = 32;
inline constexpr std::uint16_t kSharedPort = 64;  // with kShared

// Bits of Response::number, of kRoute.
inline constexpr std::uint32_t kOwns = 1;
inline constexpr std::uint32_t kReaches = 2;

struct Request {
  Op op = Op::kOpen;
  std::uint16_t flags = 0;
  std::uint32_t handle = 0;
  std::uint32_t number = 0;
  EndpointRecord endpoint{};
  OptionsRecord options{};
};
static_assert(sizeof(Request) == 120);

struct Response {
  std::uint32_t failure = 0;  // client::Failure
  std::uint32_t handle = 0;
  std::uint32_t family = 0;
  std::uint32_t page = 0;
  std::uint32_t number = 0;
  EndpointRecord endpoint{};
  InfoRecord info{};
  ReportRecord report{};
};
static_assert(sizeof(Response) == 568);

// --- In the FIFOs of a datagram socket: before each datagram. It begins at a multiple of 8 bytes
// of the FIFO's offsets.
struct DatagramRecord {
  std::uint32_t size = 0;   // of the payload behind it
  std::uint32_t whole = 0;  // of what was received: its length, of which `size` are here
  EndpointRecord from{};    // of what is sent: the address, if it is not ::, is to be the source
  EndpointRecord to{};
  std::uint8_t traffic_class = 0;
  std::uint8_t hop_limit = 0;   // of what is sent, 0: as the engine thinks fit
  std::uint8_t whole_only = 0;  // of what is sent: it is refused rather than fragmented
  std::array<std::uint8_t, 5> reserved{};
  std::int64_t arrived_ns = 0;  // of what was received: by the monotonic clock
};
static_assert(sizeof(DatagramRecord) == 64);

}  // namespace tideline::queue
