// SPDX-License-Identifier: Apache-2.0
// Sockets of ours that leave the process by the kernel's ways, where the placement allows it: a
// token stands for them (client/sockets.h). In SCM_RIGHTS messages it goes instead of the socket's
// number, and at its end there is an INET socket of the kernel's again (docs/adr/0009); handover.h
// has the ways to other programs. Thread: any.
#pragma once

#include <sys/socket.h>

#include <vector>

#include "base/fd.h"
#include "shim/sockets/file.h"

namespace tideline::shim::sockets {

// The message with tokens instead of sockets of ours, for as long as this lives.
class PassingMessage {
 public:
  explicit PassingMessage(const msghdr& message);

  const msghdr& message() const { return message_; }

 private:
  msghdr message_;
  std::vector<char> control_;
  std::vector<UniqueFd> tokens_;
};

// Of a message that was received: tokens among its descriptors become sockets of ours.
void adopt_received(const msghdr& message);

// Whether the far end has the name of a token's.
bool is_token(int fd);
// Of a socket of ours, close-on-exec; none if it cannot be had. Its O_NONBLOCK is the file's.
UniqueFd take_token(const File& file);
// What it stands for; null: it is not to be had. The token stays open.
client::Socket* adopt_token(int token);

}  // namespace tideline::shim::sockets
