// SPDX-License-Identifier: Apache-2.0
// A program that knows nothing of engines and does to one what programs do: computes, sleeps,
// forks, closes everything, blocks signals, dies. The proof preloads its library into it.
//
//   proof_inline_engine_victim BEHAVIOUR SCORE_FILE
// The score is shared memory, for the program closes its other ways to speak.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <vector>

#include "proofs/inline_engine/score.h"

extern char** environ;

namespace {

using proofs::inline_engine::Score;

std::int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

void compute(int milliseconds) {
  for (const std::int64_t until = now_ms() + milliseconds; now_ms() < until;) {
  }
}

void sleep_for(int milliseconds) {
  const timespec time{milliseconds / 1000, (milliseconds % 1000) * 1'000'000L};
  ::nanosleep(&time, nullptr);
}

bool use_socket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  ::close(fd);
  return true;
}

void spin_in_epoll(int milliseconds) {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  for (const std::int64_t until = now_ms() + milliseconds; now_ms() < until;) {
    ::epoll_wait(epoll, &event, 1, 0);
  }
  ::close(epoll);
}

bool exited_with_0(pid_t pid) {
  int status = 0;
  return pid > 0 && ::waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

// A child's socket call is refused with an errno that says so; its other calls work.
int refused_in_child() {
  const bool refused = ::socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EOPNOTSUPP;
  const int other = ::socket(AF_UNIX, SOCK_STREAM, 0);
  spin_in_epoll(2);
  return refused && other >= 0 ? 0 : 1;
}

bool forks() {
  for (int i = 0; i < 50; ++i) {
    const bool by_library = i % 2 == 0;
    const pid_t pid = by_library ? ::fork() : static_cast<pid_t>(::syscall(SYS_fork));
    if (pid == 0) ::_exit(refused_in_child());
    if (!exited_with_0(pid)) return false;
  }
  return use_socket();
}

constexpr const char* kTrue[] = {"/bin/true", nullptr};

bool spawn() {
  pid_t pid = -1;
  char* const* arguments = const_cast<char**>(kTrue);
  return ::posix_spawn(&pid, kTrue[0], nullptr, nullptr, arguments, environ) == 0 &&
         exited_with_0(pid);
}

bool vfork_and_exec() {
  const pid_t pid = ::vfork();  // NOLINT(bugprone-unsafe-functions): programs call it
  if (pid == 0) {
    ::execve(kTrue[0], const_cast<char**>(kTrue), environ);
    ::_exit(1);
  }
  return exited_with_0(pid);
}

bool spawns() {
  for (int i = 0; i < 10; ++i) {
    if (::system("exit 0") != 0 || !spawn() || !vfork_and_exec()) return false;
  }
  return use_socket();
}

// Threads are inside the engine, holding its lock, at every moment of a fork.
bool forks_while_threads_poll() {
  std::vector<std::jthread> threads(2);
  for (std::jthread& thread : threads) thread = std::jthread([] { spin_in_epoll(900); });
  for (const std::int64_t until = now_ms() + 800; now_ms() < until;) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(::socket(AF_INET, SOCK_STREAM, 0) < 0 ? 0 : 1);
    if (!exited_with_0(pid)) return false;
  }
  return true;
}

