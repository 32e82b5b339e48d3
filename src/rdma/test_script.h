// SPDX-License-Identifier: Apache-2.0
// Scripts: one queue pair, what its peer sends, and what must come of it, a step per line.
//
//   given RC mtu 1024 rd_atomic 2       the queue pair, in RTS, PSNs 100 both ways; `srq 1`: with a
//                                       shared receive queue
//   recv 1 (64)                         posts receive request 1 of 64 bytes
//   post WRITE 5 (3000)                 posts send request 5: opcode, wr_id, size; [offset N]
//   < SEND_ONLY psn 100 ack (64)        a packet of the peer: opcode, psn, fields, payload size
//   +0.001 > ACK psn 100 msn 1          a millisecond later it is answered; fields not named are
//   free > nothing complete send 5 RETRY_EXCEEDED      the next completion of that queue: wr_id,
//   status, [size] complete nothing state ERR    event QP_ACCESS_ERROR    count rx_duplicate 1
//   memory intact
//
// Fields of packets: psn msn syndrome va len rkey pad imm inv qp gso ack. `va` counts from the
// start of the region, rkey is `good` or a number. Payload that comes is of bytes 1, 2, 3, ...;
// what is sent comes from the region, which begins with bytes 7. Blank lines and # are skipped.
#pragma once

#include <gtest/gtest.h>

#include <charconv>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "base/fault_handler.h"
#include "base/random.h"
#include "packet/copy.h"
#include "rdma/context.h"
#include "rdma/device.h"
#include "wire/roce.h"
#include "wire/test_bytes.h"

namespace tideline::rdma {

using wire::ByteVector;

// The words of a line, taken one by one.
class WordList {
 public:
  explicit WordList(const std::string& line) {
    std::istringstream in(line);
    for (std::string word; in >> word;) words_.push_back(word);
  }
  bool empty() const { return words_.empty(); }
  const std::string& front() const { return words_.front(); }
  std::string take() {
    if (words_.empty()) {
      ADD_FAILURE() << "a word is missing";
      return "";
    }
    std::string word = words_.front();
    words_.pop_front();
    return word;
  }
  std::uint64_t number() { return to_number(take()); }
  // "(64)" at the end of a line.
  std::optional<std::uint32_t> size() {
    if (empty() || !front().starts_with('(')) return std::nullopt;
    const std::string word = take();
    return static_cast<std::uint32_t>(to_number(word.substr(1, word.size() - 2)));
  }

 private:
  static std::uint64_t to_number(const std::string& word) {
    std::uint64_t value = 0;
    const bool hex = word.starts_with("0x");
    const char* begin = word.data() + (hex ? 2 : 0);
    const char* end = word.data() + word.size();
    if (std::from_chars(begin, end, value, hex ? 16 : 10).ptr != end) {
      ADD_FAILURE() << word << " is no number";
    }
    return value;
  }

  std::deque<std::string> words_;
};

class Script final : private ip::Sender, private EventSink, private KeySource {
 public:
  Script()
      : pool_(packet::Pool::create({.segments = 512, .huge_pages = false}).value()),
        device_({.link_mtu = 4200}, *this, *pool_, rng_, *this),
        region_(kRegionSize, std::byte{7}) {
    EXPECT_TRUE(install_fault_handlers());
    device_.gids().add({.gid = kOurs});
    context_ = &device_.open(memory_, *this);
    pd_ = context_->alloc_pd().value();
    send_cq_ = context_->create_cq(1024).value();
    recv_cq_ = context_->create_cq(1024).value();
    mr_ = context_
              ->register_region(*pd_, {.address = base(),
                                       .length = kRegionSize,
                                       .iova = base(),
                                       .access = Access::kLocalWrite | Access::kRemoteWrite |
                                                 Access::kRemoteRead | Access::kRemoteAtomic})
              .value();
  }

