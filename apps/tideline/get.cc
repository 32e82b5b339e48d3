// SPDX-License-Identifier: Apache-2.0
// `tideline get`: downloads a file over HTTP/1.1. It grows as FILE.part, whose extended attribute
// keeps what the server calls this version of the file, and gets its name when it is whole.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "api_session.h"
#include "base/clock.h"
#include "base/fd.h"
#include "commands.h"
#include "http/download.h"
#include "http/url.h"
#include "progress_bar.h"
#include "report.h"
#include "session.h"

namespace tideline::app {
namespace {

constexpr const char* kAttribute = "user.tideline.version";
constexpr int kAttempts = 5;  // in a row that bring nothing
constexpr Duration kPause = std::chrono::milliseconds(500);

// The file as far as it is there.
class PartFile {
 public:
  explicit PartFile(std::string name) : name_(std::move(name)), part_(name_ + ".part") {
    fd_ = UniqueFd(::open(part_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (!fd_) value_or_throw(Status(fail_errno("cannot write " + part_)));
  }
  // Of which there is nothing, nothing is left behind.
  ~PartFile() {
    struct stat status{};
    if (!finished_ && ::fstat(fd_.get(), &status) == 0 && status.st_size == 0) {
      ::unlink(part_.c_str());
    }
  }
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  http::Target target() const {
    http::Target target{.fd = fd_.get()};
    std::array<char, 512> version{};
    const ssize_t size = ::fgetxattr(fd_.get(), kAttribute, version.data(), version.size());
    struct stat status{};
    const std::string_view known(version.data(),
                                 static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    // It goes into a request as it is.
    const bool clean = std::ranges::all_of(known, [](char c) { return c >= ' ' && c != 0x7f; });
    if (!known.empty() && clean && ::fstat(fd_.get(), &status) == 0) {
      target.validator = known;
      target.have = static_cast<std::uint64_t>(status.st_size);
    }
    return target;
  }
  // Without attributes on this file system, the next attempt begins anew.
  void keep(const std::string& validator) const {
    const bool kept = !validator.empty() && ::fsetxattr(fd_.get(), kAttribute, validator.data(),
                                                        validator.size(), 0) == 0;
    if (!kept) (void)::fremovexattr(fd_.get(), kAttribute);  // of another version
  }
  void finish(std::uint64_t size) {
    keep({});
    finished_ = true;
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0 ||
        ::rename(part_.c_str(), name_.c_str()) != 0) {
      value_or_throw(Status(fail_errno("cannot name " + name_)));
    }
  }

 private:
  std::string name_;
  std::string part_;
  UniqueFd fd_;
  bool finished_ = false;
};

// Until it is whole, or hopeless, or the user has enough. Whether it is whole.
bool fetch(http::Download& download, const http::Target& target, const PartFile* part,
           const std::atomic<bool>& stop) {
  for (int left = kAttempts; left > 0 && !stop; --left) {
    const std::uint64_t before = download.received();
    auto outcome = download.run();
    if (part != nullptr) part->keep(target.validator);
    if (!outcome) throw Failure(outcome.error());
    if (*outcome == http::Download::Outcome::kDone) return true;
    if (*outcome == http::Download::Outcome::kStopped) return false;
    const bool can_go_on = part != nullptr || target.have == 0;
    if (!can_go_on || (left == 1 && download.received() == before)) break;
    if (download.received() > before) left = kAttempts + 1;
    ::usleep(static_cast<useconds_t>(kPause.count() / 1000));
  }
  if (stop) return false;
  throw Failure({.kind = ErrorKind::kPeer, .what = download.reason()});
}

}  // namespace

int get(const WireOptions& wire, const GetOptions& options) {
  const http::Url url = value_or_throw(http::parse_url(options.url));
  const std::string name = options.output.empty() ? url.file_name : options.output;
  if (name.empty()) {
    throw Failure({.kind = ErrorKind::kUsage,
                   .what = "the URL names no file",
                   .remedy = "give one: -o FILE"});
  }
  ApiSession session(wire);
  std::optional<PartFile> part;
  http::Target target{.fd = STDOUT_FILENO, .seekable = false};
  if (name != "-") target = part.emplace(name).target();
  const std::uint64_t resumed = target.have;
  ProgressBar bar;
  http::Download download(
      session.engine(), session.host(), url, target, [&] { bar.show(target.have, target.size); },
      session.stopped());
  const Instant begin = monotonic_now();
  bool whole = false;
  try {
    whole = fetch(download, target, part ? &*part : nullptr, session.stopped());
  } catch (const Failure&) {
    bar.clear();
    throw;
  }
  bar.clear();
  const double seconds = static_cast<double>((monotonic_now() - begin).count()) * 1e-9;
  if (whole && part) part->finish(target.have);
  session.engine().drain(std::chrono::seconds(2));
  const double rate = static_cast<double>(download.received()) / seconds;
  if (wire.json && part) {
    auto json = begin_json("get", whole);
    json["url"] = options.url;
    json["file"] = name;
    json["bytes"] = target.have;
    json["received_bytes"] = download.received();
    json["resumed_at"] = resumed;
    json["seconds"] = seconds;
    json["bytes_per_s"] = rate;
    json["seed"] = session.engine().seed();
    json["drops"] = to_json(session.engine().stats().drops);
    print_json(json);
  } else if (part) {
    fmt::print("{}: {}, {} received in {:.3f} s, {}/s{}\n", name,
               amount_text(static_cast<double>(target.have)),
               amount_text(static_cast<double>(download.received())), seconds, amount_text(rate),
               whole ? "" : "; the same command goes on from there");
  }
  value_or_throw(session.engine().flush_capture());
  return whole ? kDone : kNegative;
}

}  // namespace tideline::app
