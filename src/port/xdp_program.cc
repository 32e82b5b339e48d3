// SPDX-License-Identifier: Apache-2.0
#include "port/xdp_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/core.h>
#include <linux/if_link.h>

#include <cerrno>
#include <cstdint>

// xdp_filter.S
extern "C" const char tideline_xdp_filter_begin;
extern "C" const char tideline_xdp_filter_end;

namespace tideline::port {
namespace {

int be_silent(libbpf_print_level /*level*/, const char* /*format*/, va_list /*arguments*/) {
  return 0;
}

std::unexpected<Error> fail_bpf(int error, std::string what, std::string remedy = {}) {
  errno = error < 0 ? -error : error;
  if (errno == EPERM || errno == EACCES) remedy = kXdpNeedsCapabilities;
  return fail_errno(std::move(what), std::move(remedy));
}

// Overwrites a constant of the program before it is loaded.
Status set_constant(bpf_object* object, bool value) {
  bpf_map* constants = bpf_object__find_map_by_name(object, ".rodata");
  const auto byte = static_cast<std::uint8_t>(value);
  std::size_t size = 0;
  if (constants == nullptr || bpf_map__initial_value(constants, &size) == nullptr ||
      size != sizeof(byte) || bpf_map__set_initial_value(constants, &byte, sizeof(byte)) != 0) {
    return fail({.what = "the built-in XDP program lacks its constant"});
  }
  return {};
}

}  // namespace

void XdpProgram::Closer::operator()(bpf_object* object) const { bpf_object__close(object); }

Result<XdpProgram> XdpProgram::load(bool take_all) {
  // Its messages would go to standard error; the errors here say what matters.
  libbpf_set_print(be_silent);
  bpf_object_open_opts options{};
  options.sz = sizeof(options);
  options.object_name = "tideline";
  const auto size = static_cast<std::size_t>(&tideline_xdp_filter_end - &tideline_xdp_filter_begin);
  bpf_object* object = bpf_object__open_mem(&tideline_xdp_filter_begin, size, &options);
  if (object == nullptr) return fail_errno("cannot read the built-in XDP program");
  XdpProgram loaded(object, -1, -1, -1);
  if (Status s = set_constant(object, take_all); !s) return fail(std::move(s.error()));
  if (const int error = bpf_object__load(object); error != 0) {
    return fail_bpf(error, "cannot load the XDP program",
                    "this kernel may lack BPF, or XDP over several buffers (Linux 5.18)");
  }
  loaded.program_ = bpf_program__fd(bpf_object__find_program_by_name(object, "tideline_filter"));
  loaded.sockets_ = bpf_object__find_map_fd_by_name(object, "sockets");
  loaded.claimed_ = bpf_object__find_map_fd_by_name(object, "claimed");
  return loaded;
}

Status XdpProgram::attach(const std::string& interface, int index, XdpHook hook) {
  bpf_link_create_opts options{};
  options.sz = sizeof(options);
  options.flags = hook == XdpHook::kNative ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  const int link = bpf_link_create(program_, index, BPF_XDP, &options);
  if (link >= 0) {
    link_ = UniqueFd(link);
    return {};
  }
  if (link == -EBUSY || link == -EEXIST) {
    errno = EBUSY;
    return fail_errno(
        fmt::format("another XDP program is attached to '{}'", interface),
        fmt::format("see it with `ip link show {0}`; end the program that it belongs to, or "
                    "remove it with `ip link set {0} xdp off`",
                    interface));
  }
  return fail_bpf(link,
                  fmt::format("cannot attach an XDP program to '{}' in {} mode", interface,
                              hook == XdpHook::kNative ? "native" : "generic"),
                  fmt::format("its driver may not support it: try xdp:{},mode=generic", interface));
}

Status XdpProgram::set_socket(unsigned queue, int socket) {
  const std::uint32_t key = queue;
  const int error = bpf_map_update_elem(sockets_, &key, &socket, BPF_ANY);
  if (error == 0) return {};
  return fail_bpf(error, fmt::format("cannot serve queue {} of an interface over XDP", queue));
}

Status XdpProgram::claim(const wire::Ipv6Address& address) {
  const std::uint8_t present = 1;
  const int error = bpf_map_update_elem(claimed_, address.bytes().data(), &present, BPF_ANY);
  if (error == 0) return {};
  return fail_bpf(error, fmt::format("cannot take the frames for {}", address.to_text()),
                  "an XDP wire serves 1024 addresses");
}

}  // namespace tideline::port
