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
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/fault_handler.h"
#include "engine/rdma_service.h"
#include "placement/placement.h"
#include "shim/engine/app_process.h"
#include "shim/verbs/shared_heap.h"
#include "wire/roce.h"

namespace tideline::shim::verbs {
namespace {

// Whether one-sided operations may go past the wire. Not if the user wants to see frames, or to see
// them suffer.
bool wants_direct_path(const engine::AttachmentOptions& options) {
  return options.wire.starts_with("shm:") && options.impair.empty() && options.capture.empty() &&
         text_of("TIDELINE_DIRECT") != "0";
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

class AppEngineOfProcess final : public Engine {
 public:
  // Without the device, which programs of sockets do without.
  static Result<std::unique_ptr<AppEngineOfProcess>> start();
  // The first time: makes it.
  Status open_device();

  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): open_device() fills it, or gives no engine
  rdma::Device& device() override { return *device_; }
  std::string interface() const override { return interface_; }
  void poll() override { process_->engine().poll(); }
  void about_to_sleep() override { process_->engine().hand_to_helper(); }
  client::Sockets& sockets() { return process_->sockets(); }
  // False in a forked child of the process that has started it.
  bool is_of_this_process() const { return owner_ == ::getpid(); }
  void report(bool counters);
  std::string report_device(rdma::Device& device, engine::Worker& worker);

 private:
  AppEngineOfProcess(const engine::AttachmentOptions& options,
                     std::unique_ptr<placement::Placement> placement)
      : interface_(interface_of(options.wire)), placement_(std::move(placement)) {}

  bool run_locked(void (*body)(const void*, Instant), const void* context, bool sends) override {
    using Turn = engine::AppEngine::Turn;
    return process_->engine().exclusively(
        [&](engine::Worker& /*worker*/, Instant now) { body(context, now); },
        sends ? Turn::kWhole : Turn::kNone);
  }
  void make_device(engine::Worker& worker);

  const pid_t owner_ = ::getpid();
  const std::string interface_;  // of the machine, for programs; empty: none
  engine::RandomKeys keys_;
  Rng rng_{0};
  std::unique_ptr<placement::Placement> placement_;  // null: everything goes by frames
  std::unique_ptr<AppProcess> process_;
  std::optional<rdma::Device> device_;
  std::optional<engine::RdmaService> service_;
};

Result<std::unique_ptr<AppEngineOfProcess>> AppEngineOfProcess::start() {
  engine::AttachmentOptions options = options_from_environment();
  std::unique_ptr<placement::Placement> placement;
  AppHooks hooks;
  if (wants_direct_path(options)) {
    auto created = placement::Placement::create();
    if (!created) return fail(std::move(created.error()));
    placement = std::move(*created);
    options.peers = &*placement;
    hooks.context = hooks.app.context = &*placement;
    hooks.app.at_start = [](void* object) {
      static_cast<placement::Placement*>(object)->take_ownership();
    };
    hooks.addresses_known = [](void* object, const engine::HostOptions& host) {
      rdma::GidTable gids;
      fill_gids(gids, host);
      static_cast<placement::Placement*>(object)->set_gids(gids);
    };
  }
  std::unique_ptr<AppEngineOfProcess> engine(new AppEngineOfProcess(options, std::move(placement)));
  auto process = AppProcess::start(options, hooks);
  if (!process) return fail(std::move(process.error()));
  engine->process_ = std::move(*process);
  return engine;
}

Status AppEngineOfProcess::open_device() {
  if (device_) return {};
  if (Status s = install_fault_handlers(); !s) return s;
  if (placement_ != nullptr) {
    // Yama lets only descendants reach into a process, unless it says otherwise; elsewhere this
    // fails, and is not needed. Peers of other users are refused nevertheless: ptrace(2).
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    if (text_of("TIDELINE_HEAP") != "0") open_shared_heap();
  }
  const bool made = process_->engine().exclusively(
      [this](engine::Worker& worker, Instant /*now*/) { make_device(worker); });
  if (made) return {};
  return fail({.kind = ErrorKind::kEnvironment, .what = "the engine is its parent process's"});
}

void AppEngineOfProcess::make_device(engine::Worker& worker) {
  const engine::HostOptions& host = process_->host();
  rng_ = Rng(engine::random_seed());
  ip::Stack& stack = worker.host()->stack();
  rdma::DeviceOptions device{.node_guid = engine::eui64_of(worker.function().mac()),
                             .link_mtu = host.mtu};
  if (!host.ipv4.empty()) device.lids = rdma::LidNetwork(host.ipv4.front());
  device_.emplace(device, stack, worker.pool(), rng_, keys_);
  fill_gids(device_->gids(), host);
  if (placement_ != nullptr) device_->set_direct_path(&*placement_);
  stack.udp().set_tunnel(wire::kRocePort, &*device_);
  stack.grh().set_handler(&*device_);
  worker.set_service(&service_.emplace(*device_, worker));
  process_->set_device(&*device_);
}

void AppEngineOfProcess::report(bool counters) {
  std::string text;
  process_->engine().exclusively([&](engine::Worker& worker, Instant /*now*/) {
    text = process_->report(worker);
    if (device_) text += report_device(*device_, worker);
  });
  if (counters) std::fprintf(stderr, "tideline: pid %d:%s\n", ::getpid(), text.c_str());
  process_->flush_capture();
}

std::string AppEngineOfProcess::report_device(rdma::Device& device, engine::Worker& worker) {
  std::string text;
  if (placement_ != nullptr) {
    const placement::Counters& direct = placement_->counters();
    text += fmt::format(" direct_by_mapping={} direct_by_kernel={} direct_refused={}",
                        direct.by_mapping, direct.by_kernel, direct.refused);
  }
  const rdma::Counters& counters = device.counters();
  packet::PassCounter passes = counters.passes;
  passes.add(worker.port().stats(0).passes);
  text += fmt::format(" passed_bytes={} kernel_copied_bytes={}", passes.total(),
                      passes.bytes(packet::Pass::kKernelCopy));
  for (std::size_t i = 0; i < rdma::kCounterCount; ++i) {
    const auto counter = static_cast<rdma::Counter>(i);
    if (counters.of(counter) == 0) continue;
    text += fmt::format(" {}={}", rdma::name_of(counter), counters.of(counter));
  }
  return text;
}

// Never freed: threads may use it until the process is gone.
std::atomic<Engine*> the_instance{nullptr};
AppEngineOfProcess* own_instance = nullptr;
pthread_mutex_t start_mutex = PTHREAD_MUTEX_INITIALIZER;

// A thread that the child does not have may have held it at the fork.
__attribute__((constructor)) void renew_after_fork() {
  ::pthread_atfork(nullptr, nullptr, [] { start_mutex = PTHREAD_MUTEX_INITIALIZER; });
}

bool reports_counters = false;
bool reports_at_exit = false;  // also in children

void report_at_exit() { own_instance->report(reports_counters); }

// With start_mutex held. A forked child gets an engine of its own, for servers that open the device
// in a child (qperf); but not where the parent has opened it, whose objects are the child's, too.
Result<AppEngineOfProcess*> start_own() {
  if (own_instance != nullptr && own_instance->is_of_this_process()) return own_instance;
  auto started = AppEngineOfProcess::start();
  if (!started) return fail(std::move(started.error()));
  own_instance = started->release();
  reports_counters = !text_of("TIDELINE_STATS").empty();
  const bool reports = reports_counters || !text_of("TIDELINE_CAPTURE").empty();
  if (reports && !std::exchange(reports_at_exit, true)) std::atexit(report_at_exit);
  return own_instance;
}

Result<Engine*> start_own_device() {
  auto started = start_own();
  const Status opened = started ? (*started)->open_device() : fail(started.error());
  if (opened) return *started;
  std::fprintf(stderr, "tideline: %s\n", opened.error().message().c_str());
  return fail(opened.error());
}

}  // namespace

// The engine, for another copy of this code in the process. Exported by the preload.
extern "C" void tideline_verbs_engine(Result<Engine*>* out) { *out = Engine::get(); }

// The sockets of this process's engine, which is started without a device: for the sockets shim.
// Exported by the preload, which comes before that one.
extern "C" void tideline_process_sockets(Result<client::Sockets*>* out) {
  ::pthread_mutex_lock(&start_mutex);
  const auto started = start_own();
  ::pthread_mutex_unlock(&start_mutex);
  if (started) {
    *out = &(*started)->sockets();
  } else {
    *out = fail(started.error());
  }
}

namespace {

// A process may have two copies of this code: the preload, for what is linked to libibverbs, and
// the library on the library path, for what looks names up in it. The preload's engine is the one.
Result<Engine*> find_or_start() {
  using Get = void(Result<Engine*>*);
  auto* const get = reinterpret_cast<Get*>(::dlsym(RTLD_DEFAULT, "tideline_verbs_engine"));
  if (get == nullptr || get == &tideline_verbs_engine) return start_own_device();
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