  void run(const std::string& text) {
    std::istringstream lines(text);
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      WordList words(line);
      if (words.empty() || words.front().starts_with('#')) continue;
      SCOPED_TRACE("line " + std::to_string(number) + ": " + line);
      step(words);
      if (testing::Test::HasFatalFailure()) return;
    }
    drain();
    EXPECT_TRUE(sent_.empty()) << "at the end " << describe(sent_.front()) << " is not expected";
  }

 private:
  static constexpr std::size_t kRegionSize = 65536;
  static constexpr wire::Ipv6Address kOurs = wire::Ipv6Address(0x20010db800000000, 1);

  struct Packet {
    wire::Roce headers;
    std::uint32_t size = 0;
  };

  std::uint64_t base() const { return reinterpret_cast<std::uint64_t>(region_.data()); }

  void step(WordList& words) {
    if (words.front().starts_with('+')) {
      advance(Duration(static_cast<std::int64_t>(std::stod(words.take().substr(1)) * 1e9)));
      if (words.empty()) return;
    }
    const std::string what = words.take();
    if (what == "given") return given(words);
    ASSERT_NE(qp_, nullptr) << "a script begins with `given`";
    if (what == "recv") return receive_request(words);
    if (what == "post") return post(words);
    if (what == "<") return packet_comes(words);
    if (what == ">") return packet_leaves(words);
    if (what == "complete") return completion_comes(words);
    if (what == "state") return check_state(words);
    if (what == "event") return event_comes(words);
    if (what == "count") return counted(words);
    if (what == "memory") return check_memory(words);
    if (what == "deregister") {
      mr_->valid = false;
      return;
    }
    FAIL() << "unknown step " << what;
  }

  void check_memory(WordList& words) {
    const bool intact = std::ranges::all_of(region_, [](std::byte b) { return b == std::byte{7}; });
    EXPECT_EQ(intact ? "intact" : "written", words.take());
  }
  void check_state(WordList& words) { EXPECT_EQ(name_of(qp_->state), words.take()); }

  void given(WordList& words) {
    const std::string type = words.take();
    std::map<std::string, std::uint64_t> option{{"mtu", 1024},  {"rd_atomic", 2}, {"timeout", 8},
                                                {"retry", 7},   {"rnr_retry", 7}, {"rnr_timer", 1},
                                                {"access", 14}, {"psn", 100},     {"srq", 0}};
    while (!words.empty()) {
      const std::string key = words.take();
      ASSERT_TRUE(option.contains(key)) << key;
      option[key] = words.number();
    }
    if (option["srq"] != 0) {
      srq_ = context_->create_srq(*pd_, {.max_wr = 64, .max_sge = 1}).value();
    }
    const QpType qp_type = type == "RC" ? QpType::kRc : QpType::kUc;
    qp_ = context_
              ->create_qp(
                  *pd_, {.type = qp_type,
                         .send_cq = send_cq_,
                         .recv_cq = recv_cq_,
                         .srq = srq_,
                         .capacity = {.send_wr = 64, .recv_wr = 64, .send_sge = 1, .recv_sge = 1}})
              .value();
    Mtu mtu = Mtu::k256;
    while (bytes_of(mtu) < option["mtu"]) mtu = static_cast<Mtu>(static_cast<int>(mtu) + 1);
    using M = QpMask;
    QpAttributes a{.state = QpState::kInit,
                   .access = static_cast<Access>(option["access"]),
                   .port = 1,
                   .address = {.destination = wire::Ipv6Address(0x20010db800000000, 2)},
                   .path_mtu = mtu,
                   .timeout = static_cast<std::uint8_t>(option["timeout"]),
                   .retry_count = static_cast<std::uint8_t>(option["retry"]),
                   .rnr_retry = static_cast<std::uint8_t>(option["rnr_retry"]),
                   .min_rnr_timer = static_cast<std::uint8_t>(option["rnr_timer"]),
                   .receive_psn = static_cast<std::uint32_t>(option["psn"]),
                   .send_psn = static_cast<std::uint32_t>(option["psn"]),
                   .max_rd_atomic = static_cast<std::uint8_t>(option["rd_atomic"]),
                   .max_dest_rd_atomic = static_cast<std::uint8_t>(option["rd_atomic"]),
                   .destination_qpn = 0x77};
    const bool rc = qp_type == QpType::kRc;
    const auto modify = [&](std::uint32_t mask) {
      const Status changed = context_->modify_qp(*qp_, a, mask | M::kState, now_);
      ASSERT_TRUE(changed) << changed.error().message();
    };
    modify(M::kPkeyIndex | M::kPort | M::kAccess);
    a.state = QpState::kRtr;
    modify(M::kAddress | M::kPathMtu | M::kDestinationQpn | M::kReceivePsn |
           (rc ? M::kMaxDestRdAtomic | M::kMinRnrTimer : 0));
    a.state = QpState::kRts;
    modify(M::kSendPsn | (rc ? M::kTimeout | M::kRetryCount | M::kRnrRetry | M::kMaxRdAtomic : 0));
    events_.clear();
  }

