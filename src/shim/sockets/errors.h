// SPDX-License-Identifier: Apache-2.0
// The errno of each failure, and how intercepted calls give it back. Thread: any.
#pragma once

#include <cerrno>

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
  }
  return EINVAL;
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
