// SPDX-License-Identifier: Apache-2.0
// The checksum of a file: XXH3 with 128 bits, of the xxHash library. It finds every fault of disk,
// memory and wire for all that matters, at several bytes per cycle; against somebody who forges
// files on purpose only a cryptographic one would help, at a tenth of the speed. One thread.
#pragma once

#include <xxhash.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include <fmt/format.h>

#include "copy/message.h"

namespace tideline::app::copy {

class Hash {
 public:
  Hash() : state_(::XXH3_createState()) { ::XXH3_128bits_reset(state_.get()); }

  void add(std::span<const std::byte> bytes) {
    ::XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
  }
  Checksum value() const {
    XXH128_canonical_t canonical;
    ::XXH128_canonicalFromHash(&canonical, ::XXH3_128bits_digest(state_.get()));
    Checksum checksum{};
    static_assert(sizeof(canonical) == sizeof(checksum));
    std::memcpy(checksum.data(), &canonical, sizeof(checksum));
    return checksum;
  }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { ::XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_;
};

// As xxhsum -H128 prints it.
inline std::string text_of(const Checksum& checksum) {
  std::string text;
  for (const std::uint8_t byte : checksum) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace tideline::app::copy
