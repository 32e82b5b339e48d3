// SPDX-License-Identifier: Apache-2.0
#include "player.h"

#include <arpa/inet.h>
#include <dlfcn.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/protocol.h"
#include "wire/view.h"

namespace tideline::test {
namespace {

constexpr wire::Ipv4Address kUs(192, 168, 0, 1);
constexpr wire::Ipv4Address kPeer(192, 0, 2, 1);

using Init = void(const char*, packetdrill_interface*);

// As packetdrill does; it stays loaded.
Init* load() {
  static void* const library = ::dlopen(TIDELINE_PACKETDRILL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", ::dlerror());
    return nullptr;
  }
  return reinterpret_cast<Init*>(::dlsym(library, "packetdrill_interface_init"));
}

}  // namespace

Player::Player(const std::string& flags) {
  Init* const init = load();
  EXPECT_NE(init, nullptr);
  if (init != nullptr) init(flags.c_str(), &calls);
}

Player::~Player() { calls.free(calls.userdata); }

bool Player::inject_raw(std::span<const std::byte> packet) {
  return calls.netdev_send(calls.userdata, packet.data(), packet.size()) == 0;
}

void Player::inject(std::uint16_t flags, std::uint32_t seq, std::uint32_t ack, std::size_t size,
                    const wire::TcpOptions& options) {
  wire::Tcp header{.source_port = kPeerPort,
                   .destination_port = kOurPort,
                   .sequence_number = seq,
                   .acknowledgment_number = ack,
                   .flags = flags,
                   .window = 32792,
                   .options = options};
  const std::size_t header_size = header.header_size();
  std::vector<std::byte> packet(sizeof(wire::Ipv4Header) + header_size + size);
  wire::emit(wire::Ipv4{.total_length = static_cast<std::uint16_t>(packet.size()),
                        .protocol = wire::kProtocolTcp,
                        .source = kPeer,
                        .destination = kUs},
             packet);
  const auto segment = std::span(packet).subspan(sizeof(wire::Ipv4Header));
  wire::emit(header, segment.first(header_size));
  auto sum = wire::pseudo_header(kPeer, kUs, wire::kProtocolTcp,
                                 static_cast<std::uint32_t>(segment.size()));
  sum.add(segment);
  header.checksum = sum.checksum();
  wire::emit(header, segment.first(header_size));
  EXPECT_TRUE(inject_raw(packet));
}

Seen Player::next() {
  std::vector<std::byte> buffer(65536);
  std::size_t size = buffer.size();
  Seen seen;
  EXPECT_EQ(calls.netdev_receive(calls.userdata, buffer.data(), &size, &seen.at), 0);
  const auto packet = std::span<const std::byte>(buffer).first(size);
  const auto ip = wire::parse_ipv4(packet);
  EXPECT_TRUE(ip.has_value());
  if (!ip) return seen;
  EXPECT_EQ(ip->source, kUs);
  EXPECT_EQ(ip->destination, kPeer);
  const auto segment = packet.subspan(ip->header_size(), ip->payload_size());
  const auto tcp = wire::parse_tcp(segment);
  EXPECT_TRUE(tcp.has_value());
  if (!tcp) return seen;
  seen.header = *tcp;
  seen.size = segment.size() - tcp->header_size();
  return seen;
}

Micros Player::now() {
  timeval time{};
  calls.gettimeofday(calls.userdata, &time, nullptr);
  return Micros{time.tv_sec} * 1'000'000 + time.tv_usec;
}

int Player::listen_socket() {
  const int fd = calls.socket(calls.userdata, AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kOurPort);
  ::inet_pton(AF_INET, "192.168.0.1", &address.sin_addr);
  EXPECT_EQ(calls.bind(calls.userdata, fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
            0);
  EXPECT_EQ(calls.listen(calls.userdata, fd, 1), 0);
  return fd;
}

int Player::accept_one() {
  const int listener = listen_socket();
  wire::TcpOptions options;
  options.mss = 1000;
  options.sack_permitted = true;
  options.window_scale = 7;
  inject(wire::kTcpSyn, theirs(0), 0, 0, options);
  const Seen answer = next();
  EXPECT_EQ(answer.header.flags, wire::kTcpSyn | wire::kTcpAck);
  EXPECT_EQ(answer.header.acknowledgment_number, theirs(1));
  our_iss_ = answer.header.sequence_number;
  sleep(10'000);
  inject(wire::kTcpAck, theirs(1), ours(1));
  sockaddr_in peer{};
  socklen_t size = sizeof(peer);
  const int fd = calls.accept(calls.userdata, listener, reinterpret_cast<sockaddr*>(&peer), &size);
  EXPECT_GE(fd, 0);
  EXPECT_EQ(size, sizeof(peer));
  EXPECT_EQ(ntohs(peer.sin_port), kPeerPort);
  EXPECT_EQ(ntohl(peer.sin_addr.s_addr), kPeer.value());
  EXPECT_EQ(calls.close(calls.userdata, listener), 0);
  return fd;
}

bool Player::is_asleep(pid_t thread) const {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::size_t mark = text.rfind(") ");
  return mark != std::string::npos && text[mark + 2] == 'S';
}

}  // namespace tideline::test
