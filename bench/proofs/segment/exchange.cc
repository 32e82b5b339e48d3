// SPDX-License-Identifier: Apache-2.0
#include "proofs/segment/exchange.h"

#include <signal.h>

#include <array>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "common/process.h"
#include "common/test_directory.h"

namespace proofs::segment {
namespace {

using tideline::Instant;
using tideline::monotonic_now;

constexpr std::array<std::size_t, 3> kLengths = {64, 1400, 65536};
constexpr auto kPatience = std::chrono::seconds(20);

std::vector<std::byte> content(unsigned round, std::size_t length, bool answer) {
  tideline::Rng rng(std::uint64_t{round} << 32 | length << 1 | (answer ? 1 : 0));
  std::vector<std::byte> bytes(length);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng());
  return bytes;
}

bool send(Member& member, unsigned to, const std::vector<std::byte>& frame, Instant deadline) {
  while (member.send(to, frame) != SendVerdict::kSent) {
    const Instant now = monotonic_now();
    if (now > deadline) return false;
    member.service(now);
  }
  return true;
}

// The next frame is `expected`.
bool expect(Member& member, const std::vector<std::byte>& expected, Instant deadline) {
  std::vector<std::byte> frame(kMaxFrame);
  while (true) {
    if (const auto received = receive(member, frame)) {
      frame.resize(received->length);
      return frame == expected;
    }
    const Instant now = monotonic_now();
    if (now > deadline) return false;
    member.service(now);
  }
}

bool play(Member& member, unsigned rounds, bool begins) {
  const Instant deadline = monotonic_now() + kPatience;
  const unsigned peer = 1 - member.slot();
  for (const std::size_t length : kLengths) {
    for (unsigned round = 0; round < rounds; ++round) {
      const auto question = content(round, length, false);
      const auto answer = content(round, length, true);
      const bool good =
          begins ? send(member, peer, question, deadline) && expect(member, answer, deadline)
                 : expect(member, question, deadline) && send(member, peer, answer, deadline);
      if (!good) return false;
    }
  }
  // The peer stays until its last answer was read: what a member has sent goes with it.
  const auto farewell = content(rounds, kLengths[0], false);
  return begins ? send(member, peer, farewell, deadline) : expect(member, farewell, deadline);
}

// Whether 2 MiB pages map all of this process's arena.
bool arena_is_mapped_huge() {
  std::ifstream file("/proc/self/smaps");
  bool of_arena = false;
  std::size_t kib = 0;
  std::size_t huge_kib = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string key;
    std::size_t value = 0;
    words >> key;
    if (!key.ends_with(':')) {
      of_arena = line.find("tideline-arena") != std::string::npos;
    } else if (of_arena && words >> value) {
      if (key == "Size:") kib += value;
      if (key == "ShmemPmdMapped:" || key == "Shared_Hugetlb:" || key == "Private_Hugetlb:") {
        huge_kib += value;
      }
    }
  }
  return kib > 0 && huge_kib == kib;
}

}  // namespace

Exchange exchange(MemberConfig config, unsigned rounds) {
  const bench::TestDirectory directory;
  config.meeting_point = directory.path();
  auto member = Member::join(config, monotonic_now());
  CHECK(member.has_value(), "{}", member.error().message());
  Exchange result{.round_trips = rounds * static_cast<unsigned>(kLengths.size()),
                  .said_huge = (*member)->arena_is_huge(),
                  .mapped_huge = arena_is_mapped_huge()};
  bench::Child peer = bench::Child::run([&] {
    auto own = Member::join(config, monotonic_now());
    return own && play(**own, rounds, false) ? 0 : 1;
  });
  const bool answered = play(**member, rounds, true);
  if (!answered) peer.signal(SIGKILL);
  result.intact = peer.succeeded() && answered;
  return result;
}

}  // namespace proofs::segment
