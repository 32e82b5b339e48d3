// SPDX-License-Identifier: Apache-2.0
// Signals that a program handles: at any moment of a call that waits; and what handlers are given.
#include <dlfcn.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <ucontext.h>

#include <atomic>
#include <functional>
#include <random>
#include <thread>

#include "fixture.h"

namespace check {
namespace {

using std::chrono::steady_clock;

// What a program and the process that sends it signals tell each other.
struct Shared {
  std::atomic<bool> waits{false};  // in a call, or about to be
  std::atomic<std::uint32_t> handled{0};
  std::atomic<std::uint32_t> interrupted{0};
};
Shared* shared = nullptr;

// Without what the kernel's interface adds for itself.
int flags_of(const struct sigaction& told) {
  constexpr int kRestorer = 0x04000000;
  return told.sa_flags & ~kRestorer;
}

class Signals : public Sockets {
 protected:
  void SetUp() override {
    void* const memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    shared = new (memory) Shared;
  }
  void TearDown() override {
    ::signal(SIGUSR1, SIG_DFL);
    ::munmap(shared, sizeof(Shared));
  }

  static void handle(int flags) {
    struct sigaction action{};
    action.sa_handler = [](int) { ++shared->handled; };
    action.sa_flags = flags;
    ASSERT_EQ(::sigaction(SIGUSR1, &action, nullptr), 0);
  }

  // Sends `count` signals, each at a random moment after the program has begun to wait. One that is
  // handled just before the call begins is nobody's fault, and sent again: `lost` at most.
  static pid_t start_sender(std::uint32_t count, const std::atomic<std::uint32_t>& answered) {
    constexpr int kLost = 3;
    const pid_t program = ::getpid();
    const pid_t child = ::fork();
    if (child != 0) return child;
    std::minstd_rand random(17);
    int lost = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      while (!shared->waits) ::sched_yield();
      const auto moment = steady_clock::now() + std::chrono::microseconds(random() % 150);
      while (steady_clock::now() < moment) {
      }
      for (;; ++lost) {
        ::kill(program, SIGUSR1);
        const auto end = steady_clock::now() + std::chrono::milliseconds(lost <= kLost ? 2000 : 1);
        while (answered <= i && steady_clock::now() < end) ::sched_yield();
        if (answered > i) break;
      }
    }
    ::_exit(lost <= kLost ? 0 : 1);
  }
  static bool ends_well(pid_t child) {
    int status = -1;
    return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  // Each signal ends a call.
  static void interrupt(std::uint32_t count, const std::function<int()>& call, int flags = 0) {
    handle(flags);
    shared->interrupted = 0;
    const pid_t sender = start_sender(count, shared->interrupted);
    for (std::uint32_t i = 0; i < count; ++i) {
      shared->waits = true;
      const int result = call();
      const int error = errno;
      shared->waits = false;
      ASSERT_EQ(result, -1);
      ASSERT_EQ(error, EINTR) << std::strerror(error);
      ++shared->interrupted;
    }
    EXPECT_TRUE(ends_well(sender)) << "signals were handled in calls, and did not end them";
    ::signal(SIGUSR1, SIG_IGN);  // one sent again may come late
  }
};

TEST_F(Signals, EachEndsACallWheneverItComes) {
  join();
  char byte = 0;
  interrupt(1000, [&] { return static_cast<int>(::recv(far_, &byte, 1, 0)); });
  interrupt(300, [&] { return ::accept(listener_, nullptr, nullptr); });
  const Fd datagrams = bound_datagram();
  interrupt(300, [&] { return static_cast<int>(::read(datagrams, &byte, 1)); });
}

TEST_F(Signals, EachEndsAWaitWheneverItComes) {
  join();
  const auto poll_one = [&] {
    pollfd entry{.fd = far_, .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, -1);
  };
  interrupt(300, poll_one);
  interrupt(300, poll_one, SA_RESTART);  // it is never restarted
  const Fd epoll(::epoll_create1(0));
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 7}};
  ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, far_, &event), 0);
  interrupt(300, [&] { return ::epoll_wait(epoll, &event, 1, -1); });
  interrupt(300, [&] { return ::epoll_wait(epoll, &event, 1, kPatienceMs * 10); }, SA_RESTART);
  interrupt(300, [&] {
    fd_set reading;
    FD_ZERO(&reading);
    FD_SET(far_, &reading);
    return ::select(far_ + 1, &reading, nullptr, nullptr, nullptr);
  });
}

