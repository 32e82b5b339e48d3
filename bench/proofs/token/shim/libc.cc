// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/shim/libc.h"

#include <dlfcn.h>

namespace proofs::token {
namespace {

template <typename F>
void find(F*& function, const char* name) {
  function = reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

Libc find_all() {
  Libc next{};
  find(next.socket, "socket");
  find(next.bind, "bind");
  find(next.listen, "listen");
  find(next.accept, "accept");
  find(next.accept4, "accept4");
  find(next.connect, "connect");
  find(next.getsockname, "getsockname");
  find(next.getpeername, "getpeername");
  find(next.shutdown, "shutdown");
  find(next.setsockopt, "setsockopt");
  find(next.getsockopt, "getsockopt");
  find(next.close, "close");
  find(next.close_range, "close_range");
  find(next.dup, "dup");
  find(next.dup2, "dup2");
  find(next.dup3, "dup3");
  find(next.fcntl, "fcntl");
  find(next.ioctl, "ioctl");
  find(next.read, "read");
  find(next.write, "write");
  find(next.readv, "readv");
  find(next.writev, "writev");
  find(next.recv, "recv");
  find(next.send, "send");
  find(next.recvfrom, "recvfrom");
  find(next.sendto, "sendto");
  find(next.recvmsg, "recvmsg");
  find(next.sendmsg, "sendmsg");
  find(next.sendfile, "sendfile");
  find(next.poll, "poll");
  find(next.ppoll, "ppoll");
  find(next.select, "select");
  find(next.pselect, "pselect");
  find(next.epoll_ctl, "epoll_ctl");
  find(next.epoll_wait, "epoll_wait");
  find(next.epoll_pwait, "epoll_pwait");
  return next;
}

}  // namespace

const Libc& libc() {
  static const Libc next = find_all();
  return next;
}

}  // namespace proofs::token
