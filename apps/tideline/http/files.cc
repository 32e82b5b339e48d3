// SPDX-License-Identifier: Apache-2.0
#include "http/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace tideline::app::http {
namespace {

std::string_view type_of(std::string_view path) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kTypes{{
      {".html", "text/html; charset=utf-8"},
      {".htm", "text/html; charset=utf-8"},
      {".txt", "text/plain; charset=utf-8"},
      {".md", "text/plain; charset=utf-8"},
      {".css", "text/css"},
      {".js", "text/javascript"},
      {".json", "application/json"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".jpg", "image/jpeg"},
      {".gif", "image/gif"},
      {".pdf", "application/pdf"},
  }};
  for (const auto& [ending, type] : kTypes) {
    if (path.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

UniqueFd open_beneath(int root, const std::string& path) {
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;  // a FIFO must not hold us up
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(
      ::syscall(SYS_openat2, root, path.empty() ? "." : path.c_str(), &how, sizeof(how))));
}

int status_of_errno() {
  switch (errno) {
    case EACCES:
    case EPERM:
    case EXDEV:  // leads out of the directory
    case ELOOP:
      return 403;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return 503;
    default:
      return 404;
  }
}

}  // namespace

Result<Files> Files::open(const std::string& directory) {
  UniqueFd root(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return fail_errno("cannot serve " + directory);
  return Files(std::move(root));
}

std::expected<File, int> Files::find(const std::string& path) const {
  const bool wants_index = path.empty() || path.ends_with('/');
  const std::string name = wants_index ? path + "index.html" : path;
  UniqueFd fd = open_beneath(root_.get(), name);
  if (!fd) return std::unexpected(status_of_errno());
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return std::unexpected(404);
  if (S_ISDIR(status.st_mode)) return std::unexpected(wants_index ? 403 : 301);
  if (!S_ISREG(status.st_mode)) return std::unexpected(403);
  File file{.fd = std::move(fd),
            .size = static_cast<std::uint64_t>(status.st_size),
            .modified = status.st_mtim.tv_sec,
            .type = type_of(name)};
  file.tag = fmt::format("\"{:x}.{:x}-{:x}\"", status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                         status.st_size);
  return file;
}

std::string http_date(std::time_t time) {
  constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
                     kDays[static_cast<std::size_t>(utc.tm_wday)], utc.tm_mday,
                     kMonths[static_cast<std::size_t>(utc.tm_mon)], utc.tm_year + 1900, utc.tm_hour,
                     utc.tm_min, utc.tm_sec);
}

}  // namespace tideline::app::http
