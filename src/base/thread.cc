// SPDX-License-Identifier: Apache-2.0
#include "base/thread.h"

#include <fmt/format.h>
#include <signal.h>

#include <cerrno>

namespace tideline {

Result<pthread_t> start_quiet_thread(void* (*main)(void*), void* object, std::size_t stack,
                                     const char* what) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, stack);
  pthread_t thread{};
  const int error = ::pthread_create(&thread, &attributes, main, object);
  ::pthread_attr_destroy(&attributes);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error == 0) return thread;
  errno = error;
  return fail_errno(fmt::format("cannot start {}", what));
}

}  // namespace tideline
