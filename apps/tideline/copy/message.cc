// SPDX-License-Identifier: Apache-2.0
#include "copy/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "wire/endian.h"
#include "wire/view.h"

namespace tideline::app::copy {
namespace {

using wire::be16;
using wire::be32;
using wire::be64;

enum class Type : std::uint8_t {
  kOffer = 1,
  kAccept,
  kFilled,
  kFreed,
  kEnd,
  kDone,
  kFailure,
  kAlive,
};

struct Head {
  std::uint8_t type;
  std::array<std::uint8_t, 3> zero;
  be32 length;
};
static_assert(sizeof(Head) == 8);

struct QueuePairBody {
  be32 number;
  be32 psn;
  be32 mtu_bytes;
};

struct OfferBody {
  be32 magic;
  be16 version;
  be16 zero;
  be64 size;
  be32 mode;
  QueuePairBody qp;
};
static_assert(sizeof(OfferBody) == 32);
constexpr std::uint32_t kMagic = 0x544c6370;  // "TLcp"

struct AcceptBody {
  QueuePairBody qp;
  be64 address;
  be32 rkey;
  be32 window_size;
  be32 windows;
};
static_assert(sizeof(AcceptBody) == 32);

struct FilledBody {
  be32 window;
  be32 length;
};

struct FreedBody {
  be32 window;
};

struct EndBody {
  be64 size;
  Checksum checksum;
};

struct DoneBody {
  Checksum checksum;
  be64 passed;
  be64 kernel_copied;
};

struct NoBody {};

QueuePairBody to_wire(const QueuePairAddress& qp) {
  return {.number = be32(qp.number), .psn = be32(qp.psn), .mtu_bytes = be32(qp.mtu_bytes)};
}
QueuePairAddress from_wire(const QueuePairBody& qp) {
  return {.number = qp.number.value(), .psn = qp.psn.value(), .mtu_bytes = qp.mtu_bytes.value()};
}

template <typename Body>
std::vector<std::byte> frame(Type type, const Body& body, std::string_view text = {}) {
  const std::size_t fixed = std::is_empty_v<Body> ? 0 : sizeof(Body);
  text = text.substr(0, kMaxBody - fixed);
  std::vector<std::byte> out(sizeof(Head) + fixed + text.size());
  const Head head{.type = static_cast<std::uint8_t>(type),
                  .zero = {},
                  .length = be32(static_cast<std::uint32_t>(fixed + text.size()))};
  std::memcpy(out.data(), &head, sizeof(head));
  std::memcpy(out.data() + sizeof(head), &body, fixed);
  std::ranges::copy(std::as_bytes(std::span(text)),
                    out.begin() + static_cast<std::ptrdiff_t>(sizeof(head) + fixed));
  return out;
}

struct Encoder {
  std::vector<std::byte> operator()(const Offer& m) const {
    const OfferBody body{.magic = be32(kMagic),
                         .version = be16(m.version),
                         .zero = be16(0),
                         .size = be64(m.size),
                         .mode = be32(m.mode),
                         .qp = to_wire(m.qp)};
    return frame(Type::kOffer, body, std::string_view(m.name).substr(0, kMaxName));
  }
  std::vector<std::byte> operator()(const Accept& m) const {
    return frame(Type::kAccept, AcceptBody{.qp = to_wire(m.qp),
                                           .address = be64(m.address),
                                           .rkey = be32(m.rkey),
                                           .window_size = be32(m.window_size),
                                           .windows = be32(m.windows)});
  }
  std::vector<std::byte> operator()(const Filled& m) const {
    return frame(Type::kFilled, FilledBody{.window = be32(m.window), .length = be32(m.length)});
  }
  std::vector<std::byte> operator()(const Freed& m) const {
    return frame(Type::kFreed, FreedBody{.window = be32(m.window)});
  }
  std::vector<std::byte> operator()(const End& m) const {
    return frame(Type::kEnd, EndBody{.size = be64(m.size), .checksum = m.checksum});
  }
  std::vector<std::byte> operator()(const Done& m) const {
    return frame(Type::kDone, DoneBody{.checksum = m.checksum,
                                       .passed = be64(m.passed),
                                       .kernel_copied = be64(m.kernel_copied)});
  }
  std::vector<std::byte> operator()(const Failure& m) const {
    return frame(Type::kFailure, NoBody(), std::string_view(m.reason).substr(0, kMaxReason));
  }
  std::vector<std::byte> operator()(const Alive& /*m*/) const {
    return frame(Type::kAlive, NoBody());
  }
};

using Parsed = std::expected<std::optional<Message>, std::string>;
using Bytes = std::span<const std::byte>;

Parsed malformed(std::string_view what) {
  return std::unexpected(fmt::format("it has sent {}", what));
}

std::string text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The body, if it is as long as its struct.
template <typename Body>
const Body* exactly(Bytes body) {
  return body.size() == sizeof(Body) ? &wire::view_as<Body>(body) : nullptr;
}

Parsed parse_offer(Bytes body) {
  if (body.size() <= sizeof(OfferBody) || body.size() > sizeof(OfferBody) + kMaxName) {
    return malformed("an offer of a wrong length");
  }
  const auto& offer = wire::view_as<OfferBody>(body);
  if (offer.magic.value() != kMagic) return malformed("something else than an offer");
  return Offer{.version = offer.version.value(),
               .size = offer.size.value(),
               .mode = offer.mode.value() & 0777U,
               .qp = from_wire(offer.qp),
               .name = text_of(body.subspan(sizeof(OfferBody)))};
}

Parsed parse(Type type, Bytes body) {
  switch (type) {
    case Type::kOffer:
      return parse_offer(body);
    case Type::kAccept:
      if (const auto* m = exactly<AcceptBody>(body)) {
        return Accept{.qp = from_wire(m->qp),
                      .address = m->address.value(),
                      .rkey = m->rkey.value(),
                      .window_size = m->window_size.value(),
                      .windows = m->windows.value()};
      }
      break;
    case Type::kFilled:
      if (const auto* m = exactly<FilledBody>(body)) {
        return Filled{.window = m->window.value(), .length = m->length.value()};
      }
      break;
    case Type::kFreed:
      if (const auto* m = exactly<FreedBody>(body)) return Freed{.window = m->window.value()};
      break;
    case Type::kEnd:
      if (const auto* m = exactly<EndBody>(body)) {
        return End{.size = m->size.value(), .checksum = m->checksum};
      }
      break;
    case Type::kDone:
      if (const auto* m = exactly<DoneBody>(body)) {
        return Done{.checksum = m->checksum,
                    .passed = m->passed.value(),
                    .kernel_copied = m->kernel_copied.value()};
      }
      break;
    case Type::kFailure:
      if (body.size() <= kMaxReason) return Failure{.reason = printable(text_of(body))};
      break;
    case Type::kAlive:
      if (body.empty()) return Alive{};
      break;
  }
  return malformed(
      fmt::format("a message of type {} and {} bytes", static_cast<unsigned>(type), body.size()));
}

}  // namespace

std::vector<std::byte> encode(const Message& message) { return std::visit(Encoder(), message); }

Parsed Inbox::next() {
  const Bytes all(bytes_);
  if (all.size() < sizeof(Head)) return std::nullopt;
  const auto& head = wire::view_as<Head>(all);
  const std::size_t length = head.length.value();
  const bool good_head = head.type >= static_cast<std::uint8_t>(Type::kOffer) &&
                         head.type <= static_cast<std::uint8_t>(Type::kAlive) &&
                         length <= kMaxBody && head.zero == decltype(head.zero){};
  if (!good_head) return malformed("what is no message of tideline copy");
  if (all.size() - sizeof(Head) < length) return std::nullopt;
  Parsed message = parse(static_cast<Type>(head.type), all.subspan(sizeof(Head), length));
  bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(sizeof(Head) + length));
  return message;
}

std::string printable(std::string_view text) {
  std::string clean(text);
  unsigned char before = 0;
  for (char& c : clean) {
    const auto byte = static_cast<unsigned char>(c);
    // The second set of control characters is U+0080 to U+009F.
    const bool second = before == 0xc2 && byte >= 0x80 && byte < 0xa0;
    before = byte;
    if (byte < 0x20 || byte == 0x7f || second) c = '?';
  }
  return clean;
}

}  // namespace tideline::app::copy
