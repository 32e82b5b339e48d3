// SPDX-License-Identifier: Apache-2.0
#include "base/fault_handler.h"

#include <fmt/core.h>
#include <pthread.h>
#include <ucontext.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/check.h"

namespace tideline {
namespace {

// One range of code of guarded_copy.S. Offsets from the field itself, so that a shared library
// needs no relocations.
struct Fixup {
  std::int32_t begin;
  std::int32_t end;
  std::int32_t landing;
};

// The linker's names for the ends of the section tideline_fixups; weak, for a program may have the
// handlers and no copy routine.
// NOLINTBEGIN(readability-identifier-naming)
extern "C" {
__attribute__((visibility("hidden"), weak)) extern const Fixup __start_tideline_fixups[];
__attribute__((visibility("hidden"), weak)) extern const Fixup __stop_tideline_fixups[];
}
// NOLINTEND(readability-identifier-naming)

std::uintptr_t resolve(const std::int32_t& offset) {
  return reinterpret_cast<std::uintptr_t>(&offset) + static_cast<std::uintptr_t>(offset);
}

// Where the code at `pc` continues after a fault; 0 if it is not ours.
std::uintptr_t landing_of(std::uintptr_t pc) {
  for (const Fixup* fixup = __start_tideline_fixups; fixup != __stop_tideline_fixups; ++fixup) {
    if (pc >= resolve(fixup->begin) && pc < resolve(fixup->end)) return resolve(fixup->landing);
  }
  return 0;
}

// The program's action, in one word so that a handler never sees half of it. The mask and the
// remaining flags are the kernel's business: our handler is installed with those of the program.
constexpr std::uint64_t kTakesSiginfo = std::uint64_t{1} << 62;
constexpr std::uint64_t kOnce = std::uint64_t{1} << 61;
constexpr std::uint64_t kHandlerBits = kOnce - 1;
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

std::uint64_t pack(const struct sigaction& action) {
  const bool siginfo = (action.sa_flags & SA_SIGINFO) != 0;
  std::uint64_t packed = siginfo ? reinterpret_cast<std::uint64_t>(action.sa_sigaction)
                                 : reinterpret_cast<std::uint64_t>(action.sa_handler);
  if (siginfo) packed |= kTakesSiginfo;
  if ((action.sa_flags & static_cast<int>(SA_RESETHAND)) != 0) packed |= kOnce;
  return packed;
}

// NOLINTBEGIN(performance-no-int-to-ptr): a function's address, as pack() found it
void unpack(std::uint64_t packed, struct sigaction& action) {
  action.sa_flags &= ~SA_SIGINFO;
  if ((packed & kOnce) != 0) action.sa_flags |= static_cast<int>(SA_RESETHAND);
  if ((packed & kTakesSiginfo) != 0) {
    action.sa_flags |= SA_SIGINFO;
    action.sa_sigaction = reinterpret_cast<void (*)(int, siginfo_t*, void*)>(packed & kHandlerBits);
  } else {
    action.sa_handler = reinterpret_cast<void (*)(int)>(packed & kHandlerBits);
  }
}

// NOLINTEND(performance-no-int-to-ptr)

constexpr std::array<int, 2> kFaultSignals{SIGSEGV, SIGBUS};

struct Chain {
  std::atomic<bool> installed{false};
  std::array<std::atomic<std::uint64_t>, kFaultSignals.size()> next{};

