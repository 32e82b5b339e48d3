// SPDX-License-Identifier: Apache-2.0
// Well-formed packets (and a few that must be refused), built by independent implementations
// (scapy, Python). Unit tests read them and the fuzzers start from them.
#pragma once

#include <array>
#include <string_view>

namespace tideline::wire::packets {

struct Sample {
  std::string_view name;
  std::string_view hex;
};

// Whole frames.
inline constexpr Sample kEthernetPlain{
    "Plain",
    "020000000002020000000001080045000021123400004011e494c0000201c000020214e9"
    "1092000d5c867469646521"};
inline constexpr Sample kEthernetOneVlanTag{
    "OneVlanTag",
    "02000000000202000000000181006064080045000021123400004011e494c0000201c000"
    "020214e91092000d5c867469646521"};
inline constexpr Sample kEthernetTwoVlanTags{
    "TwoVlanTags",
    "02000000000202000000000188a8000581000064080045000021123400004011e494c000"
    "0201c000020214e91092000d5c867469646521"};
inline constexpr Sample kEthernetPadded{
    "Padded",
    "020000000002020000000001080045000021123400004011e494c0000201c000020214e9"
    "1092000d5c86746964652100000000000000000000000000"};
inline constexpr Sample kEthernetTcp4{
    "Tcp4",
    "020000000002020000000001080045000046123400004006e47ac0000201c00002029c40"
    "0050000003e900001388801801f64cb300000101080a1122334455667788474554202f20"
    "485454502f312e300d0a0d0a"};
inline constexpr Sample kEthernetTcp4Syn{
    "Tcp4Syn",
    "02000000000202000000000108004500003c123400004006e484c0000201c00002029c40"
    "0050000003e800000000a002faf028920000020405b40402080a00000001000000000103"
    "0307"};
inline constexpr Sample kEthernetTcp6{
    "Tcp6",
    "02000000000202000000000186dd600000000032064020010db800000000000000000000"
    "000120010db80000000000000000000000029c400050000003e900001388801801f67542"
    "00000101080a1122334455667788474554202f20485454502f312e300d0a0d0a"};
inline constexpr Sample kEthernetUdp6{
    "Udp6",
    "02000000000202000000000186dd60000000000d114020010db800000000000000000000"
    "000120010db800000000000000000000000214e91092000d85157469646521"};
inline constexpr Sample kEthernetArpRequest{
    "ArpRequest",
    "ffffffffffff02000000000108060001080006040001020000000001c000020100000000"
    "0000c0000202"};
inline constexpr Sample kEthernetFragment4First{
    "Fragment4First",
    "020000000002020000000001080045000054007720004011d61ec0000201c0000202aaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
inline constexpr Sample kEthernetFragment4Last{
    "Fragment4Last",
    "020000000002020000000001080045000021007700084011f649c0000201c0000202bbbb"
    "bbbbbbbbbbbbbbbbbbbbbb"};
inline constexpr Sample kEthernetFragment6First{
    "Fragment6First",
    "02000000000202000000000186dd600000000050004020010db800000000000000000000"
    "000120010db80000000000000000000000022c0001040000000011000001010203040001"
    "000200641234aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
inline constexpr Sample kEthernetFragment6Last{
    "Fragment6Last",
    "02000000000202000000000186dd6000000000152c4020010db800000000000000000000"
    "000120010db80000000000000000000000021100004001020304bbbbbbbbbbbbbbbbbbbb"
    "bbbbbb"};
inline constexpr std::array kEthernetAll{
    kEthernetPlain,        kEthernetOneVlanTag,     kEthernetTwoVlanTags,   kEthernetPadded,
    kEthernetTcp4,         kEthernetTcp4Syn,        kEthernetTcp6,          kEthernetUdp6,
    kEthernetArpRequest,   kEthernetFragment4First, kEthernetFragment4Last, kEthernetFragment6First,
    kEthernetFragment6Last};

// Behind the Ethernet header.
inline constexpr Sample kArpRequest{"Request",
                                    "0001080006040001020000000001c0000201000000000000c0000202"};
inline constexpr Sample kArpReply{"Reply",
                                  "0001080006040002020000000002c0000202020000000001c0000201"};
inline constexpr Sample kArpProbe{"Probe",
                                  "000108000604000102000000000100000000000000000000c0000202"};
inline constexpr std::array kArpAll{kArpRequest, kArpReply, kArpProbe};

// From the IP header on.
inline constexpr Sample kIpv4Udp{
    "Udp", "45000021123400004011e494c0000201c000020214e91092000d5c867469646521"};
inline constexpr Sample kIpv4RouterAlert{
    "RouterAlert", "4600001c00010000010082c5c0000201e00000169404000022000000"};
inline constexpr Sample kIpv4RecordRoute{
    "RecordRoute",
    "49000031000100004011e7a8c0000201c0000202070f0400000000000000000000000000"
    "14e91092000d5c867469646521"};
inline constexpr Sample kIpv4SourceRoute{
    "SourceRoute",
    "4700002900010000401163f6c0000201c0000202830704c00002090014e91092000d5c7f"
    "7469646521"};
inline constexpr std::array kIpv4All{kIpv4Udp, kIpv4RouterAlert, kIpv4RecordRoute,
                                     kIpv4SourceRoute};

// From the IP header on.
inline constexpr Sample kIpv6Udp{
    "Udp",
    "60000000000d114020010db800000000000000000000000120010db80000000000000000"
    "0000000214e91092000d85157469646521"};
inline constexpr Sample kIpv6HopByHopRouterAlert{
    "HopByHopRouterAlert",
    "600000000015004020010db800000000000000000000000120010db80000000000000000"
    "00000002110005020000010014e91092000d85157469646521"};
inline constexpr Sample kIpv6FullChain{
    "FullChain",
    "600000000072004020010db800000000000000000000000120010db80000000000000000"
    "000000023c000104000000002b01010c0000000000000000000000002c02040000000000"
    "20010db80000000000000000000000093c0000000000000906000104000000009c400050"
    "000003e900001388801801f6754200000101080a1122334455667788474554202f204854"
    "54502f312e300d0a0d0a"};
inline constexpr Sample kIpv6RoutingType0{
    "RoutingType0",
    "6000000000252b4020010db800000000000000000000000120010db80000000000000000"
    "00000002110200010000000020010db800000000000000000000000914e91092000d850e"
    "7469646521"};
inline constexpr Sample kIpv6NoNextHeader{
    "NoNextHeader",
    "6000000000083c4020010db800000000000000000000000120010db80000000000000000"
    "000000023b00010400000000"};
inline constexpr Sample kIpv6FirstFragment{
    "FirstFragment",
    "6000000000482c4020010db800000000000000000000000120010db80000000000000000"
    "0000000206000001010203049c40005000000007000000095011000000000000aaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaa"};
inline constexpr Sample kIpv6LastFragment{
    "LastFragment",
    "6000000000152c4020010db800000000000000000000000120010db80000000000000000"
    "000000021100004001020304bbbbbbbbbbbbbbbbbbbbbbbbbb"};
inline constexpr Sample kIpv6UnknownOptionReport{
    "UnknownOptionReport",
    "6000000000153c4020010db800000000000000000000000120010db80000000000000000"
    "0000000211009e040102030414e91092000d85157469646521"};
inline constexpr std::array kIpv6All{
    kIpv6Udp,          kIpv6HopByHopRouterAlert, kIpv6FullChain,    kIpv6RoutingType0,
    kIpv6NoNextHeader, kIpv6FirstFragment,       kIpv6LastFragment, kIpv6UnknownOptionReport};

// Datagrams, 192.0.2.1 to 192.0.2.2 and 2001:db8::1 to 2001:db8::2, as all below.
inline constexpr Sample kUdpOverIpv4{"OverIpv4", "14e91092000d5c867469646521"};
inline constexpr Sample kUdpOverIpv6{"OverIpv6", "14e91092000d85157469646521"};
inline constexpr std::array kUdpAll{kUdpOverIpv4, kUdpOverIpv6};

// Segments; NoOptions travels over IPv6, the others over IPv4.
inline constexpr Sample kTcpSyn{
    "Syn",
    "9c400050000003e800000000a002faf028920000020405b40402080a0000000100000000"
    "01030307"};
inline constexpr Sample kTcpData{
    "Data",
    "9c400050000003e900001388801801f64cb300000101080a112233445566778847455420"
    "2f20485454502f312e300d0a0d0a"};
inline constexpr Sample kTcpThreeSackBlocks{
    "ThreeSackBlocks",
    "00509c4000001388000003e9f01001f6519800000101080a11223344556677880101051a"
    "000007d000000bb800000fa0000011940000177000001771"};
inline constexpr Sample kTcpFastOpen{
    "FastOpen",
    "9c400050000003e800000000d002faf0c6670000020405b40402080a0000000100000000"
    "01030307220a01020304050607080000"};
inline constexpr Sample kTcpNoOptions{"NoOptions", "9c400050000000070000000950110000b7be0000"};
inline constexpr Sample kTcpUserTimeout{"UserTimeout",
                                        "000100020000000000000000601020005fbb00001c04800a"};
inline constexpr Sample kTcpAuthenticated{
    "Authenticated",
    "9c4000b3000003e900001388c01801f65b3000000101080a11223344556677881d103d54"
    "7064cf998cc6c315c2c2e2bf"};
inline constexpr std::array kTcpAll{kTcpSyn,          kTcpData,      kTcpThreeSackBlocks,
                                    kTcpFastOpen,     kTcpNoOptions, kTcpUserTimeout,
                                    kTcpAuthenticated};

// Messages.
inline constexpr Sample kIcmpEchoRequest{"EchoRequest", "08002421424200076162636465666768"};
inline constexpr Sample kIcmpEchoReply{"EchoReply", "0000c32042420007616263646566676869"};
inline constexpr Sample kIcmpPortUnreachable{
    "PortUnreachable",
    "0303e95400000000450000280007000040068e8cc0000202c633640704d201bbdeadbeef"
    "0000000050022000ff7a0000"};
inline constexpr Sample kIcmpFragmentationNeeded{
    "FragmentationNeeded",
    "0304e3db00000578450000280007000040068e8cc0000202c633640704d201bbdeadbeef"
    "0000000050022000ff7a0000"};
inline constexpr Sample kIcmpTimeExceeded{
    "TimeExceeded",
    "0b00e15700000000450000280007000040068e8cc0000202c633640704d201bbdeadbeef"
    "0000000050022000ff7a0000"};
inline constexpr Sample kIcmpParameterProblem{
    "ParameterProblem",
    "0c00cc5714000000450000280007000040068e8cc0000202c633640704d201bbdeadbeef"
    "0000000050022000ff7a0000"};
inline constexpr Sample kIcmpSourceQuench{
    "SourceQuench",
    "0400e85700000000450000280007000040068e8cc0000202c633640704d201bbdeadbeef"
    "0000000050022000ff7a0000"};
inline constexpr Sample kIcmpRedirect{
    "Redirect",
    "05012458c00002fe450000280007000040068e8cc0000202c633640704d201bbdeadbeef"
    "0000000050022000ff7a0000"};
inline constexpr Sample kIcmpTimestamp{"Timestamp", "0d00fea80000000000c5fb5700c5fb5700c5fb57"};
inline constexpr Sample kIcmpAddressMask{"AddressMask", "1100eeff0000000000000000"};
inline constexpr std::array kIcmpAll{
    kIcmpEchoRequest,  kIcmpEchoReply,        kIcmpPortUnreachable, kIcmpFragmentationNeeded,
    kIcmpTimeExceeded, kIcmpParameterProblem, kIcmpSourceQuench,    kIcmpRedirect,
    kIcmpTimestamp,    kIcmpAddressMask};

// Messages.
inline constexpr Sample kIcmpv6EchoRequest{"EchoRequest", "80005061424200076162636465666768"};
inline constexpr Sample kIcmpv6EchoReply{"EchoReply", "81001c9942420007616263"};
inline constexpr Sample kIcmpv6PortUnreachable{
    "PortUnreachable",
    "010431dd00000000600000000010114020010db800000000000000000000000220010db8"
    "00010000000000000000000704d201bb0010ccf03132333435363738"};
inline constexpr Sample kIcmpv6PacketTooBig{
    "PacketTooBig",
    "0200f9450000057860000000001c3c4020010db800000000000000000000000220010db8"
    "000100000000000000000007060001040000000004d201bbdeadbeef0000000050022000"
    "903c0000"};
inline constexpr Sample kIcmpv6TimeExceeded{
    "TimeExceeded",
    "03002fe100000000600000000010114020010db800000000000000000000000220010db8"
    "00010000000000000000000704d201bb0010ccf03132333435363738"};
inline constexpr Sample kIcmpv6ParameterProblem{
    "ParameterProblem",
    "04012eb800000028600000000010114020010db800000000000000000000000220010db8"
    "00010000000000000000000704d201bb0010ccf03132333435363738"};
inline constexpr std::array kIcmpv6All{kIcmpv6EchoRequest,     kIcmpv6EchoReply,
                                       kIcmpv6PortUnreachable, kIcmpv6PacketTooBig,
                                       kIcmpv6TimeExceeded,    kIcmpv6ParameterProblem};

// From the IPv6 header on.
inline constexpr Sample kNdpRouterSolicitation{
    "RouterSolicitation",
    "6000000000103afffe800000000000000000000000000001ff0200000000000000000000"
    "0000000285007a2c000000000101020000000001"};
inline constexpr Sample kNdpRouterAdvertisement{
    "RouterAdvertisement",
    "6000000000403afffe800000000000000000000000000001ff0200000000000000000000"
    "000000018600b2484080070800007530000003e8010102000000000105010000000005d4"
    "030440c000015180000038400000000020010db8000000000000000000000000"};
inline constexpr Sample kNdpNeighbourSolicitation{
    "NeighbourSolicitation",
    "6000000000203afffe800000000000000000000000000001ff0200000000000000000001"
    "ff00000287007a9700000000fe8000000000000000000000000000020101020000000001"};
inline constexpr Sample kNdpDuplicateAddressProbe{
    "DuplicateAddressProbe",
    "6000000000183aff00000000000000000000000000000000ff0200000000000000000001"
    "ff00000287007c2300000000fe800000000000000000000000000002"};
inline constexpr Sample kNdpNeighbourAdvertisement{
    "NeighbourAdvertisement",
    "6000000000203afffe800000000000000000000000000001fe8000000000000000000000"
    "000000028800181c60000000fe8000000000000000000000000000010201020000000001"};
inline constexpr Sample kNdpRedirect{
    "Redirect",
    "6000000000683afffe800000000000000000000000000001fe8000000000000000000000"
    "000000028900cda300000000fe80000000000000000000000000000920010db800070000"
    "00000000000000010201020000000001040700000000000060000000000d114020010db8"
    "00000000000000000000000120010db800000000000000000000000214e91092000d8515"};
inline constexpr std::array kNdpAll{kNdpRouterSolicitation,     kNdpRouterAdvertisement,
                                    kNdpNeighbourSolicitation,  kNdpDuplicateAddressProbe,
                                    kNdpNeighbourAdvertisement, kNdpRedirect};

// Whole frames of RoCEv2 with their ICRC: the first from hardware (ConnectX-4 Lx), the last made
// and checked by a bitwise CRC of its own, for scapy has no ICRC over IPv6.
inline constexpr Sample kRoceHardwareCnp{
    "HardwareCnp",
    "e41d2dab2bc27cfe90643b32080045c2003c718c4000401191610a0011010a0012010000"
    "12b7002800008100ffff40000118000000000000000000000000000000000000000082fd"
    "002a"};
inline constexpr Sample kRoceUcSendOnly{
    "UcSendOnly",
    "248a07a8fa22248a07a8fa22080045010040047840004011b4d5c0a80007c0a80007c000"
    "12b7002caca22460ffff000000d300cf17104630818be28935d90e9a95505401be885e50"
    "000078f353f3"};
inline constexpr Sample kRoceSendOnly{
    "SendOnly",
    "020000000002020000000001080045020034123440004011a47fc0000201c0000202c000"
    "12b7002000000440ffff0000001180001000000102030405060749104987"};
inline constexpr Sample kRoceWriteOnly{
    "WriteOnly",
    "02000000000202000000000108004502004c123440004011a467c0000201c0000202c000"
    "12b7003800000a70ffff00000011800010010000700012345678000001230000000d6865"
    "6c6c6f2c20776f726c6421000000c748b37f"};
inline constexpr Sample kRoceAck{
    "Ack",
    "020000000002020000000001080045020030123440004011a483c0000201c0000202c000"
    "12b7001c00001140ffff00000022000010011f00000242aa861e"};
inline constexpr Sample kRoceNak{
    "Nak",
    "020000000002020000000001080045020030123440004011a483c0000201c0000202c000"
    "12b7001c00001140ffff00000022000010026000000258607a6a"};
inline constexpr Sample kRoceCnp{
    "Cnp",
    "02000000000202000000000108004502003c123440004011a477c0000201c0000202c000"
    "12b7002800008100ffff400000110000000000000000000000000000000000000000b5ac"
    "bbec"};
inline constexpr Sample kRoceReadRequest{
    "ReadRequest",
    "02000000000202000000000108004502003c123440004011a477c0000201c0000202c000"
    "12b7002800000c40ffff0000001180001003000070001234567800000123000010004bd4"
    "92e2"};
inline constexpr Sample kRoceSendOnlyIpv6{
    "SendOnlyIpv6",
    "02000000000202000000000186dd602123450020114020010db800000000000000000000"
    "000120010db8000000000000000000000002c00012b7002000000440ffff000000118000"
    "100000010203040506070cd9543d"};
// RoCE v1: its ICRC by an independent program, after annex A16.
inline constexpr Sample kRoceV1SendOnly{
    "V1SendOnly",
    "02000000000202000000000189156021234500181b4000000000000000000000ffffc000"
    "020100000000000000000000ffffc00002020440ffff0000001180000100010203040506"
    "07084b600280"};
inline constexpr std::array kRoceAll{
    kRoceHardwareCnp, kRoceUcSendOnly, kRoceSendOnly,    kRoceWriteOnly,    kRoceAck,
    kRoceNak,         kRoceCnp,        kRoceReadRequest, kRoceSendOnlyIpv6, kRoceV1SendOnly};

// IGMP messages, and MLD messages from fe80::1 to ff02::1.
inline constexpr Sample kIgmpQuery1{"Query1", "1100eeff00000000"};
inline constexpr Sample kIgmpQuery2{"Query2", "1164ee9b00000000"};
inline constexpr Sample kIgmpQuery2Group{"Query2Group", "110afef2ef010101"};
inline constexpr Sample kIgmpReport1{"Report1", "1200fdfcef010101"};
inline constexpr Sample kIgmpReport2{"Report2", "1600f9fcef010101"};
inline constexpr Sample kIgmpLeave2{"Leave2", "1700f8fcef010101"};
inline constexpr Sample kIgmpQuery3{"Query3", "11c877a5ef010101027d0002c0000207c0000208"};
inline constexpr Sample kIgmpReport3{"Report3", "2200e9fb0000000104000000ef010101"};
inline constexpr std::array kIgmpAll{kIgmpQuery1,  kIgmpQuery2, kIgmpQuery2Group, kIgmpReport1,
                                     kIgmpReport2, kIgmpLeave2, kIgmpQuery3,      kIgmpReport3};
inline constexpr Sample kMldQuery1{"Query1", "820059172710000000000000000000000000000000000000"};
inline constexpr Sample kMldReport1{"Report1", "8300802000000000ff020000000000000000000000010003"};
inline constexpr Sample kMldDone1{"Done1", "84007f2000000000ff020000000000000000000000010003"};
inline constexpr Sample kMldQuery2{
    "Query2",
    "8200b48d9c400000ff020000000000000000000000010003027d000120010db8000000000000000000000007"};
inline constexpr Sample kMldReport2{"Report2",
                                    "8f00701b0000000104000000ff020000000000000000000000010003"};
inline constexpr std::array kMldAll{kMldQuery1, kMldReport1, kMldDone1, kMldQuery2, kMldReport2};

// The same as one fuzzer reads them: the first byte says which of the two it is.
inline constexpr std::array kGroupAll{
    Sample{"IgmpQuery1", "011100eeff00000000"},
    Sample{"IgmpQuery2", "011164ee9b00000000"},
    Sample{"IgmpQuery2Group", "01110afef2ef010101"},
    Sample{"IgmpReport1", "011200fdfcef010101"},
    Sample{"IgmpReport2", "011600f9fcef010101"},
    Sample{"IgmpLeave2", "011700f8fcef010101"},
    Sample{"IgmpQuery3", "0111c877a5ef010101027d0002c0000207c0000208"},
    Sample{"IgmpReport3", "012200e9fb0000000104000000ef010101"},
    Sample{"MldQuery1", "00820059172710000000000000000000000000000000000000"},
    Sample{"MldReport1", "008300802000000000ff020000000000000000000000010003"},
    Sample{"MldDone1", "0084007f2000000000ff020000000000000000000000010003"},
    Sample{"MldQuery2",
           "008200b48d9c400000ff020000000000000000000000010003027d000120010db8000000000000000000000"
           "007"},
    Sample{"MldReport2", "008f00701b0000000104000000ff020000000000000000000000010003"}};

}  // namespace tideline::wire::packets
