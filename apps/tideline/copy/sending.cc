// SPDX-License-Identifier: Apache-2.0
#include "copy/sending.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>
#include <variant>

namespace tideline::app::copy {
namespace {

std::unexpected<Error> peer_failed(std::string what) {
  return fail({.kind = ErrorKind::kPeer, .what = std::move(what)});
}

const char* explain(rdma::WcStatus status) {
  switch (status) {
    case rdma::WcStatus::kRetryExceeded:
      return "the listener does not answer";
    case rdma::WcStatus::kRemoteAccess:
    case rdma::WcStatus::kRemoteInvalidRequest:
    case rdma::WcStatus::kRemoteOperation:
      return "the listener has refused an RDMA WRITE";
    default:
      return "an RDMA WRITE has failed";
  }
}

}  // namespace

Result<OutgoingFile> open_outgoing(const std::string& path) {
  OutgoingFile file{.fd = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK))};
  struct stat status{};
  if (!file.fd || ::fstat(file.fd.get(), &status) != 0) return fail_errno("cannot read " + path);
  if (!S_ISREG(status.st_mode)) {
    return fail({.kind = ErrorKind::kUsage, .what = path + " is not a file"});
  }
  ::posix_fadvise(file.fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  file.size = static_cast<std::uint64_t>(status.st_size);
  file.mode = status.st_mode & 0777;
  return file;
}

Sending::Sending(Verbs& verbs, Stream stream, OutgoingFile file, std::string name, Instant now)
    : verbs_(verbs),
      line_(std::move(stream)),
      file_(std::move(file)),
      name_(std::move(name)),
      alive_at_(now + kAlive) {}

Sending::~Sending() = default;

Status Sending::step(Instant now) {
  if (line_.stream().state() == Stream::State::kConnecting) return {};
  if (!offered_ && line_.stream().state() == Stream::State::kOpen) {
    auto windows = Windows::create(verbs_, rdma::Access::kNone);
    if (!windows) return fail(std::move(windows.error()));
    windows_ = std::move(*windows);
    line_.send(
        Offer{.size = file_.size, .mode = file_.mode, .qp = windows_->here(), .name = name_});
    offered_ = true;
  }
  for (;;) {
    auto message = line_.next();
    if (!message) return peer_failed("the other side is no listener: " + message.error());
    const std::optional<Message>& whole = *message;
    if (!whole) break;
    if (Status s = handle(*whole); !s) return s;
  }
  if (is_done()) return {};
  if (line_.is_over()) return peer_failed(line_.why_over("the listener"));
  if (Status s = take_written(); !s) return s;
  if (Status s = take_read(); !s) return s;
  if (accepted_ && !ended_ && arrived_ == file_.size) {
    checksum_ = hash_.value();  // everything was read: the disk's thread is idle
    line_.send(End{.size = file_.size, .checksum = checksum_});
    ended_ = true;
  }
  if (alive_at_ <= now) {
    line_.send(Alive{});
    alive_at_ = now + kAlive;
  }
  line_.flush();
  return {};
}

Status Sending::handle(const Message& message) {
  if (const auto* failure = std::get_if<Failure>(&message)) {
    return peer_failed("the listener says: " + failure->reason);
  }
  if (const auto* accept = std::get_if<Accept>(&message); accept != nullptr && !accepted_) {
    return begin(*accept);
  }
  if (const auto* window = std::get_if<Freed>(&message); window != nullptr && accepted_) {
    return freed(*window);
  }
  if (const auto* done = std::get_if<Done>(&message); done != nullptr && ended_) {
    done_ = *done;
    is_done_ = true;
    return {};
  }
  return peer_failed("the listener has sent a message out of turn");
}

Status Sending::begin(const Accept& accept) {
  constexpr std::uint32_t kMostWindows = 65536;
  if (accept.windows == 0 || accept.windows > kMostWindows || accept.window_size == 0) {
    return peer_failed("the listener has no windows");
  }
  if (Status s = windows_->connect(line_.stream(), accept.qp); !s) return s;
  listener_ = accept;
  accepted_ = true;
  listener_.windows = std::min(accept.windows, kWindows);
  piece_size_ = std::min(accept.window_size, kWindowSize);
  disk_ = std::make_unique<Disk>([this](Piece piece) { return read(piece); },
                                 [this] { verbs_.rdma().engine().wake(); });
  for (std::uint32_t window = 0; window < listener_.windows; ++window) read_on(window);
  return {};
}

Status Sending::freed(const Freed& freed) {
  if (freed.window >= listener_.windows || states_[freed.window] != Window::kWithListener) {
    return peer_failed("the listener frees a window that it does not have");
  }
  read_on(freed.window);
  return {};
}

void Sending::read_on(std::uint32_t window) {
  const auto length =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(piece_size_, file_.size - asked_));
  states_[window] = length == 0 ? Window::kUnused : Window::kReading;
  if (length == 0) return;
  asked_ += length;
  disk_->give({.window = window, .length = length});
}

Result<Piece> Sending::read(Piece piece) {
  const std::span<std::byte> to = windows_->window(piece.window).first(piece.length);
  for (std::size_t done = 0; done < to.size();) {
    const ssize_t size = ::read(file_.fd.get(), to.data() + done, to.size() - done);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno("cannot read the file");
    if (size == 0) return fail({.what = "the file has become shorter while it was copied"});
    done += static_cast<std::size_t>(size);
  }
  hash_.add(to);
  return piece;
}

Status Sending::take_read() {
  while (disk_ != nullptr) {
    auto piece = disk_->take();
    if (!piece) return {};
    if (!*piece) return fail(std::move(piece->error()));
    const auto [window, length] = **piece;
    states_[window] = Window::kWriting;
    lengths_[window] = length;
    const std::uint64_t remote = listener_.address + std::uint64_t{window} * listener_.window_size;
    if (Status s = windows_->write(window, length, remote, listener_.rkey); !s) return s;
  }
  return {};
}

Status Sending::take_written() {
  while (const auto completion = verbs_.next()) {
    if (completion->status != rdma::WcStatus::kSuccess) {
      return peer_failed(explain(completion->status));
    }
    const auto window = static_cast<std::uint32_t>(completion->wr_id);
    states_[window] = Window::kWithListener;
    arrived_ += lengths_[window];
    line_.send(Filled{.window = window, .length = lengths_[window]});
  }
  return {};
}

bool Sending::has_parted() {
  line_.discard();
  if (!line_.is_over()) return false;
  line_.stream().close();
  return true;
}

void Sending::give_up(const std::string& reason) {
  // What is under way would only be in the way of the last words.
  disk_.reset();
  windows_.reset();
  if (line_.stream().state() == Stream::State::kOpen) line_.send(Failure{.reason = reason});
  hang_up();
}

}  // namespace tideline::app::copy
