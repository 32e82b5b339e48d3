// SPDX-License-Identifier: Apache-2.0
// Writes the packets and captures of the unit tests as corpora, FOLDER/PARSER/NAME, in place of
// what a fuzzer has added there: each run starts from the same.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include "base/random.h"
#include "script.h"
#include "wire/packet_layout.h"
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

// Frames one by one, as they are and mended, and all of them in a row with waits and traffic of
// ours between.
bool write_scripts(const fs::path& folder) {
  using ip::script::Operation;
  fs::remove_all(folder);
  fs::create_directories(folder);
  const auto write_script = [&](const std::string& name, const ByteVector& bytes) {
    return write(folder / name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  };
  ByteVector all;
  bool good = true;
  const auto add = [&](std::string_view kind, const packets::Sample& sample,
                       std::string_view header_hex) {
    const ByteVector frame = from_hex(header_hex) + from_hex(sample.hex);
    const ByteVector raw = ip::script::step(Operation::kSummedFrame, frame);
    const ByteVector mended = ip::script::step(Operation::kMendedFrame, frame);
    const std::string name = std::string(kind) + std::string(sample.name);
    good = good && write_script(name, raw) && write_script(name + "Mended", mended);
    all = std::move(all) + mended;
  };
  constexpr std::string_view kTo2From1 = "020000000002 020000000001";
  const std::string ipv4_header = std::string(kTo2From1) + "0800";
  const std::string ipv6_header = std::string(kTo2From1) + "86dd";
  const ByteVector wait = ip::script::step(Operation::kWait, from_hex("0100"));
  const ByteVector ping = ip::script::step(Operation::kPing, from_hex("01 61626364"));
  const ByteVector send = ip::script::step(Operation::kSend, from_hex("02 61626364"));
  for (const auto& sample : packets::kEthernetAll) add("Ethernet", sample, "");
  add("Roce", packets::kRoceV1SendOnly, "");
  for (const auto& sample : packets::kArpAll) add("Arp", sample, std::string(kTo2From1) + "0806");
  all = std::move(all) + ping + send;
  for (const auto& sample : packets::kIpv4All) add("Ipv4", sample, ipv4_header);
  for (const auto& sample : packets::kIpv6All) add("Ipv6", sample, ipv6_header);
  for (const auto& sample : packets::kNdpAll) add("Ndp", sample, ipv6_header);
  all = std::move(all) + wait;
  const std::string icmp_header =
      ipv4_header + "450000000000000040010000c0000201c0000202";  // lengths and sums are mended
  for (const auto& sample : packets::kIcmpAll) add("Icmp", sample, icmp_header);
  // About a datagram of the host's own, from its gateway to another.
  add("Icmp",
      {"RedirectOfOurs",
       "05010000c000024d 4500002400000000401100 00c0000202c6336407 1092000900100000"},
      icmp_header);
  const std::string igmp_header = ipv4_header + "450000000000000001020000c0000201e0000001";
  const std::string mld_header = ipv6_header +
                                 "600000000000000120010db8000000000000000000000001"
                                 "ff0200000000000000000000000000013a00050200000000";
  for (const auto& sample : packets::kIgmpAll) add("Igmp", sample, igmp_header);
  for (const auto& sample : packets::kMldAll) add("Mld", sample, mld_header);
  return good && write_script("Everything", all + wait);
}

// The samples are frames; the parser starts at the BTH.
bool write_roce(const fs::path& folder) {
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (const packets::Sample& sample : packets::kRoceAll) {
    const ByteVector frame = from_hex(sample.hex);
    const auto layout = parse_layout(frame);
    if (!layout) return false;
    const Bytes bytes = layout->payload_bytes(frame);
    const std::string_view view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!write(folder / sample.name, view)) return false;
  }
  return true;
}

bool write_frame(const fs::path& folder, const packets::Sample& sample) {
  const ByteVector frame = from_hex(sample.hex);
  return write(folder / sample.name, {reinterpret_cast<const char*>(frame.data()), frame.size()});
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

// Sequences of steps mean something whatever they are: noise is as good a start as any.
bool write_noise(const fs::path& folder) {
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    Rng rng(seed);
    std::string bytes(128 * seed, '\0');
    for (char& byte : bytes) byte = static_cast<char>(rng());
    if (!write(folder / std::to_string(seed), bytes)) return false;
  }
  return true;
}

bool write_corpora(const fs::path& folder) {
  return write_all(folder / "ethernet", packets::kEthernetAll) &&
         write_all(folder / "layout", packets::kEthernetAll) &&
         write_frame(folder / "layout", packets::kRoceV1SendOnly) &&
         write_all(folder / "segmenter", packets::kEthernetAll) &&
         write_all(folder / "arp", packets::kArpAll) &&
         write_all(folder / "ipv4", packets::kIpv4All) &&
         write_all(folder / "ipv6", packets::kIpv6All) &&
         write_all(folder / "group", packets::kGroupAll) &&
         write_all(folder / "icmp", packets::kIcmpAll) &&
         write_all(folder / "icmpv6", packets::kIcmpv6All) &&
         write_all(folder / "ndp", packets::kNdpAll) && write_roce(folder / "roce") &&
         write_noise(folder / "transport") && write_all(folder / "tcp", packets::kTcpAll) &&
         write_all(folder / "udp", packets::kUdpAll) && write_addresses(folder / "address") &&
         write_scripts(folder / "stack");
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
