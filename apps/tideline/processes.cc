// SPDX-License-Identifier: Apache-2.0
#include "processes.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "base/clock.h"
#include "control/place.h"
#include "copy/message.h"
#include "failure.h"

namespace tideline::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLongestAnswer = std::size_t{64} << 20;

}  // namespace

std::vector<Process> processes_in(const std::string& path) {
  std::vector<Process> found;
  const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  // Another user's place is none of this user's processes.
  if (!directory) return found;
  for (const std::string& name : control::sockets_in(directory.get())) {
    found.push_back(
        {.directory = UniqueFd(::fcntl(directory.get(), F_DUPFD_CLOEXEC, 3)), .socket = name});
  }
  return found;
}

std::vector<Process> find_processes() {
  std::vector<Process> found;
  for (const std::string& place : control::all_places()) {
    for (Process& process : processes_in(place)) found.push_back(std::move(process));
  }
  return found;
}

std::optional<Json> ask(Process& process, std::string_view question) {
  auto connection = control::connect_to(process.directory.get(), process.socket);
  if (!connection) {
    const int error = connection.error().errno_value;
    if (error == EACCES || error == EPERM) throw Failure(connection.error());
    return std::nullopt;
  }
  process.pid = connection->pid;
  const int fd = connection->fd.get();
  const Instant end = monotonic_now() + std::chrono::seconds(3);
  if (::send(fd, question.data(), question.size(), MSG_NOSIGNAL) < 0) return std::nullopt;
  std::string answer;
  std::array<char, 65536> bytes{};
  while (answer.size() < kLongestAnswer && monotonic_now() < end) {
    const ssize_t size = ::recv(fd, bytes.data(), bytes.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    answer.append(bytes.data(), static_cast<std::size_t>(size));
  }
  Json json = Json::parse(answer, nullptr, false);
  if (!json.is_object()) {
    json = Json{{"pid", process.pid}, {"error", "it does not answer"}};
  }
  return json;
}

std::uint64_t number_in(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

// Safe to show.
std::string text_in(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? copy::printable(found->get<std::string>())
                                                     : std::string();
}

const Json& member(const Json& object, std::string_view key) {
  static const Json kNothing = Json::object();
  const auto found = object.find(key);
  return found == object.end() ? kNothing : *found;
}

double real_in(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

}  // namespace tideline::app
