// SPDX-License-Identifier: Apache-2.0
// A broker of its own in a directory, in which unmodified programs are run with the shim
// preloaded, or without it for comparison. Every program has a time limit and a process group that
// is killed at the end. One thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "common/process.h"
#include "proofs/token/protocol.h"

namespace proofs::token {

enum class Carrier : std::uint8_t { kKernel, kToken };

struct Outcome {
  bool succeeded = false;
  std::string output;  // both streams
};

// A program that runs until this is destroyed.
class Server {
 public:
  explicit Server(bench::Child child) : child_(std::move(child)) {}
  ~Server();
  Server(Server&&) = default;
  Server& operator=(Server&&) = delete;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

 private:
  bench::Child child_;
};

class Lab {
 public:
  // `directory`: an empty one. `ports`: of wildcard and 127.0.0.1 addresses that belong to the
  // shim, comma-separated.
  Lab(std::string directory, std::string ports);
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  using Command = std::vector<std::string>;
  Outcome run(Carrier carrier, const Command& command, int limit_s,
              const std::string& setting = {}) const;
  Server start(Carrier carrier, const Command& command) const;

  const std::string& directory() const { return directory_; }
  std::string broker_path() const { return directory_ + "/broker"; }
  // What the broker holds, asked of it, and its open descriptors.
  std::optional<Counts> counts() const;
  int broker_descriptors() const;
  // Whether the broker is back to no connection, listener and bell within a second or two.
  bool at_rest() const;
  // The directory of this program's binary.
  static std::string binaries();

 private:
  bench::Child spawn(Carrier carrier, const Command& command, const std::string& output,
                     const std::string& setting) const;

  std::string directory_;
  std::string ports_;
  std::unique_ptr<bench::Child> broker_;
  mutable int runs_ = 0;
};

std::string read_file(const std::string& path);

}  // namespace proofs::token
