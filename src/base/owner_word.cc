// SPDX-License-Identifier: Apache-2.0
#include "base/owner_word.h"

#include <linux/futex.h>

#include "base/check.h"

namespace tideline {

void OwnerWord::take() {
  pthread_mutexattr_t attributes;
  ::pthread_mutexattr_init(&attributes);
  ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  int error = ::pthread_mutex_init(&mutex_, &attributes);
  if (error == 0) error = ::pthread_mutex_lock(&mutex_);
  CHECK(error == 0, "errno {}", error);
  ::pthread_mutexattr_destroy(&attributes);
}

void OwnerWord::release() {
  const int error = ::pthread_mutex_unlock(&mutex_);
  CHECK(error == 0, "errno {}", error);
}

bool OwnerWord::owner_lives() const {
  // The futex word of a robust mutex is kernel ABI (the owner's id and a bit); only its place in
  // pthread_mutex_t is glibc's, and part of glibc's ABI.
  const auto word = static_cast<unsigned>(__atomic_load_n(&mutex_.__data.__lock, __ATOMIC_ACQUIRE));
  return (word & FUTEX_TID_MASK) != 0 && (word & FUTEX_OWNER_DIED) == 0;
}

}  // namespace tideline
