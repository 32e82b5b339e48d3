// SPDX-License-Identifier: Apache-2.0
// Descriptors that stand for sockets (docs/adr/0005): near ends of socketpairs, which travel as any
// descriptor does. A near end is known by its cookie, which the kernel never uses twice; when the
// last is closed, the far end sees the end. Thread: the worker's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/fd.h"

namespace tideline::engine {

class ServedSocket;

class ServedTokens {
 public:
  struct Token {
    UniqueFd far;
    ServedSocket* socket;
    std::uint64_t cookie;
    std::uint64_t owner;  // the server's: who pays for it
  };

  // The near end; the far end has the number it is known by from then on.
  Result<UniqueFd> make(ServedSocket& socket, std::uint64_t owner, std::uint32_t& number);
  int far_of(std::uint32_t number) const { return tokens_.at(number).far.get(); }
  // Whom a descriptor stands for, be it what it may; null: nobody.
  ServedSocket* find(int near) const;
  // Nobody holds it any more. Nothing: it is not known.
  std::optional<Token> remove(std::uint32_t number);
  std::size_t size() const { return tokens_.size(); }
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const auto& [number, token] : tokens_) visit(number, token);
  }

 private:
  std::unordered_map<std::uint32_t, Token> tokens_;
  std::unordered_map<std::uint64_t, std::uint32_t> by_cookie_;
  std::uint32_t next_ = 1;
};

}  // namespace tideline::engine
