// SPDX-License-Identifier: Apache-2.0
// The one file of this shim that knows how an engine is made: the wire, a worker with a host on it,
// the RDMA device beside the host, all in the program's own process (placement `app`).
#include "shim/verbs/engine.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/fault_handler.h"
#include "control/server.h"
#include "engine/app_engine.h"
#include "engine/attachment.h"
#include "engine/rdma_service.h"
#include "placement/placement.h"
#include "shim/verbs/shared_heap.h"
#include "wire/roce.h"

namespace tideline::shim::verbs {
namespace {

std::vector<std::string> words_of(const char* variable) {
  std::vector<std::string> words;
  const char* value = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): at start only
  for (std::string_view rest = value == nullptr ? "" : value; !rest.empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    if (comma > 0) words.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return words;
}

std::string text_of(const char* variable, const char* otherwise = "") {
  const char* value = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): at start only
  return value == nullptr ? otherwise : value;
}

engine::AttachmentOptions options_from_environment() {
  engine::AttachmentOptions options{.wire = text_of("TIDELINE_WIRE", engine::kDefaultWire),
                                    .ip4 = words_of("TIDELINE_IP"),
                                    .ip6 = words_of("TIDELINE_IP6"),
                                    .gateways = words_of("TIDELINE_GATEWAY"),
                                    .impair = text_of("TIDELINE_IMPAIR"),
                                    .capture = text_of("TIDELINE_CAPTURE")};
  if (const std::string mtu = text_of("TIDELINE_MTU"); !mtu.empty()) {
    options.mtu = std::strtoul(mtu.c_str(), nullptr, 10);
  }
  if (const std::string seed = text_of("TIDELINE_SEED"); !seed.empty()) {
    options.seed = std::strtoull(seed.c_str(), nullptr, 10);
  }
  // Processes of one program must not write into one file.
  if (const std::size_t mark = options.capture.find("%p"); mark != std::string::npos) {
    options.capture.replace(mark, 2, std::to_string(::getpid()));
  }
  return options;
}

// Whether one-sided operations may go past the wire. Not if the user wants to see frames, or to see
// them suffer.
bool wants_direct_path(const engine::AttachmentOptions& options) {
  return options.wire.starts_with("shm:") && options.impair.empty() && options.capture.empty() &&
         text_of("TIDELINE_DIRECT") != "0";
}

// The GID at index 0, which programs use that are told none; an address of the host like the
// others.
wire::Ipv6Prefix link_local_of(const wire::MacAddress& mac) {
  return {.address = rdma::Gid(0xfe80000000000000, engine::eui64_of(mac)), .length = 64};
}

// The addresses in the order of the table; then the same of RoCE v1.
void fill_gids(rdma::GidTable& gids, const engine::HostOptions& host) {
  gids.add({.gid = host.ipv6.front().address});
  for (const auto& prefix : host.ipv4) gids.add({.gid = rdma::Gid::mapped(prefix.address)});
  for (const auto& prefix : std::span(host.ipv6).subspan(1)) gids.add({.gid = prefix.address});
  gids.add_v1();
}

// Of KIND:NAME[,...] where the name is an interface's.
std::string interface_of(std::string_view wire) {
  for (const std::string_view kind : {"packet:", "xdp:", "tap:"}) {
    if (!wire.starts_with(kind)) continue;
    wire.remove_prefix(kind.size());
    return std::string(wire.substr(0, wire.find(',')));
  }
  return {};
}

class AppEngineOfProcess final : public Engine, private control::Subject {
 public:
  static Result<std::unique_ptr<AppEngineOfProcess>> start();

  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): start() fills it, or gives no object
  rdma::Device& device() override { return *device_; }
  std::string interface() const override { return interface_; }
  void poll() override { engine_->poll(); }
  void about_to_sleep() override { engine_->hand_to_helper(); }
  void report();

 private:
  AppEngineOfProcess(const engine::AttachmentOptions& options,
                     std::unique_ptr<placement::Placement> placement)
      : interface_(interface_of(options.wire)), placement_(std::move(placement)), wires_(options) {}

  bool run_locked(void (*body)(const void*, Instant), const void* context, bool sends) override {
    using Turn = engine::AppEngine::Turn;
    return engine_->exclusively(
        [&](engine::Worker& /*worker*/, Instant now) { body(context, now); },
        sends ? Turn::kWhole : Turn::kNone);
  }
  // control::Subject
  bool look(const std::function<void(engine::Worker&, Instant)>& with) override {
    return engine_->exclusively([&](engine::Worker& worker, Instant now) { with(worker, now); },
                                engine::AppEngine::Turn::kNone);
  }
  const rdma::Device* device() const override { return &*device_; }

