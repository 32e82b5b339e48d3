// SPDX-License-Identifier: Apache-2.0
// Sockets that go along to a program which this one starts, or which takes its place. Their numbers
// are the kernel halves', and stay what they are; beside them go tokens (client/sockets.h), and a
// variable of the environment says which token is whose, by the kernel half's SO_COOKIE: so the
// program finds its sockets whatever became of the numbers on the way. A program without this
// library has the kernel halves. Thread: any.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"

namespace tideline::shim::sockets {

class Handover {
 public:
  // What is not close-on-exec, and the numbers `also`, for a program with that environment.
  explicit Handover(char* const* environment, std::span<const int> also = {});

  bool is_empty() const { return entries_.empty(); }
  // Close-on-exec, as they are made.
  std::vector<int> tokens() const;
  // No token has one of these numbers. False: there is no other.
  bool avoid(std::span<const int> numbers);
  // The tokens go along with exec().
  void inherit() const;
  // For the program: with what adopt_at_load() reads. Lives as long as this.
  char* const* environment();

 private:
  struct Entry {
    std::uint64_t cookie;
    UniqueFd token;  // none: nothing has been decided about the socket
    unsigned sides;
  };

  char* const* original_;
  std::vector<Entry> entries_;
  std::string word_;
  std::vector<char*> list_;
};

// Whether a Handover would have something.
bool has_inheritable();
// When the library is loaded: takes over what a Handover has left.
void adopt_at_load();
// Of this process.
std::vector<int> open_numbers();

}  // namespace tideline::shim::sockets
