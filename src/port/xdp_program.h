// SPDX-License-Identifier: Apache-2.0
// The filter of an af_xdp port in the kernel (xdp_filter.bpf.c): loaded, attached to an interface,
// told which addresses are ours and which sockets take their frames.
//
// It is attached as a bpf_link, which the kernel removes with the last descriptor: a process that
// is killed leaves nothing behind. So libxdp's dispatcher, which lets several programs share an
// interface, is not used: it pins its programs in a bpffs (often missing in a namespace or a
// container), and they outlive the process. Control path; one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "wire/ip_address.h"

struct bpf_object;

namespace tideline::port {

inline constexpr const char* kXdpNeedsCapabilities =
    "run as root, or give the program CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW";

enum class XdpHook : std::uint8_t {
  kNative,   // in the interface's driver
  kGeneric,  // behind it, on any interface
};

class XdpProgram {
 public:
  // With `take_all`, every frame is ours.
  static Result<XdpProgram> load(bool take_all);
  XdpProgram(XdpProgram&&) noexcept = default;
  XdpProgram& operator=(XdpProgram&&) noexcept = default;

  // An error of kind kEnvironment, with errno EOPNOTSUPP, EINVAL or the like, where the hook does
  // not suit the interface; with EBUSY where another program is attached.
  Status attach(const std::string& interface, int index, XdpHook hook);
  void detach() { link_.reset(); }

  // Frames of the interface's queue go to this AF_XDP socket.
  Status set_socket(unsigned queue, int socket);
  // Frames for this address (IPv4 mapped) are ours. Twice is no error.
  Status claim(const wire::Ipv6Address& address);

 private:
  struct Closer {
    void operator()(bpf_object* object) const;
  };

  XdpProgram(bpf_object* object, int program, int sockets, int claimed)
      : object_(object), program_(program), sockets_(sockets), claimed_(claimed) {}

  std::unique_ptr<bpf_object, Closer> object_;
  UniqueFd link_;
  // Descriptors that the object owns.
  int program_;
  int sockets_;
  int claimed_;
};

}  // namespace tideline::port