  void receive_request(WordList& words) {
    const std::uint64_t id = words.number();
    const Sge sge{base() + 32768, words.size().value_or(0), mr_->key};
    const ReceiveRequest request{.wr_id = id, .sges = {&sge, 1}};
    EXPECT_EQ(srq_ != nullptr ? context_->post_srq_recv(*srq_, request)
                              : context_->post_recv(*qp_, request, now_),
              Posted::kPosted);
  }

  void post(WordList& words) {
    static const std::map<std::string, SendOpcode> opcodes{
        {"SEND", SendOpcode::kSend},
        {"SEND_IMM", SendOpcode::kSendImm},
        {"SEND_INV", SendOpcode::kSendInvalidate},
        {"WRITE", SendOpcode::kWrite},
        {"WRITE_IMM", SendOpcode::kWriteImm},
        {"READ", SendOpcode::kRead},
        {"COMPARE_SWAP", SendOpcode::kCompareSwap},
        {"FETCH_ADD", SendOpcode::kFetchAdd},
        {"LOCAL_INV", SendOpcode::kLocalInvalidate}};
    const std::string name = words.take();
    ASSERT_TRUE(opcodes.contains(name)) << name;
    SendRequest request{.wr_id = words.number(),
                        .opcode = opcodes.at(name),
                        .flags = SendFlags::kSignaled,
                        .remote_address = 0x1000,
                        .rkey = 0x99};
    std::uint32_t lkey = mr_->key;
    while (!words.empty() && !words.front().starts_with('(')) {
      const std::string flag = words.take();
      if (flag == "fence") {
        request.flags |= SendFlags::kFence;
      } else if (flag == "quiet") {
        request.flags &= ~SendFlags::kSignaled;
      } else if (flag == "badkey") {
        lkey = 1;
      } else {
        FAIL() << flag;
      }
    }
    const Sge sge{base(), words.size().value_or(0), lkey};
    request.sges = {&sge, 1};
    EXPECT_EQ(context_->post_send(*qp_, request, now_), Posted::kPosted);
  }

  // Fields of a packet; those that were named.
  std::map<std::string, std::uint64_t> fields(WordList& words) {
    std::map<std::string, std::uint64_t> named;
    while (!words.empty() && !words.front().starts_with('(')) {
      const std::string key = words.take();
      if (key == "ack" || key == "gso") {
        named[key] = 1;
      } else if (key == "rkey" && words.front() == "good") {
        words.take();
        named[key] = mr_->key;
      } else {
        named[key] = words.number();
      }
    }
    return named;
  }

  static std::uint8_t opcode_of(const std::string& name, QpType type) {
    const auto service = type == QpType::kRc ? wire::RoceService::kRc : wire::RoceService::kUc;
    for (const wire::RoceOpcode& opcode : wire::kRoceOpcodes) {
      if (opcode.service == service && opcode.name == name) return opcode.code;
    }
    ADD_FAILURE() << "no opcode " << name;
    return 0;
  }

