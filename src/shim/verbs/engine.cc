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
#include "shim/verbs/app_device.h"
#include "shim/verbs/queue_device.h"
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

// Of KIND:NAME[,...] where the name is an interface's.
std::string interface_of(std::string_view wire) {
  for (const std::string_view kind : {"packet:", "xdp:", "tap:"}) {
    if (!wire.starts_with(kind)) continue;
    wire.remove_prefix(kind.size());
    return std::string(wire.substr(0, wire.find(',')));
  }
  return {};
}

class AppEngineOfProcess final : public Engine, private EngineLock {
 public:
  // Without the device, which programs of sockets do without.
  static Result<std::unique_ptr<AppEngineOfProcess>> start();
  // The first time: makes it.
  Status open_device();

  const DeviceTraits& traits() const override { return traits_; }
  std::string interface() const override { return interface_; }
  // NOLINTBEGIN(bugprone-unchecked-optional-access): open_device() fills it, or gives no engine
  Result<rdma::AddressVector> address_of(std::uint16_t lid) override {
    return device_->address_of(lid);
  }
  Result<std::unique_ptr<OpenDevice>> open() override { return open_in_process(*this, *device_); }
  // NOLINTEND(bugprone-unchecked-optional-access)
  void poll() override { process_->engine().poll(); }
  void about_to_sleep() override { process_->engine().hand_to_helper(); }
  client::Sockets& sockets() { return process_->sockets(); }
  // False in a forked child of the process that has started it.
  bool is_of_this_process() const { return owner_ == ::getpid(); }
  void report(bool counters);
  std::string report_device(const rdma::Device& device) const;

 private:
  AppEngineOfProcess(const engine::AttachmentOptions& options,
                     std::unique_ptr<placement::Placement> placement)
      : interface_(interface_of(options.wire)), placement_(std::move(placement)) {}

  bool run_locked(const Callback<Instant>& body, bool sends) override {
    using Turn = engine::AppEngine::Turn;
    return process_->engine().exclusively(
        [&](engine::Worker& /*worker*/, Instant now) { body(now); },
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
  DeviceTraits traits_;
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
      engine::fill_gids(gids, host);
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
  device_.emplace(engine::device_options(host, worker.function().mac()), worker.host()->stack(),
                  worker.pool(), rng_, keys_);
  engine::fill_gids(device_->gids(), host);
  if (placement_ != nullptr) device_->set_direct_path(&*placement_);
  engine::join(*device_, worker);
  worker.set_service(&service_.emplace(*device_, worker));
  process_->set_device(&*device_);
  traits_ = {.limits = device_->limits(),
             .node_guid = device_->node_guid(),
             .lid = device_->lid(),
             .active_mtu = device_->active_mtu(),
             .gids = device_->gids()};
}

void AppEngineOfProcess::report(bool counters) {
  std::string text;
  process_->engine().exclusively([&](engine::Worker& worker, Instant /*now*/) {
    text = process_->report(worker);
    packet::PassCounter passes = process_->passes(worker);
    if (device_) passes.add(device_->counters().passes);
    text += fmt::format(" passed_bytes={} kernel_copied_bytes={}", passes.total(),
                        passes.bytes(packet::Pass::kKernelCopy));
    if (device_) text += report_device(*device_);
  });
  if (counters) std::fprintf(stderr, "tideline: pid %d:%s\n", ::getpid(), text.c_str());
  process_->flush_capture();
}

std::string AppEngineOfProcess::report_device(const rdma::Device& device) const {
  std::string text;
  if (placement_ != nullptr) {
    const placement::Counters& direct = placement_->counters();
    text += fmt::format(" direct_by_mapping={} direct_by_kernel={} direct_refused={}",
                        direct.by_mapping, direct.by_kernel, direct.refused);
  }
  const rdma::Counters& counters = device.counters();
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
  if (text_of("TIDELINE_PLACEMENT") == "frontend") {
    auto attached =
        attach_to_front_end(text_of("TIDELINE_FRONT_END"), ::program_invocation_short_name);
    if (!attached) {
      std::fprintf(stderr, "tideline: %s\n", attached.error().message().c_str());
    }
    return attached;
  }
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
