// SPDX-License-Identifier: Apache-2.0
// Capture files, pcap and pcapng.
#include <cstdio>

#include "base/check.h"
#include "port/pcap_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline::port;
  if (size == 0) return 0;  // which fmemopen does not open
  auto file = UniqueFile(::fmemopen(const_cast<std::uint8_t*>(data), size, "rb"));
  CHECK(file != nullptr);
  auto reader = PcapReader::read(std::move(file), "input");
  if (!reader) return 0;
  for (;;) {
    const auto frame = reader->next().value_or(std::nullopt);
    if (!frame) return 0;
    CHECK(frame->bytes.size() <= frame->wire_size && frame->bytes.size() <= size);
    CHECK(frame->time.count() >= 0);
  }
}
