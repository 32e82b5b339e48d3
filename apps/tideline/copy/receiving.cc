// SPDX-License-Identifier: Apache-2.0
#include "copy/receiving.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>
#include <variant>

namespace tideline::app::copy {
namespace {

// Until the offer, and between messages of a client, which says something every two seconds.
constexpr Duration kSilence = std::chrono::seconds(10);
// For the client to read why it was refused, and to hang up.
constexpr Duration kLinger = std::chrono::seconds(5);

// A piece without a window: everything was written.
constexpr Piece kEndOfFile{.window = kWindows, .length = 0};

}  // namespace

Receiving::Receiving(Verbs& verbs, const Directory& directory, Stream stream, bool has_room,
                     Instant now)
    : verbs_(verbs),
      directory_(directory),
      line_(std::move(stream)),
      client_(line_.stream().remote().text()),
      deadline_(now + kSilence),
      begin_(now) {
  line_.stream().set_context(this);
  if (!has_room) refuse("as many files as it takes at a time are under way; try again", now);
}

Receiving::~Receiving() = default;

void Receiving::step(Instant now) {
  while (!leaving_) {
    auto message = line_.next();
    if (!message) {
      refuse(message.error(), now);
    } else if (const std::optional<Message>& whole = *message; whole) {
      handle(*whole, now);
      // Who only says that he is there, and offers nothing, keeps no place from others.
      if (offered_ && !leaving_) deadline_ = now + kSilence;
    } else {
      break;
    }
  }
  if (!leaving_) take_written(now);
  line_.flush();
  if (leaving_) {
    line_.discard();
    over_ = line_.is_over() || now >= deadline_;
  } else if (line_.is_over()) {
    reason_ = line_.why_over("the client");
    // Who it is stands before it anyway.
    if (reason_.starts_with(client_ + ": ")) reason_.erase(0, client_.size() + 2);
    leave(now);
    over_ = true;
  } else if (now >= deadline_) {
    refuse("the client was silent for too long", now);
  } else if (line_.is_clogged()) {
    refuse("the client does not read what it is told", now);
  }
}

void Receiving::handle(const Message& message, Instant now) {
  if (const auto* offer = std::get_if<Offer>(&message); offer != nullptr && !offered_) {
    offered(*offer, now);
  } else if (const auto* window = std::get_if<Filled>(&message); window != nullptr && is_busy()) {
    filled(*window, now);
  } else if (const auto* end = std::get_if<End>(&message); end != nullptr && is_busy() && !ended_ &&
                                                           end->size == received_ &&
                                                           end->size == offer_.size) {
    end_ = *end;
    ended_ = true;
    disk_->give(kEndOfFile);
  } else if (const auto* failure = std::get_if<Failure>(&message)) {
    reason_ = "the client says: " + failure->reason;
    leave(now);
  } else if (!std::holds_alternative<Alive>(message)) {
    refuse("the client has sent a message out of turn", now);
  }
}

void Receiving::offered(const Offer& offer, Instant now) {
  offered_ = true;
  offer_ = offer;
  offer_.name = printable(offer.name);
  if (offer.version != kVersion) {
    refuse(fmt::format("it speaks version {} of the protocol, this listener version {}",
                       offer.version, kVersion),
           now);
    return;
  }
  if (const auto reason = directory_.refuse(offer.name, offer.size)) {
    refuse(*reason, now);
    return;
  }
  passes_before_ = verbs_.rdma().passes();
  if (Status s = prepare(offer); !s) {
    refuse(s.error().what, now);
    return;
  }
  line_.send(Accept{.qp = windows_->here(),
                    .address = windows_->address(),
                    .rkey = windows_->key(),
                    .window_size = kWindowSize,
                    .windows = kWindows});
}

Status Receiving::prepare(const Offer& offer) {
  auto file = IncomingFile::create(directory_, offer.name);
  if (!file) return fail(std::move(file.error()));
  file_ = std::make_unique<IncomingFile>(std::move(*file));
  auto windows = Windows::create(verbs_, rdma::Access::kLocalWrite | rdma::Access::kRemoteWrite);
  if (!windows) return fail(std::move(windows.error()));
  windows_ = std::move(*windows);
  disk_ = std::make_unique<Disk>([this](Piece piece) { return write(piece); },
                                 [this] { verbs_.rdma().engine().wake(); });
  return windows_->connect(line_.stream(), offer.qp);
}

void Receiving::filled(const Filled& filled, Instant now) {
  const bool fits = filled.window < kWindows && !with_disk_[filled.window] && !ended_ &&
                    filled.length > 0 && filled.length <= kWindowSize &&
                    filled.length <= offer_.size - received_;
  if (!fits) {
    refuse("the client has filled what it was not given", now);
    return;
  }
  with_disk_[filled.window] = true;
  received_ += filled.length;
  disk_->give({.window = filled.window, .length = filled.length});
}

// What the client may still change is its own file.
Result<Piece> Receiving::write(Piece piece) {
  if (piece.length == 0) {
    checksum_ = hash_.value();
    if (checksum_ != end_.checksum) return piece;
    if (Status s = file_->keep(offer_.mode); !s) return fail(std::move(s.error()));
    kept_ = true;
    return piece;
  }
  const std::span<const std::byte> bytes = windows_->window(piece.window).first(piece.length);
  hash_.add(bytes);
  if (Status s = file_->write(bytes); !s) return fail(std::move(s.error()));
  return piece;
}

void Receiving::take_written(Instant now) {
  while (disk_ != nullptr) {
    auto piece = disk_->take();
    if (!piece) return;
    if (!*piece) {
      refuse(piece->error().what, now);
    } else if ((*piece)->length == 0) {
      finish(now);
    } else {
      with_disk_[(*piece)->window] = false;
      line_.send(Freed{.window = (*piece)->window});
    }
  }
}

void Receiving::finish(Instant now) {
  packet::PassCounter passes = verbs_.rdma().passes();
  const auto since = [&](std::uint64_t after, std::uint64_t before) { return after - before; };
  using packet::Pass;
  line_.send(Done{.checksum = checksum_,
                  .passed = since(passes.total(), passes_before_.total()) + offer_.size,
                  .kernel_copied = since(passes.bytes(Pass::kKernelCopy),
                                         passes_before_.bytes(Pass::kKernelCopy)) +
                                   offer_.size});
  if (!kept_) reason_ = "what has come is not what was sent: the checksums differ";
  leave(now);
}

void Receiving::refuse(const std::string& reason, Instant now) {
  if (leaving_) return;
  reason_ = reason;
  line_.send(Failure{.reason = reason});
  leave(now);
}

// The disk's thread goes first, then what it works on; an unfinished file is removed.
void Receiving::leave(Instant now) {
  disk_.reset();
  file_.reset();
  windows_.reset();
  leaving_ = true;
  taken_ = now - begin_;
  deadline_ = now + kLinger;
  line_.hang_up();
}

}  // namespace tideline::app::copy