  Status attach(const engine::AttachmentOptions& options);
  void offer_status(const engine::AttachmentOptions& options, const engine::HostOptions& host);
  Status wait_until_ready();

  const std::string interface_;  // of the machine, for programs; empty: none
  engine::RandomKeys keys_;
  Rng rng_{0};
  std::unique_ptr<placement::Placement> placement_;  // null: everything goes by frames
  engine::WireOpener wires_;
  std::optional<rdma::Device> device_;
  std::optional<engine::RdmaService> service_;
  std::unique_ptr<engine::AppEngine> engine_;
  std::unique_ptr<control::Server> status_;  // null: there is no place for its socket
};

Status AppEngineOfProcess::attach(const engine::AttachmentOptions& options) {
  auto pool = packet::Pool::create({.segments = 16384, .loans = 8192});
  if (!pool) return fail(std::move(pool.error()));
  engine::Leases leases;
  auto port = wires_.open(options.wire, **pool, false, leases);
  if (!port) return fail(std::move(port.error()));
  const std::size_t mtu = options.mtu == 0 ? (*port)->info().mtu : options.mtu;
  auto host = engine::host_options(options, leases, mtu);
  if (!host) return fail(std::move(host.error()));
  auto created = engine::Worker::create(std::move(*pool), std::move(*port), engine::random_seed());
  if (!created) return fail(std::move(created.error()));
  engine::Worker& worker = **created;
  const wire::MacAddress mac = worker.function().mac();
  host->ipv6.insert(host->ipv6.begin(), link_local_of(mac));
  if (Status s = worker.add_host(*host); !s) return s;

  rng_ = Rng(engine::random_seed());
  ip::Stack& stack = worker.host()->stack();
  rdma::DeviceOptions device{.node_guid = engine::eui64_of(mac), .link_mtu = host->mtu};
  if (!host->ipv4.empty()) device.lids = rdma::LidNetwork(host->ipv4.front());
  device_.emplace(device, stack, worker.pool(), rng_, keys_);
  fill_gids(device_->gids(), *host);
  engine::AppOptions app;
  if (placement_ != nullptr) {
    placement_->set_gids(device_->gids());
    device_->set_direct_path(&*placement_);
    app.at_start = [](void* placement) {
      static_cast<placement::Placement*>(placement)->take_ownership();
    };
    app.context = &*placement_;
    if (text_of("TIDELINE_HEAP") != "0") open_shared_heap();
  }
  stack.udp().set_tunnel(wire::kRocePort, &*device_);
  stack.grh().set_handler(&*device_);
  worker.set_service(&service_.emplace(*device_, worker));
  auto engine = engine::AppEngine::start(std::move(*created), app);
  if (!engine) return fail(std::move(engine.error()));
  engine_ = std::move(*engine);
  offer_status(options, *host);
  if (!text_of("TIDELINE_TELL").empty() && !leases.empty()) {
    std::fprintf(stderr, "tideline: %s leased on %s\n", leases.text().c_str(),
                 options.wire.c_str());
  }
  return wait_until_ready();
}

// Where `tideline status` asks. The program works as well without.
void AppEngineOfProcess::offer_status(const engine::AttachmentOptions& options,
                                      const engine::HostOptions& host) {
  control::Identity identity{.wire = options.wire};
  for (const auto& prefix : host.ipv4) identity.addresses.push_back(prefix.to_text());
  for (const auto& prefix : host.ipv6) identity.addresses.push_back(prefix.to_text());
  auto server = control::Server::start(*this, std::move(identity));
  if (server) status_ = std::move(*server);
}

// Addresses are tested for duplicates, which takes a second or two where the wire does not lease
// them.
Status AppEngineOfProcess::wait_until_ready() {
  constexpr Duration kPatience = std::chrono::seconds(10);
  const Instant end = monotonic_now() + kPatience;
  bool ready = false;
  std::optional<Error> conflict;
  while (!ready && !conflict && monotonic_now() < end) {
    engine_->exclusively([&](engine::Worker& worker, Instant /*now*/) {
      ready = worker.host()->is_ready();
      conflict = worker.host()->conflict();
    });
    if (!ready) ::usleep(1000);
  }
  if (conflict) return fail(std::move(*conflict));
  if (ready) return {};
  return fail({.kind = ErrorKind::kEnvironment, .what = "the host's addresses do not get ready"});
}

