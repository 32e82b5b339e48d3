// SPDX-License-Identifier: Apache-2.0
// How this room touches the memory of programs: through this interface and nothing else. In a
// program's own process an address is a pointer that may be bad at any time (GuardedMemory); a
// front end translates it into what it has mapped of the client. Thread: the engine's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace tideline::rdma {

class MemoryAccess {
 public:
  // Copies from, or to, the program. False if any byte of the range cannot be reached; then a
  // prefix may have been copied. Stores are in ascending order, the last byte last.
  [[nodiscard]] virtual bool load(std::uint64_t address, std::span<std::byte> to) = 0;
  [[nodiscard]] virtual bool store(std::uint64_t address, std::span<const std::byte> from) = 0;

  // Atomic with regard to every processor, on an aligned 8-byte word in host order. The former
  // value, or nothing if the word cannot be reached.
  virtual std::optional<std::uint64_t> compare_swap(std::uint64_t address, std::uint64_t compare,
                                                    std::uint64_t swap) = 0;
  virtual std::optional<std::uint64_t> fetch_add(std::uint64_t address, std::uint64_t add) = 0;

 protected:
  ~MemoryAccess() = default;
};

// The memory of this process, by guarded copies: bad memory is a false, not a signal. Whoever uses
// it has installed the fault handlers (base/fault_handler.h).
class GuardedMemory final : public MemoryAccess {
 public:
  bool load(std::uint64_t address, std::span<std::byte> to) override;
  bool store(std::uint64_t address, std::span<const std::byte> from) override;
  std::optional<std::uint64_t> compare_swap(std::uint64_t address, std::uint64_t compare,
                                            std::uint64_t swap) override;
  std::optional<std::uint64_t> fetch_add(std::uint64_t address, std::uint64_t add) override;
};

}  // namespace tideline::rdma
