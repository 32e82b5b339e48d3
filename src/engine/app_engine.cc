// SPDX-License-Identifier: Apache-2.0
#include "engine/app_engine.h"

#include <sys/mman.h>

#include <new>
#include <utility>

#include "base/thread.h"
#include "engine/app_helper.h"

namespace tideline::engine {
namespace {

constexpr std::size_t kHelperStack = std::size_t{256} << 10;

std::int64_t nanoseconds(Instant instant) { return instant.time_since_epoch().count(); }

}  // namespace

void AppEngine::ControlDeleter::operator()(Control* control) const {
  control->~Control();
  ::munmap(control, sizeof(Control));
}

Result<AppEngine::ControlPtr> AppEngine::make_control() {
  void* memory =
      ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail_errno("cannot map the engine's control page");
  ControlPtr control(new (memory) Control);
  if (::madvise(memory, sizeof(Control), MADV_WIPEONFORK) != 0) {
    return fail_errno("cannot protect the engine from forked children");
  }
  return control;
}

AppEngine::AppEngine(std::unique_ptr<Worker> worker, const AppOptions& options, ControlPtr control,
                     ring::EventBell kick)
    : options_(options),
      control_(std::move(control)),
      worker_(std::move(worker)),
      kick_(std::move(kick)) {}

Result<std::unique_ptr<AppEngine>> AppEngine::start(std::unique_ptr<Worker> worker,
                                                    const AppOptions& options) {
  auto control = make_control();
  if (!control) return fail(std::move(control.error()));
  auto kick = ring::EventBell::create();
  if (!kick) return fail(std::move(kick.error()));
  worker->pool().disown();
  std::unique_ptr<AppEngine> engine(
      new AppEngine(std::move(worker), options, std::move(*control), std::move(*kick)));
  engine->control_->last_poll.store(nanoseconds(monotonic_now()), std::memory_order_relaxed);
  engine->control_->gate.open();
  if (!options.helper) return engine;
  if (Status s = engine->start_helper(); !s) return fail(std::move(s.error()));
  return engine;
}

Status AppEngine::start_helper() {
  const auto helper = start_quiet_thread(&AppHelper::main, this, kHelperStack, "the helper thread");
  if (!helper) return fail(helper.error());
  helper_ = *helper;
  helper_started_ = true;
  return {};
}

AppEngine::~AppEngine() {
  if (state() == ring::GateState::kForked) return;
  control_->stop.store(true, std::memory_order_release);
  control_->gate.close(ring::GateState::kStopped);
  if (helper_started_) {
    kick_.ring();
    ::pthread_join(helper_, nullptr);
  }
  while (control_->gate.held()) cpu_relax();
  worker_->pool().adopt();
}

void AppEngine::execute(const AppWork& work) {
  own([&] {
    const Instant now = monotonic_now();
    work.run(work.object, now);
    worker_->flush(now);
  });
}

bool AppEngine::come_back() {
  using Armed = Control::Armed;
  const Armed armed = std::exchange(control_->armed, Armed::kNobody);
  if (armed == Armed::kNobody) return false;
  worker_->port().disarm(0);
  if (armed == Armed::kProgram) {
    control_->program_sleeps.store(false);
    return helper_naps();
  }
  control_->helper_sleeps_until.store(0, std::memory_order_relaxed);
  return true;
}

bool AppEngine::helper_naps() const {
  const std::int64_t until = control_->helper_naps_until.load();
  return until != 0 && until > nanoseconds(monotonic_now() + options_.take_over);
}

bool AppEngine::helper_oversleeps() const {
  // Not asleep, most of the time: then there is no need to ask for the deadline.
  const std::int64_t until = control_->helper_sleeps_until.load(std::memory_order_relaxed);
  return until != 0 && nanoseconds(worker_->next_deadline()) < until;
}

ring::Entry AppEngine::poll() {
  const Instant now = monotonic_now();
  control_->last_poll.store(nanoseconds(now), std::memory_order_relaxed);
  Holder holder{*this, [&] { worker_->turn(now); }};
  const ring::Entry entry = control_->gate.enter(holder);
  if (holder.kick) kick_.ring();
  return entry;
}

ring::Entry AppEngine::submit(const AppWork& work) {
  Holder holder{*this, [] {}};
  const ring::Entry entry = control_->gate.submit(work, holder);
  if (holder.kick) kick_.ring();
  return entry;
}

void AppEngine::hand_to_helper() {
  if (control_->program_sleeps.load(std::memory_order_relaxed)) return;
  control_->last_poll.store(0, std::memory_order_relaxed);
  const bool serves = control_->helper_sleeps_until.load(std::memory_order_relaxed) != 0;
  if (!serves) kick_.ring();
}

std::optional<AppEngine::WireSleep> AppEngine::sleep_on_wire() {
  using Armed = Control::Armed;
  constexpr int kMostTurns = 16;
  struct Arm {
    AppEngine& engine;
    std::optional<WireSleep> sleep{};
    bool kick = false;

    void run() {
      engine.own([this] { arm(); });
    }
    static bool ready() { return true; }
    void execute(const AppWork& work) { engine.execute(work); }
    void arm() {
      Control& control = *engine.control_;
      if (control.armed == Armed::kProgram) return;
      kick = engine.come_back();
      port::Port& port = engine.worker_->port();
      Instant now = monotonic_now();
      port.arm(0);
      for (int turns = 0; engine.worker_->turn(now); ++turns) {
        port.disarm(0);
        if (turns == kMostTurns) return;
        port.arm(0);  // anew: a notifier rings once per arming
        now = monotonic_now();
      }
      control.armed = Armed::kProgram;
      control.program_sleeps.store(true, std::memory_order_relaxed);
      control.last_poll.store(nanoseconds(now), std::memory_order_relaxed);
      sleep = {.descriptor = port.fd(0),
               .deadline = engine.worker_->next_deadline(),
               .number = ++control.wire_sleeps};
    }
  };
  Arm arm{*this};
  while (control_->gate.enter(arm) == ring::Entry::kBusy) ::sched_yield();
  if (arm.kick) kick_.ring();
  return arm.sleep;
}

void AppEngine::leave_wire(const WireSleep& sleep) {
  using Armed = Control::Armed;
  exclusively([&](Worker& /*worker*/, Instant now) {
    // A call of another thread has taken the bells, or this one has: come_back().
    if (control_->armed == Armed::kProgram && control_->wire_sleeps == sleep.number) come_back();
    control_->last_poll.store(nanoseconds(now), std::memory_order_relaxed);
  });
}

}  // namespace tideline::engine