Result<std::unique_ptr<AppEngineOfProcess>> AppEngineOfProcess::start() {
  if (Status s = install_fault_handlers(); !s) return fail(std::move(s.error()));
  engine::AttachmentOptions options = options_from_environment();
  std::unique_ptr<placement::Placement> placement;
  if (wants_direct_path(options)) {
    auto created = placement::Placement::create();
    if (!created) return fail(std::move(created.error()));
    placement = std::move(*created);
    options.peers = &*placement;
    // Yama lets only descendants reach into a process, unless it says otherwise; elsewhere this
    // fails, and is not needed. Peers of other users are refused nevertheless: ptrace(2).
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  }
  std::unique_ptr<AppEngineOfProcess> engine(new AppEngineOfProcess(options, std::move(placement)));
  if (Status s = engine->attach(options); !s) return fail(std::move(s.error()));
  return engine;
}

void AppEngineOfProcess::report() {
  std::string text;
  engine_->exclusively([&](engine::Worker& worker, Instant /*now*/) {
    const port::QueueStats wire = worker.port().stats(0);
    text += fmt::format(" wire_rx={} wire_tx={}", wire.rx_frames, wire.tx_frames);
    for (std::size_t i = 0; i < port::kDropCount; ++i) {
      const auto reason = static_cast<port::Drop>(i);
      if (wire.dropped(reason) == 0) continue;
      text += fmt::format(" {}={}", port::name_of(reason), wire.dropped(reason));
    }
    if (placement_ != nullptr) {
      const placement::Counters& direct = placement_->counters();
      text += fmt::format(" direct_by_mapping={} direct_by_kernel={} direct_refused={}",
                          direct.by_mapping, direct.by_kernel, direct.refused);
    }
    const rdma::Counters& counters = device_->counters();
    packet::PassCounter passes = counters.passes;
    passes.add(wire.passes);
    text += fmt::format(" passed_bytes={} kernel_copied_bytes={}", passes.total(),
                        passes.bytes(packet::Pass::kKernelCopy));
    for (std::size_t i = 0; i < rdma::kCounterCount; ++i) {
      const auto counter = static_cast<rdma::Counter>(i);
      if (counters.of(counter) == 0) continue;
      text += fmt::format(" {}={}", rdma::name_of(counter), counters.of(counter));
    }
  });
  std::fprintf(stderr, "tideline: pid %d:%s\n", ::getpid(), text.c_str());
  if (Status s = wires_.flush(); !s) {
    std::fprintf(stderr, "tideline: %s\n", s.error().message().c_str());
  }
}

// Never freed: threads may use it until the process is gone.
std::atomic<Engine*> the_instance{nullptr};
AppEngineOfProcess* own_instance = nullptr;
pthread_mutex_t start_mutex = PTHREAD_MUTEX_INITIALIZER;

void report_at_exit() { own_instance->report(); }

Result<Engine*> start_own() {
  auto started = AppEngineOfProcess::start();
  if (!started) {
    std::fprintf(stderr, "tideline: %s\n", started.error().message().c_str());
    return fail(std::move(started.error()));
  }
  own_instance = started->release();
  const bool reports = std::getenv("TIDELINE_STATS") != nullptr ||  // NOLINT
                       std::getenv("TIDELINE_CAPTURE") != nullptr;  // NOLINT
  if (reports) std::atexit(report_at_exit);
  return own_instance;
}

}  // namespace

// The engine, for another copy of this code in the process. Exported by the preload.
extern "C" void tideline_verbs_engine(Result<Engine*>* out) { *out = Engine::get(); }

namespace {

// A process may have two copies of this code: the preload, for what is linked to libibverbs, and
// the library on the library path, for what looks names up in it. The preload's engine is the one.
Result<Engine*> find_or_start() {
  using Get = void(Result<Engine*>*);
  auto* const get = reinterpret_cast<Get*>(::dlsym(RTLD_DEFAULT, "tideline_verbs_engine"));
  if (get == nullptr || get == &tideline_verbs_engine) return start_own();
  Result<Engine*> found = nullptr;
  get(&found);
  return found;
}

}  // namespace

Result<Engine*> Engine::get() {
  if (Engine* engine = the_instance.load(std::memory_order_acquire)) return engine;
  ::pthread_mutex_lock(&start_mutex);
  Result<Engine*> result = the_instance.load(std::memory_order_relaxed);
  if (*result == nullptr) {
    result = find_or_start();
    if (result) the_instance.store(*result, std::memory_order_release);
  }
  ::pthread_mutex_unlock(&start_mutex);
  return result;
}

Engine& the_engine() { return *the_instance.load(std::memory_order_relaxed); }

}  // namespace tideline::shim::verbs
