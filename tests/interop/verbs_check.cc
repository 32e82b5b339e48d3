// SPDX-License-Identifier: Apache-2.0
// verbs_check PATH_MTU GID_INDEX PORT [SERVER]: a program of libibverbs that checks what it moves,
// between two implementations of RC. The server has a region and receive requests; the client
// writes, reads, sends, and counts in it, and at last asks for what it has no right to. Both ends
// know what each byte must be. Addresses and the steps of the check are exchanged over TCP. Exit
// status 0: all was as it must be.
#include <infiniband/verbs.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr std::uint32_t kRegion = 1U << 20;
constexpr std::uint32_t kMessages = kRegion / 2;  // second half: what SENDs bring
constexpr std::uint32_t kCounter = 8;             // where the word is that atomics count in
constexpr std::array<std::uint32_t, 8> kSizes{0, 1, 5, 256, 1024, 4093, 4096, 300'000};

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "verbs_check: %s\n", what);
  std::exit(1);
}

void expect(bool good, const char* what) {
  if (!good) fail(what);
}

// The factors are such that no message looks like an EtherType, which tshark would dissect.
std::uint8_t pattern(std::uint32_t seed, std::uint32_t at) {
  return static_cast<std::uint8_t>(seed * 41 + at * 11 + (at >> 8) * 5 + (at >> 16));
}

void fill(std::uint8_t* to, std::uint32_t seed, std::uint32_t size) {
  for (std::uint32_t i = 0; i < size; ++i) to[i] = pattern(seed, i);
}

bool is_filled(const std::uint8_t* from, std::uint32_t seed, std::uint32_t size) {
  for (std::uint32_t i = 0; i < size; ++i) {
    if (from[i] != pattern(seed, i)) return false;
  }
  return true;
}

