// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/libc.h"

#include <dlfcn.h>

namespace tideline::shim::sockets {
namespace {

template <typename Function>
void find(Function*& function, const char* name) {
  function = reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

Libc find_all() {
  Libc next{};
  find(next.socket, "socket");
  find(next.bind, "bind");
  find(next.listen, "listen");
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
  find(next.fcntl, "fcntl64");
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
  find(next.recvmmsg, "recvmmsg");
  find(next.sendmmsg, "sendmmsg");
  find(next.fdopen, "fdopen");
  find(next.fileno, "fileno");
  find(next.vdprintf, "vdprintf");
  find(next.sendfile, "sendfile64");
  find(next.splice, "splice");
  find(next.preadv2, "preadv64v2");
  find(next.pwritev2, "pwritev64v2");
  find(next.execve, "execve");
  find(next.execvpe, "execvpe");
  find(next.fexecve, "fexecve");
  find(next.posix_spawn, "posix_spawn");
  find(next.posix_spawnp, "posix_spawnp");
  find(next.posix_spawn_file_actions_init, "posix_spawn_file_actions_init");
  find(next.posix_spawn_file_actions_destroy, "posix_spawn_file_actions_destroy");
  find(next.posix_spawn_file_actions_addclose, "posix_spawn_file_actions_addclose");
  find(next.posix_spawn_file_actions_adddup2, "posix_spawn_file_actions_adddup2");
  find(next.posix_spawn_file_actions_addopen, "posix_spawn_file_actions_addopen");
  find(next.posix_spawn_file_actions_addchdir_np, "posix_spawn_file_actions_addchdir_np");
  find(next.posix_spawn_file_actions_addfchdir_np, "posix_spawn_file_actions_addfchdir_np");
  find(next.posix_spawn_file_actions_addclosefrom_np, "posix_spawn_file_actions_addclosefrom_np");
  find(next.posix_spawn_file_actions_addtcsetpgrp_np, "posix_spawn_file_actions_addtcsetpgrp_np");
  find(next.popen, "popen");
  find(next.pclose, "pclose");
  find(next.system, "system");
  find(next.sigaction, "sigaction");
  find(next.poll, "poll");
  find(next.ppoll, "ppoll");
  find(next.select, "select");
  find(next.pselect, "pselect");
  find(next.epoll_ctl, "epoll_ctl");
  find(next.epoll_wait, "epoll_wait");
  find(next.epoll_pwait, "epoll_pwait");
  find(next.epoll_pwait2, "epoll_pwait2");
  return next;
}

__attribute__((constructor)) void find_at_load() { find_libc(); }

}  // namespace

const Libc& find_libc() {
  static const Libc next = find_all();
  libc_functions = &next;
  return next;
}

}  // namespace tideline::shim::sockets
