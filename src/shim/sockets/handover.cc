// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/handover.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "shim/sockets/calls.h"
#include "shim/sockets/libc.h"
#include "shim/sockets/option.h"
#include "shim/sockets/passing.h"
#include "shim/sockets/process.h"
#include "shim/sockets/stdio.h"

namespace tideline::shim::sockets {
namespace {

constexpr const char* kVariable = "TIDELINE_TOKENS";
constexpr std::string_view kWord = "TIDELINE_TOKENS=";

int get_number(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof(value);
  return libc().getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

// 0: it is no socket.
std::uint64_t cookie_of(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  return libc().getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

bool is_close_on_exec(int fd) {
  const int flags = libc().fcntl(fd, F_GETFD);
  return flags < 0 || (flags & FD_CLOEXEC) != 0;
}

bool brings_this_library(char* const* environment) {
  if (environment == nullptr) return false;
  for (char* const* each = environment; *each != nullptr; ++each) {
    if (std::string_view(*each).starts_with("LD_PRELOAD=")) return true;
  }
  return false;
}

template <typename Visit>
void for_each_socket(Visit&& visit) {
  for (int fd = 0; fd < kMaxFds; ++fd) {
    if (fd_table.kind(fd) != Kind::kSocket) continue;
    if (const FileRef file(fd); file && file->where() != Side::kKernel) visit(fd, *file);
  }
}

struct Arrived {
  std::uint64_t cookie = 0;
  int token = -1;
  unsigned sides = 0;  // sides_of() the socket
  std::vector<int> numbers{};
};

constexpr unsigned kBothSides = 1;
constexpr unsigned kHasAskedKernel = 2;

unsigned sides_of(const File& file) {
  return (file.where() == Side::kBoth ? kBothSides : 0) |
         (file.has_asked_kernel.load() ? kHasAskedKernel : 0);
}

// A number, and one character behind it, if there is one.
template <typename Number>
bool read_number(std::string_view& rest, Number& number) {
  const char* const end = rest.data() + rest.size();
  const auto read = std::from_chars(rest.data(), end, number);
  if (read.ec != std::errc()) return false;
  rest = std::string_view(read.ptr, end);
  rest.remove_prefix(std::min<std::size_t>(1, rest.size()));
  return true;
}

std::vector<Arrived> read_word(std::string_view rest) {
  std::vector<Arrived> all;
  while (!rest.empty()) {
    Arrived entry;
    if (!read_number(rest, entry.cookie) || !read_number(rest, entry.token) ||
        !read_number(rest, entry.sides)) {
      break;
    }
    all.push_back(std::move(entry));
  }
  return all;
}

void adopt(const Arrived& entry) {
  const int first = entry.numbers.front();
  const int domain = get_number(first, SOL_SOCKET, SO_DOMAIN);
  if (domain != AF_INET && domain != AF_INET6) return;
  const auto type = get_number(first, SOL_SOCKET, SO_TYPE) == SOCK_STREAM
                        ? client::SocketType::kStream
                        : client::SocketType::kDatagram;
  client::Socket* socket = nullptr;
  if (entry.token >= 0) {
    if (!is_token(entry.token)) return;
    socket = adopt_token(entry.token);
    if (socket == nullptr) return;
  }
  const int flags = libc().fcntl(socket != nullptr ? entry.token : first, F_GETFL);
  File* const file = File::open(domain, type, (flags & O_NONBLOCK) != 0);
  if (file == nullptr) {
    if (socket != nullptr) socket->close(false);
    return;
  }
  if (socket != nullptr) {
    file->ours.store(socket, std::memory_order_release);
    file->has_asked_kernel.store((entry.sides & kHasAskedKernel) != 0);
    file->side.store((entry.sides & kBothSides) != 0 ? Side::kBoth : Side::kOurs,
                     std::memory_order_release);
    process.count(Count::kOurs);
  }
  recall_options(first, *file);
  fd_table.set(first, Kind::kSocket, file);
  for (const int fd : entry.numbers) {
    if (fd != first) share_number(first, fd);
    renew_standard_stream(fd);
  }
}

}  // namespace

Handover::Handover(char* const* environment, std::span<const int> also) : original_(environment) {
  if (!brings_this_library(environment)) return;
  for_each_socket([&](int fd, const File& file) {
    if (is_close_on_exec(fd) && std::ranges::find(also, fd) == also.end()) return;
    const std::uint64_t cookie = cookie_of(fd);
    if (cookie == 0 || std::ranges::find(entries_, cookie, &Entry::cookie) != entries_.end()) {
      return;
    }
    UniqueFd token;
    if (file.has_ours()) {
      token = take_token(file);
      if (!token) {
        process.tell_exhausted(errno);
        return;
      }
    }
    entries_.push_back({.cookie = cookie, .token = std::move(token), .sides = sides_of(file)});
  });
}

std::vector<int> Handover::tokens() const {
  std::vector<int> numbers;
  for (const Entry& each : entries_) {
    if (each.token) numbers.push_back(each.token.get());
  }
  return numbers;
}

bool Handover::avoid(std::span<const int> numbers) {
  if (numbers.empty()) return true;
  const int above = std::ranges::max(numbers) + 1;
  for (Entry& each : entries_) {
    if (!each.token || std::ranges::find(numbers, each.token.get()) == numbers.end()) continue;
    UniqueFd other(libc().fcntl(each.token.get(), F_DUPFD_CLOEXEC, above));
    if (!other) return false;
    each.token = std::move(other);
  }
  return true;
}

void Handover::inherit() const {
  for (const Entry& each : entries_) {
    if (each.token) libc().fcntl(each.token.get(), F_SETFD, 0);
  }
}

char* const* Handover::environment() {
  if (is_empty()) return original_;
  word_ = kWord;
  for (const Entry& each : entries_) {
    word_ += std::to_string(each.cookie) + ":" + std::to_string(each.token.get()) + ":" +
             std::to_string(each.sides) + ",";
  }
  list_.clear();
  for (char* const* each = original_; *each != nullptr; ++each) {
    if (!std::string_view(*each).starts_with(kWord)) list_.push_back(*each);
  }
  list_.push_back(word_.data());
  list_.push_back(nullptr);
  return list_.data();
}

bool has_inheritable() {
  bool any = false;
  for_each_socket([&](int fd, const File&) { any = any || !is_close_on_exec(fd); });
  return any;
}

std::vector<int> open_numbers() {
  std::vector<int> numbers;
  DIR* const folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) {  // as in a chroot
    for (int fd = 0; fd < kMaxFds; ++fd) {
      if (libc().fcntl(fd, F_GETFD) >= 0) numbers.push_back(fd);
    }
    return numbers;
  }
  // NOLINTNEXTLINE(concurrency-mt-unsafe): of a stream of its own
  while (const dirent* entry = ::readdir(folder)) {
    const std::string_view name(entry->d_name);
    int fd = -1;
    std::from_chars(name.data(), name.data() + name.size(), fd);
    if (fd >= 0 && fd != ::dirfd(folder)) numbers.push_back(fd);
  }
  ::closedir(folder);
  return numbers;
}

void adopt_at_load() {
  const char* value = std::getenv(kVariable);  // NOLINT(concurrency-mt-unsafe): at load
  if (value == nullptr) return;
  std::vector<Arrived> all = read_word(value);
  ::unsetenv(kVariable);  // NOLINT(concurrency-mt-unsafe): at load
  for (const int fd : open_numbers()) {
    const std::uint64_t cookie = cookie_of(fd);
    if (cookie == 0) continue;
    const auto found = std::ranges::find(all, cookie, &Arrived::cookie);
    if (found != all.end() && FdTable::holds(fd)) found->numbers.push_back(fd);
  }
  for (const Arrived& each : all) {
    if (!each.numbers.empty()) adopt(each);
  }
  for (const Arrived& each : all) {
    if (each.token >= 0 && is_token(each.token)) libc().close(each.token);
  }
}

}  // namespace tideline::shim::sockets
