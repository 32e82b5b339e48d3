// SPDX-License-Identifier: Apache-2.0
// The words of `tideline copy`: however a stream is cut, it is the same messages, and what was read
// is read again from what is written of it. And names of targets.
#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "copy/message.h"
#include "copy/target.h"

using namespace tideline::app::copy;

namespace {

// The messages, written again; all that comes before what makes no sense.
std::vector<std::byte> read_all(std::span<const std::byte> bytes, std::size_t step) {
  Inbox inbox;
  std::vector<std::byte> again;
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min({step, bytes.size(), inbox.room()}));
    CHECK(!part.empty(), "a message that never ends");
    inbox.add(part);
    bytes = bytes.subspan(part.size());
    for (;;) {
      const auto message = inbox.next();
      if (!message) return again;
      if (!*message) break;
      const auto words = encode(**message);
      again.insert(again.end(), words.begin(), words.end());
    }
  }
  return again;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto whole = read_all(bytes, 1500);
  CHECK(read_all(bytes, 1) == whole);
  CHECK(read_all(whole, 1500) == whole);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto target = parse_target(text, "file")) CHECK(!target->host.empty());
  return 0;
}