TEST_F(Signals, ACallGoesOnIfTheHandlerWantsIt) {
  join();
  constexpr std::uint32_t kCount = 300;
  handle(SA_RESTART);
  shared->waits = true;
  const pid_t sender = start_sender(kCount, shared->handled);
  std::thread other([&] {
    sigset_t one;
    ::sigemptyset(&one);
    ::sigaddset(&one, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &one, nullptr);
    while (shared->handled < kCount) std::this_thread::yield();
    send(near_, "x");
  });
  char byte = 0;
  const ssize_t got = ::recv(far_, &byte, 1, 0);
  const int error = errno;
  other.join();
  EXPECT_EQ(got, 1) << std::strerror(error);
  EXPECT_TRUE(ends_well(sender));
}

TEST_F(Signals, AHandlerGetsWhatTheKernelGives) {
  static std::array<char, 1 << 16> alternate;
  static siginfo_t got;
  static bool on_alternate;
  static bool has_context;
  const stack_t stack{.ss_sp = alternate.data(), .ss_flags = 0, .ss_size = alternate.size()};
  ASSERT_EQ(::sigaltstack(&stack, nullptr), 0);
  const int number = SIGRTMIN + 3;
  struct sigaction action{};
  action.sa_sigaction = [](int, siginfo_t* info, void* context) {
    const char here = 0;
    got = *info;
    on_alternate = &here >= alternate.data() && &here < alternate.data() + alternate.size();
    has_context = static_cast<ucontext_t*>(context)->uc_stack.ss_sp == alternate.data();
  };
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaddset(&action.sa_mask, SIGUSR2);
  ASSERT_EQ(::sigaction(number, &action, nullptr), 0);
  ASSERT_EQ(::sigqueue(::getpid(), number, {.sival_int = 42}), 0);
  EXPECT_EQ(got.si_signo, number);
  EXPECT_EQ(got.si_value.sival_int, 42);
  EXPECT_EQ(got.si_pid, ::getpid());
  EXPECT_TRUE(on_alternate);
  EXPECT_TRUE(has_context);
  struct sigaction told{};
  ASSERT_EQ(::sigaction(number, nullptr, &told), 0);
  EXPECT_EQ(told.sa_sigaction, action.sa_sigaction);
  EXPECT_EQ(flags_of(told), action.sa_flags);
  EXPECT_EQ(::sigismember(&told.sa_mask, SIGUSR2), 1);
  ::signal(number, SIG_DFL);
  const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
  ASSERT_EQ(::sigaltstack(&none, nullptr), 0);
}

TEST_F(Signals, DispositionsAreToldAsTheyWereGiven) {
  const auto handler = [](int) { ++shared->handled; };
  EXPECT_EQ(::signal(SIGUSR1, handler), SIG_DFL);
  struct sigaction told{};
  ASSERT_EQ(::sigaction(SIGUSR1, nullptr, &told), 0);
  EXPECT_EQ(told.sa_handler, handler);
  EXPECT_EQ(flags_of(told), static_cast<int>(SA_RESTART));
  // Declared as deprecated; programs have it.
  auto* const set_interrupting =
      reinterpret_cast<int (*)(int, int)>(::dlsym(RTLD_DEFAULT, "siginterrupt"));
  ASSERT_EQ(set_interrupting(SIGUSR1, 1), 0);
  ASSERT_EQ(::sigaction(SIGUSR1, nullptr, &told), 0);
  EXPECT_EQ(told.sa_handler, handler);
  EXPECT_EQ(flags_of(told), 0);
  ASSERT_EQ(set_interrupting(SIGUSR1, 0), 0);
  EXPECT_EQ(::signal(SIGUSR1, SIG_IGN), handler);
  EXPECT_EQ(::signal(SIGUSR1, handler), SIG_IGN);

  told.sa_handler = handler;
  told.sa_flags = static_cast<int>(SA_RESETHAND);
  ASSERT_EQ(::sigaction(SIGUSR1, &told, nullptr), 0);
  ::raise(SIGUSR1);
  EXPECT_EQ(shared->handled, 1U);
  EXPECT_EQ(::signal(SIGUSR1, handler), SIG_DFL);  // it was for once
  EXPECT_EQ(::sigaction(SIGKILL, &told, nullptr), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(::signal(NSIG, handler), SIG_ERR);
  EXPECT_EQ(errno, EINVAL);

  const pid_t child = ::fork();  // which has the handler, too
  if (child == 0) {
    ::raise(SIGUSR1);
    ::_exit(shared->handled == 2 ? 0 : 1);
  }
  EXPECT_TRUE(ends_well(child));
}

}  // namespace
}  // namespace check
