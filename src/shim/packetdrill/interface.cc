// SPDX-License-Identifier: Apache-2.0
// The table's functions: each is the intercepted call of the sockets shim, so that what scripts
// judge is what programs get.
#include "shim/packetdrill/interface.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstring>
#include <string>
#include <utility>

#include "shim/packetdrill/drill.h"

using namespace tideline;                     // NOLINT(google-build-using-namespace): the C face
using namespace tideline::shim::packetdrill;  // NOLINT(google-build-using-namespace)

namespace {

// One call of the script's on a socket.
template <typename Body>
auto call(Body&& body) {
  timekeeper.begin_call();
  const auto result = body();
  const int error = errno;
  drill.finish_call();
  errno = error;
  return result;
}

int open_socket(void* /*userdata*/, int domain, int type, int protocol) {
  return call([&] {
    const int fd = ::socket(domain, type, protocol);
    if (fd < 0 || type != SOCK_STREAM) return fd;
    if (const std::string& chosen = drill.knobs().congestion; !chosen.empty()) {
      ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, chosen.data(),
                   static_cast<socklen_t>(chosen.size()));
    }
    if (drill.knobs().pacing) {
      constexpr std::uint64_t kAnyRate = UINT64_MAX - 1;
      ::setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &kAnyRate, sizeof(kAnyRate));
    }
    return fd;
  });
}

// NOLINTBEGIN(cert-dcl50-cpp,cppcoreguidelines-pro-type-vararg): as the contract has them
int control_file(void* /*userdata*/, int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return call([&] { return ::fcntl(fd, command, argument); });
}

int control_device(void* /*userdata*/, int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return call([&] { return ::ioctl(fd, request, argument); });
}
// NOLINTEND(cert-dcl50-cpp,cppcoreguidelines-pro-type-vararg)

int send_packet(void* /*userdata*/, const void* packet, std::size_t size) {
  const bool sent = drill.send({static_cast<const std::byte*>(packet), size});
  return sent ? 0 : -1;
}

int receive_packet(void* /*userdata*/, void* into, std::size_t* size, long long* time_usecs) {
  const SentPacket packet = drill.receive();
  if (packet.bytes.size() > *size) give_up("a packet is longer than packetdrill takes");
  std::memcpy(into, packet.bytes.data(), packet.bytes.size());
  *size = packet.bytes.size();
  *time_usecs =
      std::chrono::duration_cast<std::chrono::microseconds>(packet.at.time_since_epoch()).count();
  return 0;
}

int sleep_micros(void* /*userdata*/, useconds_t time) {
  if (!timekeeper.is_virtual()) return ::usleep(time);
  timekeeper.advance_to(timekeeper.now() + std::chrono::microseconds(time));
  return 0;
}

int tell_time(void* /*userdata*/, timeval* into, struct timezone* /*zone*/) {
  drill.prepare();
  const auto now =
      std::chrono::duration_cast<std::chrono::microseconds>(timekeeper.read().time_since_epoch())
          .count();
  *into = {.tv_sec = now / 1'000'000, .tv_usec = now % 1'000'000};
  return 0;
}

void fill_calls(packetdrill_interface& out) {
  out.socket = &open_socket;
  out.bind = [](void*, int fd, const sockaddr* address, socklen_t size) {
    return call([&] { return ::bind(fd, address, size); });
  };
  out.listen = [](void*, int fd, int backlog) {
    return call([&] { return ::listen(fd, backlog); });
  };
  out.accept = [](void*, int fd, sockaddr* address, socklen_t* size) {
    return call([&] { return ::accept(fd, address, size); });
  };
  out.connect = [](void*, int fd, const sockaddr* address, socklen_t size) {
    return call([&] { return ::connect(fd, address, size); });
  };
  out.fcntl = &control_file;
  out.ioctl = &control_device;
  out.close = [](void*, int fd) { return call([&] { return ::close(fd); }); };
  out.shutdown = [](void*, int fd, int how) { return call([&] { return ::shutdown(fd, how); }); };
  out.getsockopt = [](void*, int fd, int level, int name, void* value, socklen_t* size) {
    return call([&] { return ::getsockopt(fd, level, name, value, size); });
  };
  out.setsockopt = [](void*, int fd, int level, int name, const void* value, socklen_t size) {
    return call([&] {
      const bool algorithm = level == IPPROTO_TCP && name == TCP_CONGESTION && value != nullptr;
      errno =
          algorithm ? drill.knobs().judge_algorithm({static_cast<const char*>(value), size}) : 0;
      return errno != 0 ? -1 : ::setsockopt(fd, level, name, value, size);
    });
  };
}

