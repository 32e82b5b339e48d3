// SPDX-License-Identifier: Apache-2.0
// What programs say and hear of IP headers: IP_TOS, IP_TTL, IP_PKTINFO and their kin, as options of
// a socket and as ancillary data of datagrams. Of the interface the kernel has no index: it is
// the loopback's, 1, and whatever a sender names is taken. Thread: any.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>

#include "client/types.h"
#include "shim/sockets/file.h"

namespace tideline::shim::sockets {

// Options that the kernel half of `fd` has taken. Streams: the caller applies file.options.
void note_ip_option(int fd, File& file, int level, int name);
// The options of a socket with a peer or destination there.
void choose_marks(File& file, const wire::Ipv6Address& peer);
// An option that is answered here: 0, a negative errno, or kPass.
int get_ip_option(File& file, int level, int name, void* value, socklen_t* size);

// What the socket's options say of a datagram to that address, or to its peer, and what comes with
// it. 0 or a negative errno. `segment`: UDP_SEGMENT, 0 if it is one datagram.
int read_control(File& file, const msghdr* message, const std::optional<client::Endpoint>& to,
                 client::DatagramWay& way, std::uint16_t& segment);
// What the program wants to know of a datagram that has come: of its headers, and when.
void put_header_info(const File& file, const client::Received& received, msghdr& message);

}  // namespace tideline::shim::sockets