  void packet_comes(WordList& words) {
    wire::Roce roce{.opcode = opcode_of(words.take(), qp_->init.type), .qp = qp_->number};
    auto named = fields(words);
    const std::uint32_t size = words.size().value_or(0);
    const auto get = [&](const char* key, std::uint64_t otherwise) {
      return static_cast<std::uint32_t>(named.contains(key) ? named[key] : otherwise);
    };
    roce.psn = get("psn", 0);
    roce.msn = get("msn", 0);
    roce.syndrome = static_cast<std::uint8_t>(get("syndrome", 0x1f));
    roce.address = base() + (named.contains("va") ? named["va"] : 0);
    roce.length = get("len", size);
    roce.rkey = get("rkey", mr_->key);
    roce.pad = static_cast<std::uint8_t>(get("pad", (4 - size % 4) % 4));
    roce.immediate = get("imm", 0);
    roce.invalidate_key = get("inv", 0);
    roce.original = 0x1122334455667788;
    roce.swap_add = 1;
    roce.ack_request = named.contains("ack");
    if (named.contains("qp")) roce.qp = get("qp", 0);
    ByteVector bytes(roce.info().header_size + size + (named.contains("pad") ? 0 : roce.pad) + 4);
    wire::emit(roce, bytes);
    for (std::uint32_t i = 0; i < size; ++i) {
      bytes.at(roce.info().header_size + i) = static_cast<std::byte>(i + 1);
    }
    packet::PacketPtr packet = packet::copy_of(bytes, *pool_, passes_);
    packet::Offload& offload = packet->meta().offload;
    offload.checksum = packet::Checksum::kNeeded;
    if (named.contains("gso")) {
      offload.gso = packet::Gso::kRoce;
      offload.gso_size = static_cast<std::uint16_t>(qp_->mtu);
    }
    ip::Datagram datagram{.source = qp_->route.destination, .destination = kOurs};
    datagram.layout.end = static_cast<std::uint32_t>(bytes.size());
    datagram.layout.ip_version = 6;
    device_.receive(std::move(packet), datagram, now_);
  }

  void packet_leaves(WordList& words) {
    drain();
    const std::string name = words.take();
    if (name == "nothing") {
      EXPECT_TRUE(sent_.empty()) << describe(sent_.front()) << " was sent";
      return;
    }
    ASSERT_FALSE(sent_.empty()) << "nothing was sent";
    const Packet packet = sent_.front();
    sent_.pop_front();
    EXPECT_EQ(packet.headers.info().name, name) << describe(packet);
    const std::map<std::string, std::uint64_t> actual{
        {"psn", packet.headers.psn},       {"msn", packet.headers.msn},
        {"len", packet.headers.length},    {"syndrome", packet.headers.syndrome},
        {"va", packet.headers.address},    {"ack", packet.headers.ack_request ? 1 : 0},
        {"imm", packet.headers.immediate}, {"inv", packet.headers.invalidate_key}};
    for (const auto& [key, value] : fields(words)) {
      ASSERT_TRUE(actual.contains(key)) << key;
      EXPECT_EQ(actual.at(key), value) << key << " of " << describe(packet);
    }
    if (const auto size = words.size()) {
      EXPECT_EQ(packet.size, *size) << describe(packet);
    }
  }

  void completion_comes(WordList& words) {
    static const std::map<std::string, WcStatus> statuses{
        {"SUCCESS", WcStatus::kSuccess},
        {"LOCAL_LENGTH", WcStatus::kLocalLength},
        {"LOCAL_QP_OPERATION", WcStatus::kLocalQpOperation},
        {"LOCAL_PROTECTION", WcStatus::kLocalProtection},
        {"FLUSHED", WcStatus::kFlushed},
        {"WINDOW_BIND", WcStatus::kWindowBind},
        {"BAD_RESPONSE", WcStatus::kBadResponse},
        {"REMOTE_INVALID_REQUEST", WcStatus::kRemoteInvalidRequest},
        {"REMOTE_ACCESS", WcStatus::kRemoteAccess},
        {"REMOTE_OPERATION", WcStatus::kRemoteOperation},
        {"RETRY_EXCEEDED", WcStatus::kRetryExceeded},
        {"RNR_RETRY_EXCEEDED", WcStatus::kRnrRetryExceeded}};
    drain();
    const std::string queue = words.take();
    if (queue == "nothing") {
      EXPECT_EQ(send_cq_->size() + recv_cq_->size(), 0U);
      return;
    }
    std::array<Completion, 1> one;
    ASSERT_EQ((queue == "send" ? send_cq_ : recv_cq_)->poll(one), 1U) << "no completion";
    EXPECT_EQ(one[0].wr_id, words.number());
    const std::string status = words.take();
    ASSERT_TRUE(statuses.contains(status)) << status;
    EXPECT_EQ(static_cast<int>(one[0].status), static_cast<int>(statuses.at(status))) << status;
    if (const auto size = words.size()) {
      EXPECT_EQ(one[0].byte_len, *size);
    }
  }