bool close_one_by_one() {
  for (int fd = 3; fd < 20'000; ++fd) ::close(fd);
  spin_in_epoll(100);
  return use_socket();
}

bool close_by_range() {
  if (::close_range(3, ~0U, 0) != 0) return false;
  spin_in_epoll(100);
  return use_socket();
}

bool close_from() {
  ::closefrom(3);
  spin_in_epoll(100);
  return use_socket();
}

// What no interposer sees.
bool close_by_system_call() {
  for (int round = 0; round < 5; ++round) {
    ::syscall(SYS_close_range, 3U, ~0U, 0U);
    spin_in_epoll(50);
    compute(10);
  }
  return use_socket();
}

bool duplicate_over_everything() {
  const int file = static_cast<int>(::memfd_create("own", MFD_CLOEXEC));
  for (int fd = 3; fd < 20'000; ++fd) {
    if (fd == file) continue;
    const int number = fd % 2 == 0 ? ::dup2(file, fd) : ::dup3(file, fd, O_CLOEXEC);
    if (number != fd && errno != EBADF) return false;
  }
  spin_in_epoll(100);
  compute(50);
  return ::lseek(file, 0, SEEK_END) == 0 && ::lseek(file, 0, SEEK_CUR) == 0;
}

// Files of its own on all numbers, behind the preload library's back: none may be written to.
bool replace_by_system_call() {
  std::vector<int> files;
  ::syscall(SYS_close_range, 3U, ~0U, 0U);
  for (int i = 0; i < 5000; ++i) {
    const int file = static_cast<int>(::memfd_create("own", MFD_CLOEXEC));
    if (file < 0) break;
    files.push_back(file);
  }
  spin_in_epoll(200);
  compute(50);
  for (const int file : files) {
    if (::lseek(file, 0, SEEK_END) != 0) return false;
  }
  return files.size() == 5000;
}

std::atomic<int> g_alarms = 0;
std::atomic<int> g_elsewhere = 0;
void on_alarm(int /*number*/) {
  ++g_alarms;
  if (::syscall(SYS_gettid) != ::getpid()) ++g_elsewhere;
}

// Its timers interrupt the program and never the helper; with all signals blocked they wait.
bool uses_signals() {
  struct sigaction action{};
  action.sa_handler = on_alarm;
  ::sigaction(SIGALRM, &action, nullptr);
  const itimerval every_2_ms{{0, 2000}, {0, 2000}};
  ::setitimer(ITIMER_REAL, &every_2_ms, nullptr);
  spin_in_epoll(200);
  compute(200);
  const bool interrupted = ::poll(nullptr, 0, 1000) < 0 && errno == EINTR;
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  const int before = g_alarms;
  compute(100);
  const bool silent = g_alarms == before;
  sigset_t alarm;
  ::sigemptyset(&alarm);
  ::sigaddset(&alarm, SIGALRM);
  int number = 0;
  const bool fetched = ::sigwait(&alarm, &number) == 0 && number == SIGALRM;
  const itimerval off{};
  ::setitimer(ITIMER_REAL, &off, nullptr);
  spin_in_epoll(50);
  return interrupted && silent && fetched && before > 20 && g_elsewhere == 0;
}

bool changes_limits() {
  const rlimit low{64, 20'000};
  if (::setrlimit(RLIMIT_NOFILE, &low) != 0 || !use_socket()) return false;
  spin_in_epoll(50);
  const rlimit high{20'000, 20'000};
  if (::setrlimit(RLIMIT_NOFILE, &high) != 0) return false;
  compute(50);
  return use_socket();
}

bool changes_user() {
  // The C library signals every thread to follow, the helper included.
  return ::setresgid(65'534, 65'534, 65'534) == 0 && ::setresuid(65'534, 65'534, 65'534) == 0 &&
         (spin_in_epoll(50), compute(50), use_socket());
}

bool sleeps() {
  sleep_for(400);
  return ::poll(nullptr, 0, 400) == 0;
}

bool run(std::string_view behaviour) {
  if (behaviour == "compute") return compute(800), true;
  if (behaviour == "sleep") return sleeps();
  if (behaviour == "poll") return spin_in_epoll(800), true;
  if (behaviour == "fork") return forks();
  if (behaviour == "fork-threads") return forks_while_threads_poll();
  if (behaviour == "spawn") return spawns();
  if (behaviour == "close-loop") return close_one_by_one();
  if (behaviour == "close-range") return close_by_range();
  if (behaviour == "closefrom") return close_from();
  if (behaviour == "close-raw") return close_by_system_call();
  if (behaviour == "dup-over") return duplicate_over_everything();
  if (behaviour == "replace-raw") return replace_by_system_call();
  if (behaviour == "signals") return uses_signals();
  if (behaviour == "limits") return changes_limits();
  if (behaviour == "user") return changes_user();
  return false;
}

// Ends in the given way at a random moment of a thread that polls without pause.
[[noreturn]] void end(std::string_view way) {
  std::jthread([] { spin_in_epoll(60'000); }).detach();
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const timespec time{0, 2'000'000 + now.tv_nsec % 1'000'000};
  ::nanosleep(&time, nullptr);
  if (way == "exit") std::exit(0);
  if (way == "_exit") ::_exit(0);
  if (way == "abort") std::abort();
  if (way == "exec") ::execl("/bin/sleep", "sleep", "1", nullptr);
  ::kill(::getpid(), SIGKILL);
  ::_exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int file = ::open(argv[2], O_RDWR | O_CLOEXEC);
  void* memory = ::mmap(nullptr, sizeof(Score), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (file < 0 || memory == MAP_FAILED) return 2;
  Score& score = *static_cast<Score*>(memory);
  if (!use_socket()) return 3;
  const std::string_view behaviour = argv[1];
  if (behaviour.starts_with("end:")) {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    end(behaviour.substr(4));
  }
  const bool good = run(behaviour);
  // Both ways to be served work still.
  spin_in_epoll(20);
  compute(100);
  score.good.store(good ? 1 : 0);
  score.finished.store(1);
  sleep_for(60'000);
}