void fill_transfers(packetdrill_interface& out) {
  out.read = [](void*, int fd, void* to, std::size_t size) {
    return call([&] { return ::read(fd, to, size); });
  };
  out.readv = [](void*, int fd, const iovec* parts, int count) {
    return call([&] { return ::readv(fd, parts, count); });
  };
  out.recv = [](void*, int fd, void* to, std::size_t size, int flags) {
    return call([&] { return ::recv(fd, to, size, flags); });
  };
  out.recvfrom = [](void*, int fd, void* to, std::size_t size, int flags, sockaddr* address,
                    socklen_t* address_size) {
    return call([&] { return ::recvfrom(fd, to, size, flags, address, address_size); });
  };
  out.recvmsg = [](void*, int fd, msghdr* message, int flags) {
    return call([&] { return ::recvmsg(fd, message, flags); });
  };
  out.write = [](void*, int fd, const void* from, std::size_t size) {
    return call([&] { return ::write(fd, from, size); });
  };
  out.writev = [](void*, int fd, const iovec* parts, int count) {
    return call([&] { return ::writev(fd, parts, count); });
  };
  out.send = [](void*, int fd, const void* from, std::size_t size, int flags) {
    return call([&] { return ::send(fd, from, size, flags); });
  };
  out.sendto = [](void*, int fd, const void* from, std::size_t size, int flags,
                  const sockaddr* address, socklen_t address_size) {
    return call([&] { return ::sendto(fd, from, size, flags, address, address_size); });
  };
  out.sendmsg = [](void*, int fd, const msghdr* message, int flags) {
    return call([&] { return ::sendmsg(fd, message, flags); });
  };
  out.splice = [](void*, int from, loff_t*, int to, loff_t*, std::size_t size, unsigned flags) {
    // packetdrill hands places in files over for pipes and sockets, too, where there are none.
    return call(
        [&] { return static_cast<int>(::splice(from, nullptr, to, nullptr, size, flags)); });
  };
}

void fill_waits(packetdrill_interface& out) {
  out.poll = [](void*, pollfd* fds, nfds_t count, int timeout_ms) {
    return call([&] { return ::poll(fds, count, timeout_ms); });
  };
  out.epoll_create = [](void*, int size) { return ::epoll_create(size); };
  out.epoll_ctl = [](void*, int epfd, int operation, int fd, epoll_event* event) {
    return call([&] { return ::epoll_ctl(epfd, operation, fd, event); });
  };
  out.epoll_wait = [](void*, int epfd, epoll_event* events, int count, int timeout_ms) {
    return call([&] { return ::epoll_wait(epfd, events, count, timeout_ms); });
  };
  out.pipe = [](void*, int fds[2]) { return ::pipe(fds); };
  out.netdev_send = &send_packet;
  out.netdev_receive = &receive_packet;
  out.usleep = &sleep_micros;
  out.gettimeofday = &tell_time;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void packetdrill_interface_init(
    const char* flags, packetdrill_interface* out) {
  auto knobs = Knobs::parse(flags == nullptr ? "" : flags);
  if (!knobs) give_up(knobs.error().message().c_str());
  *out = {};
  out->free = [](void*) { drill.stop(); };
  fill_calls(*out);
  fill_transfers(*out);
  fill_waits(*out);
  drill.start(std::move(*knobs));
}
