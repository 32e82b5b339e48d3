// SPDX-License-Identifier: Apache-2.0
// Sockets of ours that leave the process by the kernel's ways, exec() and SCM_RIGHTS, where the
// placement allows it: on the way a token stands for them (client/sockets.h), and at its end an
// INET socket of the kernel's again (docs/adr/0009). Thread: any.
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

#include "base/fd.h"

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

// Before exec(): what stays open becomes tokens. The environment for the program: `environment`, or
// a list in `words` with what the shim there must know.
char* const* prepare_exec(char* const* environment, std::vector<char*>& list, std::string& word);
// When the library is loaded: what prepare_exec() has left.
void adopt_after_exec();

}  // namespace tideline::shim::sockets