  std::atomic<std::uint64_t>& of(int signal) { return next[signal == SIGSEGV ? 0 : 1]; }
};
// Zero-initialised, so usable before any constructor runs.
constinit Chain chain;

// Ends the process as the signal would have without us: a fault happens again on return, a signal
// that somebody sent is sent once more.
void die_by_default(int signal, bool is_fault) {
  struct sigaction by_default{};
  by_default.sa_handler = SIG_DFL;
  ::sigaction(signal, &by_default, nullptr);
  if (!is_fault) ::pthread_kill(::pthread_self(), signal);
}

void call_next(int signal, siginfo_t* info, void* context) {
  const bool is_fault = info->si_code > 0;
  std::atomic<std::uint64_t>& slot = chain.of(signal);
  std::uint64_t packed = slot.load(std::memory_order_acquire);
  if ((packed & kOnce) != 0) slot.store(pack({}), std::memory_order_release);
  struct sigaction next{};
  unpack(packed, next);
  if ((next.sa_flags & SA_SIGINFO) != 0) {
    next.sa_sigaction(signal, info, context);
  } else if (next.sa_handler == SIG_DFL || (next.sa_handler == SIG_IGN && is_fault)) {
    die_by_default(signal, is_fault);  // the kernel does not let a fault be ignored either
  } else if (next.sa_handler != SIG_IGN) {
    next.sa_handler(signal);
  }
}

void on_fault(int signal, siginfo_t* info, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  // A positive code is the kernel's: what kill(2) sends in the middle of a copy is not a fault.
  if (info->si_code > 0) {
    const std::uintptr_t landing = landing_of(static_cast<std::uintptr_t>(registers[REG_RIP]));
    if (landing != 0) {
      registers[REG_RIP] = static_cast<greg_t>(landing);
      registers[REG_RDX] = reinterpret_cast<greg_t>(info->si_addr);
      return;
    }
  }
  call_next(signal, info, context);
}

// Our handler with the program's mask and flags: what it calls runs as it was promised.
struct sigaction wrap(const struct sigaction& program) {
  struct sigaction ours = program;
  ours.sa_sigaction = on_fault;
  ours.sa_flags &= ~static_cast<int>(SA_RESETHAND);
  ours.sa_flags |= SA_SIGINFO;
  const bool has_handler = (program.sa_flags & SA_SIGINFO) != 0 ||
                           (program.sa_handler != SIG_DFL && program.sa_handler != SIG_IGN);
  if (!has_handler) ours.sa_flags |= SA_ONSTACK;  // a thread on a tiny stack may copy, too
  return ours;
}

}  // namespace

Status install_fault_handlers() {
  if (chain.installed.exchange(true)) return {};
  for (const int signal : kFaultSignals) {
    struct sigaction program{};
    if (::sigaction(signal, nullptr, &program) != 0) return fail_errno("sigaction");
    chain.of(signal).store(pack(program), std::memory_order_release);
    const struct sigaction ours = wrap(program);
    if (::sigaction(signal, &ours, nullptr) != 0) {
      return fail_errno(fmt::format("cannot install a handler of signal {}", signal));
    }
  }
  return {};
}

int program_sigaction(int signal, const struct sigaction* action, struct sigaction* former) {
  CHECK(signal == SIGSEGV || signal == SIGBUS, "signal {}", signal);
  CHECK(chain.installed.load());
  std::atomic<std::uint64_t>& slot = chain.of(signal);
  struct sigaction kernel_former{};
  std::uint64_t packed_former = 0;
  if (action == nullptr) {
    packed_former = slot.load(std::memory_order_acquire);
    if (::sigaction(signal, nullptr, &kernel_former) != 0) return -1;
  } else {
    const struct sigaction ours = wrap(*action);
    packed_former = slot.exchange(pack(*action), std::memory_order_acq_rel);
    if (::sigaction(signal, &ours, &kernel_former) != 0) return -1;
  }
  if (former != nullptr) {
    *former = kernel_former;
    unpack(packed_former, *former);
  }
  return 0;
}

bool fault_handlers_in_place() {
  for (const int signal : kFaultSignals) {
    struct sigaction current{};
    if (::sigaction(signal, nullptr, &current) != 0) return false;
    if ((current.sa_flags & SA_SIGINFO) == 0 || current.sa_sigaction != on_fault) return false;
  }
  return true;
}

void unblock_fault_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : kFaultSignals) ::sigaddset(&set, signal);
  const int error = ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  CHECK(error == 0, "errno {}", error);
}

}  // namespace tideline
