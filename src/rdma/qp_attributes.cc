// SPDX-License-Identifier: Apache-2.0
#include "rdma/qp_attributes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

namespace tideline::rdma {
namespace {

using M = QpMask;
using enum QpState;
using enum QpType;

// One row of table 91: what a change needs, and what else it takes.
struct Transition {
  QpState from;
  QpState to;
  QpType type;
  std::uint32_t required;
  std::uint32_t optional;
};

constexpr std::uint32_t kMigration = M::kAlternatePath | M::kPathMigration;
constexpr std::uint32_t kPeer = M::kAddress | M::kPathMtu | M::kDestinationQpn | M::kReceivePsn;
// While a connection works.
constexpr std::uint32_t kLiveUc = M::kCurrentState | M::kAccess | kMigration;
constexpr std::uint32_t kLiveRc = kLiveUc | M::kMinRnrTimer;
constexpr std::uint32_t kLiveUd = M::kCurrentState | M::kQkey;

// RESET and ERR can be reached from everywhere, with no attributes; they have no rows.
constexpr std::array kTransitions{
    Transition{kReset, kInit, kRc, M::kPkeyIndex | M::kPort | M::kAccess, 0},
    Transition{kReset, kInit, kUc, M::kPkeyIndex | M::kPort | M::kAccess, 0},
    Transition{kReset, kInit, kUd, M::kPkeyIndex | M::kPort | M::kQkey, 0},

    Transition{kInit, kInit, kRc, 0, M::kPkeyIndex | M::kPort | M::kAccess},
    Transition{kInit, kInit, kUc, 0, M::kPkeyIndex | M::kPort | M::kAccess},
    Transition{kInit, kInit, kUd, 0, M::kPkeyIndex | M::kPort | M::kQkey},

    Transition{kInit, kRtr, kRc, kPeer | M::kMaxDestRdAtomic | M::kMinRnrTimer,
               M::kAlternatePath | M::kAccess | M::kPkeyIndex},
    Transition{kInit, kRtr, kUc, kPeer, M::kAlternatePath | M::kAccess | M::kPkeyIndex},
    Transition{kInit, kRtr, kUd, 0, M::kPkeyIndex | M::kQkey},

    Transition{kRtr, kRts, kRc,
               M::kTimeout | M::kRetryCount | M::kRnrRetry | M::kSendPsn | M::kMaxRdAtomic,
               kLiveRc},
    Transition{kRtr, kRts, kUc, M::kSendPsn, kLiveUc},
    Transition{kRtr, kRts, kUd, M::kSendPsn, kLiveUd},

    Transition{kRts, kRts, kRc, 0, kLiveRc},
    Transition{kRts, kRts, kUc, 0, kLiveUc},
    Transition{kRts, kRts, kUd, 0, kLiveUd},

    Transition{kRts, kSqd, kRc, 0, M::kSqdNotify},
    Transition{kRts, kSqd, kUc, 0, M::kSqdNotify},
    Transition{kRts, kSqd, kUd, 0, M::kSqdNotify},

    Transition{kSqd, kSqd, kRc, 0,
               M::kPort | M::kAddress | M::kTimeout | M::kRetryCount | M::kRnrRetry |
                   M::kMaxRdAtomic | M::kMaxDestRdAtomic | M::kAccess | M::kPkeyIndex |
                   M::kMinRnrTimer | kMigration},
    Transition{kSqd, kSqd, kUc, 0, M::kAddress | M::kAccess | M::kPkeyIndex | kMigration},
    Transition{kSqd, kSqd, kUd, 0, M::kPkeyIndex | M::kQkey},

    Transition{kSqd, kRts, kRc, 0, kLiveRc},
    Transition{kSqd, kRts, kUc, 0, kLiveUc},
    Transition{kSqd, kRts, kUd, 0, kLiveUd},

    Transition{kSqe, kRts, kUc, 0, M::kCurrentState | M::kAccess},
    Transition{kSqe, kRts, kUd, 0, kLiveUd},
};

std::string names_of(std::uint32_t mask) {
  constexpr std::array<std::string_view, 21> kNames{
      "state",         "current state", "SQD notify",         "access flags",   "P_Key index",
      "port",          "Q_Key",         "address vector",     "path MTU",       "timeout",
      "retry count",   "RNR retry",     "receive PSN",        "max RD atomic",  "alternate path",
      "min RNR timer", "send PSN",      "max dest RD atomic", "path migration", "capacity",
      "destination QP"};
  std::string names;
  for (std::size_t bit = 0; bit < 32; ++bit) {
    if ((mask >> bit & 1) == 0) continue;
    if (!names.empty()) names += ", ";
    names += bit < kNames.size() ? std::string(kNames.at(bit)) : fmt::format("bit {}", bit);
  }
  return names;
}

std::unexpected<Error> refuse(QpType type, QpState from, QpState to, const std::string& why) {
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("{} queue pair cannot go from {} to {}: {}", name_of(type),
                                   name_of(from), name_of(to), why),
               .errno_value = EINVAL});
}

}  // namespace

Status check_transition(QpType type, QpState from, QpState to, std::uint32_t mask) {
  mask &= ~M::kState;
  if (to == kReset || to == kErr) {
    if (mask == 0) return {};
    return refuse(type, from, to, fmt::format("takes no {}", names_of(mask)));
  }
  const auto* row = std::ranges::find_if(kTransitions, [&](const Transition& transition) {
    return transition.from == from && transition.to == to && transition.type == type;
  });
  if (row == kTransitions.end()) return refuse(type, from, to, "there is no such transition");
  if (const std::uint32_t missing = row->required & ~mask; missing != 0) {
    return refuse(type, from, to, fmt::format("lacks {}", names_of(missing)));
  }
  if (const std::uint32_t extra = mask & ~(row->required | row->optional); extra != 0) {
    return refuse(type, from, to, fmt::format("takes no {}", names_of(extra)));
  }
  return {};
}

std::string_view name_of(QpState state) {
  constexpr std::array<std::string_view, 7> kNames{"RESET", "INIT", "RTR", "RTS",
                                                   "SQD",   "SQE",  "ERR"};
  const auto at = static_cast<std::size_t>(state);
  return at < kNames.size() ? kNames.at(at) : "unknown";
}

std::string_view name_of(QpType type) {
  switch (type) {
    case kRc:
      return "RC";
    case kUc:
      return "UC";
    case kUd:
      return "UD";
  }
  return "unknown";
}

}  // namespace tideline::rdma
