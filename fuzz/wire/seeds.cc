// SPDX-License-Identifier: Apache-2.0
// Writes the packets and captures of the unit tests as corpora, FOLDER/PARSER/NAME, in place of
// what a fuzzer has added there: each run starts from the same.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include "wire/test_bytes.h"
#include "wire/test_packets.h"

namespace tideline::wire {
namespace {

namespace fs = std::filesystem;

bool write(const fs::path& file, std::string_view bytes) {
  std::ofstream out(file, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return out.good();
}

template <typename Samples>
bool write_all(const fs::path& folder, const Samples& samples) {
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (const packets::Sample& sample : samples) {
    const ByteVector bytes = from_hex(sample.hex);
    const std::string_view view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!write(folder / sample.name, view)) return false;
  }
  return true;
}

bool write_addresses(const fs::path& folder) {
  fs::remove_all(folder);
  fs::create_directories(folder);
  int count = 0;
  for (const char* text : {"192.0.2.1", "10.0.0.0/8", "2001:db8::1", "::", "::ffff:192.0.2.1",
                           "fe80::1/64", "1:2:3:4:5:6:7:8", "02:00:5e:10:00:0f"}) {
    if (!write(folder / std::to_string(count++), text)) return false;
  }
  return true;
}

bool copy_captures(const fs::path& data, const fs::path& folder) {
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (const fs::directory_entry& entry : fs::directory_iterator(data)) {
    if (entry.path().extension() != ".pcap") continue;
    if (!fs::copy_file(entry.path(), folder / entry.path().filename())) return false;
  }
  return true;
}

bool write_corpora(const fs::path& folder) {
  return write_all(folder / "ethernet", packets::kEthernetAll) &&
         write_all(folder / "layout", packets::kEthernetAll) &&
         write_all(folder / "segmenter", packets::kEthernetAll) &&
         write_all(folder / "arp", packets::kArpAll) &&
         write_all(folder / "ipv4", packets::kIpv4All) &&
         write_all(folder / "ipv6", packets::kIpv6All) &&
         write_all(folder / "icmp", packets::kIcmpAll) &&
         write_all(folder / "icmpv6", packets::kIcmpv6All) &&
         write_all(folder / "ndp", packets::kNdpAll) &&
         write_all(folder / "tcp", packets::kTcpAll) &&
         write_all(folder / "udp", packets::kUdpAll) && write_addresses(folder / "address");
}

}  // namespace
}  // namespace tideline::wire

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: fuzz_seeds FOLDER CAPTURES\n";
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  if (!tideline::wire::write_corpora(folder) ||
      !tideline::wire::copy_captures(argv[2], folder / "pcap")) {
    std::cerr << "cannot write the corpora to " << argv[1] << '\n';
    return 1;
  }
  return 0;
}
