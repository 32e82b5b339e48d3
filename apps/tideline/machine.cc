// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/bits.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "base/memfd.h"
#include "port/shm/meeting_point.h"
#include "port/xdp_program.h"

namespace tideline::app {
namespace {

Result<Mapping> try_memory(std::size_t size) {
  auto fd = create_memfd("tideline-probe", size, PageKind::kNormal);
  if (!fd) return fail(std::move(fd.error()));
  auto memory = Mapping::map(fd->get(), size, Access::kReadWrite);
  if (!memory) return memory;
  Status status = memory->populate();
  if (status) status = seal_memfd(fd->get(), Sharing::kReadOnly);
  if (!status) return fail(std::move(status.error()));
  return memory;
}

bool may_configure_network() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
  return (data[0].effective & (1U << CAP_NET_ADMIN)) != 0;
}

}  // namespace

bool has_huge_pages() {
  auto memory = try_memory(kHugePageSize);
  return memory && memory->try_collapse();
}

std::string tap_lacks() {
  const UniqueFd tun(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  if (!tun) {
    return fmt::format("cannot open /dev/net/tun: {}; load the module tun, or run as root",
                       std::strerror(errno));
  }
  return may_configure_network() ? "" : "run as root, or give the program CAP_NET_ADMIN";
}

std::string packet_lacks() {
  const UniqueFd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (socket) return "";
  return fmt::format(
      "cannot open a packet socket: {}; run as root, or give the program "
      "CAP_NET_RAW",
      std::strerror(errno));
}

std::string xdp_lacks() {
  const UniqueFd socket(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (socket) {
    const auto program = port::XdpProgram::load(false);
    return program ? "" : program.error().message();
  }
  return fmt::format("cannot open an AF_XDP socket: {}; {}", std::strerror(errno),
                     port::kXdpNeedsCapabilities);
}

std::string shm_lacks() {
  if (const auto memory = try_memory(kPageSize); !memory) return memory.error().message();
  const auto directory = port::shm::segment_directory("default");
  return directory ? "" : directory.error().message();
}

std::string shm_allows() {
  const auto directory = port::shm::segment_directory("default");
  return fmt::format("sealed memory on {}; members meet in {}",
                     has_huge_pages() ? "2 MiB pages (MADV_COLLAPSE)" : "4 KiB pages",
                     directory ? *directory : "no directory");
}

}  // namespace tideline::app
