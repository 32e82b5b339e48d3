// SPDX-License-Identifier: Apache-2.0
// The errno of each failure, and how intercepted calls give it back. Thread: any.
#pragma once

#include <cerrno>
#include <iterator>

#include "client/types.h"

namespace tideline::shim::sockets {

constexpr int errno_of(client::Failure failure) {
  using enum client::Failure;
  switch (failure) {
    case kNone:
      return 0;
    case kWouldBlock:
      return EAGAIN;
    case kInProgress:
      return EINPROGRESS;
    case kConnected:
      return EISCONN;
    case kNotConnected:
      return ENOTCONN;
    case kShutDown:
      return EPIPE;
    case kInvalid:
      return EINVAL;
    case kNoDestination:
      return EDESTADDRREQ;
    case kMessageSize:
      return EMSGSIZE;
    case kAddressInUse:
      return EADDRINUSE;
    case kAddressUnknown:
      return EADDRNOTAVAIL;
    case kRefused:
      return ECONNREFUSED;
    case kReset:
      return ECONNRESET;
    case kTimedOut:
      return ETIMEDOUT;
    case kHostUnreachable:
      return EHOSTUNREACH;
    case kNetworkUnreachable:
      return ENETUNREACH;
    case kProtocolUnreachable:
      return ENOPROTOOPT;
    case kNoMemory:
      return ENOBUFS;
    case kNotSupported:
    case kForked:
      return EOPNOTSUPP;
    case kNotPermitted:
      return EACCES;
    case kProtocol:
      return EPROTO;
  }
  return EINVAL;
}

// As Linux has them: RFC 1122 §3.2.2.1 and RFC 4443 §3, by code.
inline int errno_of(const client::Report& said) {
  constexpr int kIpv4[] = {ENETUNREACH,  EHOSTUNREACH, ENOPROTOOPT,  ECONNREFUSED,
                           EMSGSIZE,     EOPNOTSUPP,   ENETUNREACH,  EHOSTDOWN,
                           ENONET,       ENETUNREACH,  EHOSTUNREACH, ENETUNREACH,
                           EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH};
  constexpr int kIpv6[] = {ENETUNREACH,  EACCES, EHOSTUNREACH, EHOSTUNREACH,
                           ECONNREFUSED, EACCES, EACCES};
  constexpr int kUnreachable = 3;
  constexpr int kParameterProblem = 12;
  constexpr int kUnreachable6 = 1;
  constexpr int kTooBig6 = 2;
  constexpr int kParameterProblem6 = 4;
  if (said.type == (said.ipv6 ? kParameterProblem6 : kParameterProblem)) return EPROTO;
  if (said.ipv6 && said.type == kTooBig6) return EMSGSIZE;
  if (said.type != (said.ipv6 ? kUnreachable6 : kUnreachable)) return EHOSTUNREACH;
  if (said.ipv6) return said.code < std::size(kIpv6) ? kIpv6[said.code] : EPROTO;
  return said.code < std::size(kIpv4) ? kIpv4[said.code] : EHOSTUNREACH;
}

// Inside, failures are negative errno.
inline int result_of(const client::Outcome<void>& outcome) {
  return outcome ? 0 : -errno_of(outcome.error());
}

// What a call of the C library returns.
template <typename T>
T finish(T result) {
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}

}  // namespace tideline::shim::sockets