// The stream between the two, which also keeps them in step.
class Stream {
 public:
  Stream(const char* server, const char* port) {
    addrinfo hints{.ai_flags = server == nullptr ? AI_PASSIVE : 0,
                   .ai_family = AF_INET,
                   .ai_socktype = SOCK_STREAM};
    addrinfo* address = nullptr;
    expect(::getaddrinfo(server, port, &hints, &address) == 0, "bad address");
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    if (server != nullptr) {
      expect(::connect(socket_, address->ai_addr, address->ai_addrlen) == 0, "cannot connect");
    } else {
      const int listener = socket_;
      const int on = 1;
      ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
      expect(::bind(listener, address->ai_addr, address->ai_addrlen) == 0, "cannot bind");
      expect(::listen(listener, 1) == 0, "cannot listen");
      socket_ = ::accept(listener, nullptr, nullptr);
      expect(socket_ >= 0, "cannot accept");
      ::close(listener);
    }
    ::freeaddrinfo(address);
  }
  ~Stream() { ::close(socket_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  template <typename T>
  T exchange(const T& mine) {
    T theirs{};
    expect(::send(socket_, &mine, sizeof(mine), MSG_NOSIGNAL) == sizeof(mine), "peer has gone");
    expect(::recv(socket_, &theirs, sizeof(theirs), MSG_WAITALL) == sizeof(theirs),
           "peer has given up");
    return theirs;
  }
  // Both are at the same step.
  void meet(std::uint32_t step) { expect(exchange(step) == step, "peer is at another step"); }

 private:
  int socket_ = -1;
};

// Of two programs on little-endian machines.
struct Address {
  std::uint64_t memory;
  std::uint32_t rkey;
  std::uint32_t qpn;
  std::uint32_t psn;
  ibv_gid gid;
};

class Endpoint {
 public:
  Endpoint(ibv_mtu mtu, std::uint8_t gid_index)
      : memory_(kRegion), mtu_(mtu), gid_index_(gid_index) {
    ibv_device** devices = ibv_get_device_list(nullptr);
    expect(devices != nullptr && devices[0] != nullptr, "no device");
    context_ = ibv_open_device(devices[0]);
    expect(context_ != nullptr, "cannot open the device");
    ibv_free_device_list(devices);
    pd_ = ibv_alloc_pd(context_);
    constexpr int kAccess = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
                            IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC;
    region_ = ibv_reg_mr(pd_, memory_.data(), memory_.size(), kAccess);
    expect(region_ != nullptr, "cannot register memory");
    queue_ = ibv_create_cq(context_, 64, nullptr, nullptr, 0);
    expect(queue_ != nullptr, "cannot create a completion queue");
    ibv_qp_init_attr init{
        .send_cq = queue_,
        .recv_cq = queue_,
        .cap = {.max_send_wr = 16, .max_recv_wr = 16, .max_send_sge = 2, .max_recv_sge = 1},
        .qp_type = IBV_QPT_RC,
        .sq_sig_all = 1};
    qp_ = ibv_create_qp(pd_, &init);
    expect(qp_ != nullptr, "cannot create a queue pair");
    ibv_qp_attr attributes{.qp_state = IBV_QPS_INIT, .qp_access_flags = kAccess, .port_num = 1};
    modify(attributes, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
  }
  // The process ends soon; what is open goes with it.

  Address address() const {
    Address mine{.memory = reinterpret_cast<std::uintptr_t>(memory_.data()),
                 .rkey = region_->rkey,
                 .qpn = qp_->qp_num,
                 .psn = 0xfffffe,  // it wraps
                 .gid = {}};
    expect(ibv_query_gid(context_, 1, gid_index_, &mine.gid) == 0, "cannot query the GID");
    return mine;
  }

  void connect(const Address& peer) {
    ibv_qp_attr attributes{
        .qp_state = IBV_QPS_RTR,
        .path_mtu = mtu_,
        .rq_psn = peer.psn,
        .dest_qp_num = peer.qpn,
        .ah_attr = {.grh = {.dgid = peer.gid, .sgid_index = gid_index_, .hop_limit = 64},
                    .is_global = 1,
                    .port_num = 1},
        .max_dest_rd_atomic = 4,
        .min_rnr_timer = 14};  // 1.28 ms
    modify(attributes, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
                           IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
    attributes = {.qp_state = IBV_QPS_RTS,
                  .sq_psn = address().psn,
                  .max_rd_atomic = 4,
                  .timeout = 16,  // 268 ms
                  .retry_cnt = 7,
                  .rnr_retry = 7};
    modify(attributes, IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC | IBV_QP_TIMEOUT |
                           IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY);
    peer_ = peer;
  }

  std::uint8_t* at(std::uint32_t offset) { return memory_.data() + offset; }
  std::uint64_t& word(std::uint32_t offset) {
    return *reinterpret_cast<std::uint64_t*>(memory_.data() + offset);
  }

  // A request about `size` bytes at `local` here and at `remote` there.
  ibv_send_wr request(ibv_wr_opcode opcode, std::uint32_t local, std::uint32_t remote,
                      std::uint32_t size) {
    // In two pieces, so that packets do not end where these do.
    pieces_ = {ibv_sge{.addr = reinterpret_cast<std::uintptr_t>(at(local)),
                       .length = size / 3,
                       .lkey = region_->lkey},
               ibv_sge{.addr = reinterpret_cast<std::uintptr_t>(at(local)) + size / 3,
                       .length = size - size / 3,
                       .lkey = region_->lkey}};
    const bool whole = size <= 8;  // an atomic takes one piece
    if (whole) pieces_[0].length = size;
    ibv_send_wr wr{};
    wr.sg_list = pieces_.data();
    wr.num_sge = whole ? 1 : 2;
    wr.opcode = opcode;
    wr.wr.rdma.remote_addr = peer_.memory + remote;
    wr.wr.rdma.rkey = peer_.rkey;
    return wr;
  }
  ibv_wc run(ibv_send_wr wr) {
    ibv_send_wr* bad = nullptr;
    expect(ibv_post_send(qp_, &wr, &bad) == 0, "cannot post a send request");
    return wait();
  }
  void run_well(const ibv_send_wr& wr, const char* what) {
    const ibv_wc completion = run(wr);
    if (completion.status == IBV_WC_SUCCESS) return;
    std::fprintf(stderr, "verbs_check: %s: %s\n", what, ibv_wc_status_str(completion.status));
    std::exit(1);
  }
  std::uint64_t run_atomic(ibv_wr_opcode opcode, std::uint64_t compare_add, std::uint64_t swap) {
    ibv_send_wr wr = request(opcode, 0, kCounter, 8);
    wr.wr.atomic = {.remote_addr = peer_.memory + kCounter,
                    .compare_add = compare_add,
                    .swap = swap,
                    .rkey = peer_.rkey};
    run_well(wr, "atomic");
    return word(0);
  }

  void post_receive(std::uint32_t offset, std::uint32_t size) {
    ibv_sge piece{.addr = reinterpret_cast<std::uintptr_t>(at(offset)),
                  .length = size,
                  .lkey = region_->lkey};
    ibv_recv_wr wr{.sg_list = &piece, .num_sge = 1};
    ibv_recv_wr* bad = nullptr;
    expect(ibv_post_recv(qp_, &wr, &bad) == 0, "cannot post a receive request");
  }

  ibv_wc wait() {
    ibv_wc completion{};
    for (int found = 0; found == 0;) {
      found = ibv_poll_cq(queue_, 1, &completion);
      expect(found >= 0, "cannot poll");
    }
    return completion;
  }

 private:
  void modify(ibv_qp_attr& attributes, int mask) {
    expect(ibv_modify_qp(qp_, &attributes, mask) == 0, "cannot modify the queue pair");
  }

  std::vector<std::uint8_t> memory_;
  ibv_mtu mtu_;
  std::uint8_t gid_index_;
  ibv_context* context_ = nullptr;
  ibv_pd* pd_ = nullptr;
  ibv_mr* region_ = nullptr;
  ibv_cq* queue_ = nullptr;
  ibv_qp* qp_ = nullptr;
  Address peer_{};
  std::array<ibv_sge, 2> pieces_{};
};

constexpr std::uint32_t kImmediate = 0x01020304;

void serve(Endpoint& end, Stream& stream) {
  std::uint32_t step = 0;
  for (std::uint32_t seed = 0; seed < kSizes.size(); ++seed) {
    const std::uint32_t size = kSizes[seed];
    // WRITE: into the first half, not a byte beyond.
    std::memset(end.at(0), 0xee, kMessages);
    stream.meet(++step);
    stream.meet(++step);
    expect(is_filled(end.at(64), seed, size), "WRITE brought other bytes");
    expect(end.at(63)[0] == 0xee && end.at(64 + size)[0] == 0xee, "WRITE went beyond its end");
    // WRITE with immediate, and READ of what we have put there.
    end.post_receive(kMessages, 1);
    stream.meet(++step);
    const ibv_wc written = end.wait();
    expect(written.status == IBV_WC_SUCCESS && written.opcode == IBV_WC_RECV_RDMA_WITH_IMM,
           "no completion of a WRITE with immediate");
    expect(written.byte_len == size, "WRITE with immediate has another length");
    expect(
        (written.wc_flags & IBV_WC_WITH_IMM) != 0 && ntohl(written.imm_data) == kImmediate + seed,
        "WRITE has another immediate");
    expect(is_filled(end.at(64), seed + 100, size), "WRITE with immediate brought other bytes");
    fill(end.at(64), seed + 200, size);
    stream.meet(++step);
    stream.meet(++step);
    // SEND: the receive request comes late, so that the peer is told to wait.
    ::usleep(20'000);
    end.post_receive(kMessages, kMessages);
    const ibv_wc received = end.wait();
    expect(received.status == IBV_WC_SUCCESS && received.opcode == IBV_WC_RECV, "no SEND");
    expect(received.byte_len == size, "SEND has another length");
    expect(
        (received.wc_flags & IBV_WC_WITH_IMM) != 0 && ntohl(received.imm_data) == kImmediate - seed,
        "SEND has another immediate");
    expect(is_filled(end.at(kMessages), seed + 300, size), "SEND brought other bytes");
  }
  end.word(kCounter) = 0x0123456789abcdef;
  stream.meet(++step);
  stream.meet(++step);
  expect(end.word(kCounter) == 0xfedcba9876543210, "atomics left another value");
  stream.meet(++step);
}

void ask(Endpoint& end, Stream& stream) {
  std::uint32_t step = 0;
  for (std::uint32_t seed = 0; seed < kSizes.size(); ++seed) {
    const std::uint32_t size = kSizes[seed];
    stream.meet(++step);
    fill(end.at(64), seed, size);
    end.run_well(end.request(IBV_WR_RDMA_WRITE, 64, 64, size), "WRITE");
    stream.meet(++step);
    stream.meet(++step);
    fill(end.at(64), seed + 100, size);
    ibv_send_wr write = end.request(IBV_WR_RDMA_WRITE_WITH_IMM, 64, 64, size);
    write.imm_data = htonl(kImmediate + seed);
    end.run_well(write, "WRITE with immediate");
    stream.meet(++step);
    std::memset(end.at(64), 0, kMessages - 64);
    end.run_well(end.request(IBV_WR_RDMA_READ, 64, 64, size), "READ");
    expect(is_filled(end.at(64), seed + 200, size), "READ brought other bytes");
    expect(end.at(64 + size)[0] == 0, "READ went beyond its end");
    stream.meet(++step);
    fill(end.at(64), seed + 300, size);
    ibv_send_wr send = end.request(IBV_WR_SEND_WITH_IMM, 64, 0, size);
    send.imm_data = htonl(kImmediate - seed);
    end.run_well(send, "SEND");
  }
  stream.meet(++step);
  constexpr std::uint64_t kStart = 0x0123456789abcdef;
  expect(end.run_atomic(IBV_WR_ATOMIC_FETCH_AND_ADD, 5, 0) == kStart, "FetchAdd: another original");
  expect(end.run_atomic(IBV_WR_ATOMIC_CMP_AND_SWP, kStart, 1) == kStart + 5,
         "CmpSwap: it is equal");
  expect(end.run_atomic(IBV_WR_ATOMIC_CMP_AND_SWP, kStart + 5, 0xfedcba9876543210) == kStart + 5,
         "CmpSwap: another original");
  expect(end.run_atomic(IBV_WR_ATOMIC_FETCH_AND_ADD, 0, 0) == 0xfedcba9876543210,
         "CmpSwap: it has not swapped");
  stream.meet(++step);
  // Beyond the end of the region: the peer refuses, and that is the end of the queue pair, also of
  // the peer's: where the wire has lost the refusal, nobody answers any more.
  const ibv_wc refused = end.run(end.request(IBV_WR_RDMA_WRITE, 64, kRegion - 8, 64));
  expect(refused.status == IBV_WC_REM_ACCESS_ERR || refused.status == IBV_WC_RETRY_EXC_ERR,
         "a WRITE beyond the region was not refused");
  const ibv_wc flushed = end.run(end.request(IBV_WR_RDMA_WRITE, 64, 64, 64));
  expect(flushed.status == IBV_WC_WR_FLUSH_ERR, "a queue pair in error takes requests");
  stream.meet(++step);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) fail("arguments: PATH_MTU GID_INDEX PORT [SERVER]");
  const std::string mtu = argv[1];
  expect(mtu == "1024" || mtu == "4096", "the path MTU is 1024 or 4096");
  Endpoint end(mtu == "1024" ? IBV_MTU_1024 : IBV_MTU_4096,
               static_cast<std::uint8_t>(std::strtoul(argv[2], nullptr, 10)));
  const char* server = argc > 4 ? argv[4] : nullptr;
  Stream stream(server, argv[3]);
  end.connect(stream.exchange(end.address()));
  stream.meet(1000);  // connected, both
  if (server == nullptr) {
    serve(end, stream);
  } else {
    ask(end, stream);
  }
  return 0;
}