  void event_comes(WordList& words) {
    static const std::map<std::string, EventType> event_types{
        {"QP_ACCESS_ERROR", EventType::kQpAccessError},
        {"QP_REQUEST_ERROR", EventType::kQpRequestError},
        {"QP_FATAL", EventType::kQpFatal}};
    const std::string name = words.take();
    if (name == "nothing") {
      EXPECT_TRUE(events_.empty());
      return;
    }
    ASSERT_FALSE(events_.empty()) << "no event";
    EXPECT_EQ(static_cast<int>(events_.front()), static_cast<int>(event_types.at(name)));
    events_.pop_front();
  }

  void counted(WordList& words) {
    const std::string name = words.take();
    const std::uint64_t value = words.number();
    for (std::size_t i = 0; i < kCounterCount; ++i) {
      const auto counter = static_cast<Counter>(i);
      if (name_of(counter) != name) continue;
      EXPECT_EQ(device_.counters().of(counter), value);
      return;
    }
    FAIL() << "no counter " << name;
  }

  void advance(Duration time) {
    drain();
    const Instant end = now_ + time;
    while (device_.next_deadline() <= end) {
      now_ = std::max(now_, device_.next_deadline());
      drain();
    }
    now_ = end;
    drain();
  }
  void drain() { device_.run(now_); }

  static std::string describe(const Packet& packet) {
    return fmt::format("{} psn {} syndrome {:#x} msn {} ({})", packet.headers.info().name,
                       packet.headers.psn, packet.headers.syndrome, packet.headers.msn,
                       packet.size);
  }

  ip::Sent send(packet::PacketPtr packet, const ip::Departure& /*departure*/,
                Instant /*now*/) override {
    constexpr std::size_t kUdp = 8;
    const auto head = packet->first().bytes().subspan(kUdp);
    const auto roce = wire::parse_roce(head, packet->size() - kUdp);
    CHECK(roce.has_value());
    const std::size_t around = kUdp + roce->info().header_size + roce->pad + wire::kIcrcSize;
    sent_.push_back(
        {.headers = *roce, .size = static_cast<std::uint32_t>(packet->size() - around)});
    return {};
  }
  void completion(CompletionQueue& /*cq*/) override {}
  void asynchronous(const AsyncEvent& event) override { events_.push_back(event.type); }
  std::uint32_t next_key() override { return static_cast<std::uint32_t>(rng_()); }

  Rng rng_{1};
  std::unique_ptr<packet::Pool> pool_;
  GuardedMemory memory_;
  Device device_;
  ByteVector region_;
  packet::PassCounter passes_;
  std::deque<Packet> sent_;
  std::deque<EventType> events_;
  Instant now_{std::chrono::seconds(1)};
  Context* context_ = nullptr;
  ProtectionDomain* pd_ = nullptr;
  CompletionQueue* send_cq_ = nullptr;
  CompletionQueue* recv_cq_ = nullptr;
  MemoryRegion* mr_ = nullptr;
  SharedReceiveQueue* srq_ = nullptr;
  QueuePair* qp_ = nullptr;
};

#define SCRIPT(suite, name, text) \
  TEST(suite, name) { Script().run(text); }

}  // namespace tideline::rdma
