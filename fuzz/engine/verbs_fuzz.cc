// SPDX-License-Identifier: Apache-2.0
// A hostile program of RDMA at a queue pair (docs/queue-pair.md, "Verbs" and "Trust"): the input is
// what it calls for, and writes into rings and their indices. Each input has a program of its own,
// whose two RC queue pairs are connected to each other; the engine stays.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "engine/queue_test_client.h"
#include "engine/rdma_service.h"
#include "engine/verbs_values.h"
#include "input.h"
#include "queue/verbs.h"
#include "rdma/device.h"

namespace tideline::engine {
namespace {

using queue::PlaceRecord;
using queue::VerbsOp;
using queue::VerbsRequest;
using queue::VerbsResponse;

constexpr std::uint64_t kHeap = 0x10000000;  // where the program says that it has its heap
constexpr std::uint32_t kSlots = 8;

class Engine {
 public:
  Engine() : rng_(7) {
    const rdma::DeviceOptions options{.node_guid = 1, .link_mtu = 1500};
    device_.emplace(options, served.worker().host()->stack(), served.worker().pool(), rng_, keys_);
    device_->gids().add({.gid = kOwn});
    served.server().serve_rdma(*device_);
  }
  ~Engine() {
    served.server().leave_rdma();
    device_.reset();
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  bool is_empty() {
    const rdma::DeviceStatus now = device_->status();
    return served.server().is_idle() &&
           now.pds + now.regions + now.cqs + now.srqs + now.ahs + now.qps == 0;
  }

  TestEngine served;

 private:
  RandomKeys keys_;
  Rng rng_;
  std::optional<rdma::Device> device_;
};

class Program {
 public:
  Program(TestEngine& engine, Input input) : engine_(engine), input_(input), client_(engine) {}

  void run() {
    if (!client_.greet()) return;
    family_ = client_.open().family;
    set_up();
    for (int steps = 0; !input_.empty() && steps < 64 && !client_.is_ended(); ++steps) {
      step();
      engine_.turns(2);
    }
  }

 private:
  VerbsResponse call(const VerbsRequest& request) {
    client_.memory().call.verbs_request = request;
    client_.call({.op = queue::Op::kVerbs});
    const VerbsResponse response = client_.memory().call.verbs_response;
    if (response.error == 0 && response.place.size > 0) places_.push_back(response.place);
    return response;
  }

  // A heap with a region, a completion queue, and two queue pairs of handles 5 and 6, ready.
  void set_up() {
    call({.op = VerbsOp::kOpen});
    CHECK(client_.tell(queue::WishMessage{.wish = queue::Wish::kHeap}));
    client_.hint(0);
    queue::WishAnswer heap;
    client_.hear(heap);
    call({.op = VerbsOp::kHeapAt, .address = kHeap});
    call({.op = VerbsOp::kAllocPd, .handle = 1});
    const auto region = call({.op = VerbsOp::kRegister,
                              .handle = 2,
                              .access = 15,
                              .address = kHeap,
                              .length = 65536,
                              .iova = kHeap});
    key_ = region.key;
    call({.op = VerbsOp::kCreateCq, .handle = 1, .number = 2 * kSlots});
    VerbsRequest make{.op = VerbsOp::kCreateQp, .type = 2, .handle = 2, .second = 4, .third = 4};
    make.capacity = {.send_wr = kSlots, .recv_wr = kSlots, .send_sge = 2, .recv_sge = 2};
    std::array<std::uint32_t, 2> numbers{};
    for (std::uint32_t& number : numbers) {
      const VerbsResponse made = call(make);
      CHECK(made.error == 0, "error {}", made.error);
      number = made.number;
    }
    connect(5, numbers[1]);
    connect(6, numbers[0]);
  }

  void connect(std::uint32_t handle, std::uint32_t peer) {
    using M = rdma::QpMask;
    const auto modify = [&](std::uint32_t mask, const rdma::QpAttributes& attributes) {
      const auto response = call({.op = VerbsOp::kModifyQp,
                                  .handle = handle,
                                  .mask = mask,
                                  .attributes = to_record(attributes)});
      CHECK(response.error == 0, "error {}", response.error);
    };
    modify(M::kState | M::kPkeyIndex | M::kPort | M::kAccess,
           {.state = rdma::QpState::kInit,
            .access = rdma::Access::kRemoteWrite | rdma::Access::kRemoteRead |
                      rdma::Access::kRemoteAtomic,
            .port = 1});
    modify(M::kState | M::kAddress | M::kPathMtu | M::kDestinationQpn | M::kReceivePsn |
               M::kMaxDestRdAtomic | M::kMinRnrTimer,
           {.state = rdma::QpState::kRtr,
            .address = {.destination = kOwn},
            .path_mtu = rdma::Mtu::k1024,
            .min_rnr_timer = 1,
            .max_dest_rd_atomic = 4,
            .destination_qpn = peer});
    modify(M::kState | M::kTimeout | M::kRetryCount | M::kRnrRetry | M::kSendPsn | M::kMaxRdAtomic,
           {.state = rdma::QpState::kRts,
            .timeout = 8,
            .retry_count = 3,
            .rnr_retry = 3,
            .max_rd_atomic = 4});
  }

  void step() {
    switch (input_.byte() % 8) {
      case 0:
        return call_anything();
      case 1:
        return write_some();
      case 2:
        return move_indices();
      case 3:
        return client_.hint(queue::verbs_hint(input_.byte() % 12));
      case 4:
      case 5:
        return post();
      case 6:
        return engine_.skip(std::chrono::milliseconds(input_.byte()));
      default:
        if (input_.byte() == 255) client_.die();
        return;
    }
  }

  // Handles and operations that are mostly there, and whatever behind them.
  void call_anything() {
    auto request = input_.take<VerbsRequest>();
    request.op = static_cast<VerbsOp>(static_cast<unsigned>(request.op) % 22);
    for (std::uint32_t* handle :
         {&request.handle, &request.second, &request.third, &request.fourth}) {
      *handle %= 16;
    }
    call(request);
  }
  std::span<std::byte> piece() {
    const PlaceRecord& place = places_[input_.byte() % places_.size()];
    return family_->bytes().subspan(place.offset, place.size);
  }
  void write_some() {
    const auto bytes = piece();
    const std::size_t at = input_.word() % bytes.size();
    input_.fill(bytes.subspan(at, std::min<std::size_t>(16, bytes.size() - at)));
  }
  // The first word of some cache line.
  void move_indices() {
    const auto bytes = piece();
    const std::size_t lines = bytes.size() / kCacheLine;
    const std::size_t at = input_.byte() % std::min<std::size_t>(lines, 4);
    auto& index =
        *reinterpret_cast<std::atomic<std::uint32_t>*>(bytes.subspan(at * kCacheLine).data());
    index.fetch_add(input_.byte());
    client_.hint(queue::verbs_hint(input_.byte() % 12));
  }
  // A request that is nearly right, to a queue pair as it was made.
  void post() {
    const bool second = input_.byte() % 2 == 1;
    const PlaceRecord& place = places_[places_.size() > 3 ? (second ? 3 : 2) : 0];
    const auto bytes = family_->bytes().subspan(place.offset, place.size);
    auto* indices = reinterpret_cast<queue::WorkIndices*>(bytes.data());
    const bool receives = input_.byte() % 3 == 0;
    std::atomic<std::uint32_t>& written = indices[receives ? 1 : 0].written;
    const queue::PieceRecord part{
        .address = kHeap + input_.word(), .length = input_.word(), .lkey = key_};
    if (receives) {
      const std::size_t at = queue::kWorkSlots + std::size_t{place.slots} * place.stride +
                             written.load() % place.receive_slots * place.receive_stride;
      const queue::ReceiveRecord record{.wr_id = 1, .pieces = 1};
      std::memcpy(&bytes[at], &record, sizeof(record));
      std::memcpy(&bytes[at + sizeof(record)], &part, sizeof(part));
    } else {
      const std::size_t at = queue::kWorkSlots + written.load() % place.slots * place.stride;
      queue::SendRecord record{.wr_id = 2, .remote_address = kHeap + input_.word()};
      record.opcode = input_.byte() % 12;
      record.flags = input_.byte();
      record.rkey = key_ + input_.byte() / 128;
      record.object = input_.byte() % 12;
      record.region = 3;
      record.pieces = 1;
      std::memcpy(&bytes[at], &record, sizeof(record));
      std::memcpy(&bytes[at + sizeof(record)], &part, sizeof(part));
    }
    written.fetch_add(1);
    client_.hint(queue::verbs_hint(second ? 6 : 5));
  }

  TestEngine& engine_;
  Input input_;
  RawClient client_;
  RawClient::Family* family_ = nullptr;
  std::vector<PlaceRecord> places_;
  std::uint32_t key_ = 0;
};

}  // namespace
}  // namespace tideline::engine

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline::engine;  // NOLINT(google-build-using-namespace): of a C function
  static Engine engine;
  Program(engine.served, tideline::Input(data, size)).run();
  CHECK(engine.served.until([&] { return engine.is_empty(); }), "something is left");
  return 0;
}
