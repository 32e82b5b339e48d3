// SPDX-License-Identifier: Apache-2.0
// IP headers: traffic class and hop limit, source addresses, path MTU; IPV6_V6ONLY.
#include <net/if.h>
#include <netinet/udp.h>

#include <functional>

#include "fixture.h"

namespace check {
namespace {

bool is_ipv4() { return own(0).family() == AF_INET; }

struct Names {
  int level;
  int traffic_class;
  int hop_limit;
  int wants_traffic_class;
  int wants_hop_limit;
  int mtu;
  int mtu_discover;
};
Names names() {
  if (is_ipv4()) {
    return {IPPROTO_IP, IP_TOS, IP_TTL, IP_RECVTOS, IP_RECVTTL, IP_MTU, IP_MTU_DISCOVER};
  }
  return {IPPROTO_IPV6,      IPV6_TCLASS, IPV6_UNICAST_HOPS, IPV6_RECVTCLASS,
          IPV6_RECVHOPLIMIT, IPV6_MTU,    IPV6_MTU_DISCOVER};
}
// Of ancillary data, where it is not the option's name.
int hop_limit_data() { return is_ipv4() ? IP_TTL : IPV6_HOPLIMIT; }

// A message with ancillary data.
struct Message {
  std::array<char, 3000> bytes{};
  alignas(cmsghdr) std::array<char, 256> control{};
  iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
  msghdr header{.msg_iov = &part,
                .msg_iovlen = 1,
                .msg_control = control.data(),
                .msg_controllen = control.size()};

  // Before send().
  template <typename T>
  void add(int level, int type, const T& value) {
    if (used == 0) header.msg_controllen = 0;
    auto* const at = reinterpret_cast<cmsghdr*>(control.data() + used);
    at->cmsg_level = level;
    at->cmsg_type = type;
    at->cmsg_len = CMSG_LEN(sizeof(value));
    std::memcpy(CMSG_DATA(at), &value, sizeof(value));
    used += CMSG_SPACE(sizeof(value));
    header.msg_controllen = used;
  }
  // -1: it is not there.
  int find(int level, int type) {
    for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr;
         each = CMSG_NXTHDR(&header, each)) {
      if (each->cmsg_level != level || each->cmsg_type != type) continue;
      int value = 0;
      std::memcpy(&value, CMSG_DATA(each), std::min(sizeof(value), each->cmsg_len - CMSG_LEN(0)));
      return value;
    }
    return -1;
  }

  std::size_t used = 0;
};

class Headers : public Sockets {
 protected:
  void SetUp() override {
    server_ = bound_datagram();
    to_ = own(Address::local_of(server_).port());
    set(server_, names().level, names().wants_traffic_class, 1);
    set(server_, names().level, names().wants_hop_limit, 1);
    client_ = make(SOCK_DGRAM);
  }
  // The next datagram is marked so.
  void expect(int traffic_class, int hop_limit) {
    ASSERT_EQ(wait_events(server_, POLLIN), POLLIN);
    Message message;
    ASSERT_GT(::recvmsg(server_, &message.header, 0), 0) << std::strerror(errno);
    EXPECT_EQ(message.find(names().level, names().traffic_class), traffic_class);
    EXPECT_EQ(message.find(names().level, hop_limit_data()), hop_limit);
    EXPECT_EQ(message.header.msg_flags & MSG_CTRUNC, 0);
  }
  void send_plain() {
    ASSERT_EQ(::sendto(client_, "x", 1, 0, to_.raw(), to_.size), 1) << std::strerror(errno);
  }
  // listener_, on any address of IPv6 alone; what is returned has the same port in IPv4. There the
  // kernel may have connections of earlier tests in TIME-WAIT, so several are tried.
  Fd bind_ipv6_alone() {
    for (int tries = 0; tries < 100; ++tries) {
      listener_ = make(SOCK_STREAM);
      EXPECT_EQ(get(listener_, IPPROTO_IPV6, IPV6_V6ONLY), 0);
      set(listener_, IPPROTO_IPV6, IPV6_V6ONLY, 1);
      EXPECT_EQ(::bind(listener_, any().raw(), any().size), 0) << std::strerror(errno);
      Fd other(::socket(AF_INET, SOCK_STREAM, 0));
      const Address all = Address::of("0.0.0.0", Address::local_of(listener_).port());
      if (::bind(other, all.raw(), all.size) == 0) return other;
      EXPECT_EQ(errno, EADDRINUSE);
    }
    return Fd();
  }

  Fd server_;
  Fd client_;
  Address to_;
};

TEST_F(Headers, OptionsMarkWhatIsSent) {
  send_plain();
  expect(0, 64);
  set(client_, names().level, names().traffic_class, 0x48);
  set(client_, names().level, names().hop_limit, 9);
  send_plain();
  expect(0x48, 9);
  EXPECT_EQ(get(client_, names().level, names().traffic_class), 0x48);
  EXPECT_EQ(get(client_, names().level, names().hop_limit), 9);
  ASSERT_EQ(::connect(client_, to_.raw(), to_.size), 0);
  send(client_, "connected");
  expect(0x48, 9);
  set(client_, names().level, names().hop_limit, -1);
  set(client_, names().level, names().traffic_class, 0);
  send(client_, "as usual");
  expect(0, 64);
  const int too_much = 256;
  EXPECT_EQ(::setsockopt(client_, names().level, names().hop_limit, &too_much, sizeof(too_much)),
            -1);
  EXPECT_EQ(errno, EINVAL);
}

// RFC 1122 §3.2.1.7.
TEST_F(Headers, NoPacketOfIPv4LeavesWithoutHops) {
  Fd socket(::socket(AF_INET, SOCK_DGRAM, 0));
  const Address to = Address::of(is_ipv4() ? own_text() : "127.0.0.1", 9);
  for (const bool connected : {false, true}) {
    if (connected) {
      ASSERT_EQ(::connect(socket, to.raw(), to.size), 0) << std::strerror(errno);
    }
    const int none = 0;
    EXPECT_EQ(::setsockopt(socket, IPPROTO_IP, IP_TTL, &none, sizeof(none)), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(get(socket, IPPROTO_IP, IP_TTL), 64);
    Message message;
    message.part.iov_len = 1;
    if (!connected) {
      message.header.msg_name = const_cast<sockaddr*>(to.raw());
      message.header.msg_namelen = to.size;
    }
    message.add(IPPROTO_IP, IP_TTL, none);
    EXPECT_EQ(::sendmsg(socket, &message.header, 0), -1);
    EXPECT_EQ(errno, EINVAL);
  }
}

TEST_F(Headers, AncillaryDataMarksOneDatagram) {
  set(client_, names().level, names().traffic_class, 0x20);
  Message message;
  message.part.iov_len = 5;
  message.header.msg_name = to_.raw();
  message.header.msg_namelen = to_.size;
  message.add(names().level, names().traffic_class, 0x88);
  message.add(names().level, hop_limit_data(), 3);
  ASSERT_EQ(::sendmsg(client_, &message.header, 0), 5) << std::strerror(errno);
  expect(0x88, 3);
  send_plain();
  expect(0x20, 64);
}

TEST_F(Headers, ADatagramLeavesFromTheAddressThatIsAskedFor) {
  const auto send_from = [&](const char* source) {
    Message message;
    message.part.iov_len = 4;
    message.header.msg_name = to_.raw();
    message.header.msg_namelen = to_.size;
    if (is_ipv4()) {
      in_pktinfo info{};
      ::inet_pton(AF_INET, source, &info.ipi_spec_dst);
      message.add(IPPROTO_IP, IP_PKTINFO, info);
    } else {
      in6_pktinfo info{};
      ::inet_pton(AF_INET6, source, &info.ipi6_addr);
      message.add(IPPROTO_IPV6, IPV6_PKTINFO, info);
    }
    return ::sendmsg(client_, &message.header, 0);
  };
  ASSERT_EQ(send_from(own_text()), 4) << std::strerror(errno);
  ASSERT_EQ(wait_events(server_, POLLIN), POLLIN);
  Address from;
  from.size = sizeof(from.storage);
  std::array<char, 10> bytes{};
  ASSERT_EQ(::recvfrom(server_, bytes.data(), bytes.size(), 0, from.raw(), &from.size), 4);
  EXPECT_EQ(from.text(), own_text());
  EXPECT_EQ(send_from(is_ipv4() ? "203.0.113.9" : "2001:db8:99::9"), -1);
  EXPECT_EQ(errno, is_ipv4() ? ENETUNREACH : EINVAL);
}

// An index that names an interface, and that an answer may name.
TEST_F(Headers, TheInterfaceOfADatagramIsOneThatThereIs) {
  const int wants = is_ipv4() ? IP_PKTINFO : IPV6_RECVPKTINFO;
  const int data = is_ipv4() ? IP_PKTINFO : IPV6_PKTINFO;
  set(server_, names().level, wants, 1);
  send_plain();
  ASSERT_EQ(wait_events(server_, POLLIN), POLLIN);
  Message message;
  Address from;
  message.header.msg_name = &from.storage;
  message.header.msg_namelen = sizeof(from.storage);
  ASSERT_EQ(::recvmsg(server_, &message.header, 0), 1);
  from.size = message.header.msg_namelen;
  const auto answer = [&](const auto& received, unsigned index) {
    std::array<char, IF_NAMESIZE> name{};
    EXPECT_NE(::if_indextoname(index, name.data()), nullptr) << index;
    Message back;
    back.add(names().level, data, received);
    back.part.iov_len = 1;
    back.header.msg_name = &from.storage;
    back.header.msg_namelen = from.size;
    EXPECT_EQ(::sendmsg(server_, &back.header, 0), 1) << std::strerror(errno);
  };
  for (cmsghdr* each = CMSG_FIRSTHDR(&message.header); each != nullptr;
       each = CMSG_NXTHDR(&message.header, each)) {
    if (each->cmsg_level != names().level || each->cmsg_type != data) continue;
    if (is_ipv4()) {
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(each), sizeof(info));
      answer(info, static_cast<unsigned>(info.ipi_ifindex));
    } else {
      in6_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(each), sizeof(info));
      answer(info, info.ipi6_ifindex);
    }
  }
  EXPECT_EQ(wait_events(client_, POLLIN), POLLIN);
}

TEST_F(Headers, ADatagramThatMustStayWholeFitsThePath) {
  int mtu = 0;
  socklen_t size = sizeof(mtu);
  EXPECT_EQ(::getsockopt(client_, names().level, names().mtu, &mtu, &size), -1);
  EXPECT_EQ(errno, ENOTCONN);
  ASSERT_EQ(::connect(client_, to_.raw(), to_.size), 0);
  mtu = get(client_, names().level, names().mtu);
  ASSERT_GE(mtu, 1280);
  set(client_, names().level, names().mtu_discover, IP_PMTUDISC_DO);
  const auto most = static_cast<std::size_t>(mtu - (is_ipv4() ? 28 : 48));
  if (most < 60'000) send(client_, std::string(most, 'm'));
  const std::string longer(most + 1, 'l');
  // Where the stack is not in the program, a later call is told.
  ssize_t sent = ::send(client_, longer.data(), longer.size(), 0);
  if (sent >= 0) {
    ASSERT_NE(wait_events(client_, 0) & POLLERR, 0);
    sent = ::send(client_, "x", 1, 0);
  }
  EXPECT_EQ(sent, -1);
  EXPECT_EQ(errno, EMSGSIZE);
}

TEST_F(Headers, SegmentsAreDatagrams) {
  set(client_, IPPROTO_UDP, UDP_SEGMENT, 100);
  ASSERT_EQ(::connect(client_, to_.raw(), to_.size), 0);
  send(client_, std::string(100, 'a') + std::string(100, 'b') + std::string(50, 'c'));
  for (const std::string& each :
       {std::string(100, 'a'), std::string(100, 'b'), std::string(50, 'c')}) {
    ASSERT_EQ(wait_events(server_, POLLIN), POLLIN);
    EXPECT_EQ(receive(server_), each);
  }
}

TEST_F(Headers, AConnectionKnowsItsOptions) {
  listener_ = listen_any();
  set(listener_, names().level, names().traffic_class, 0x28);
  near_ = make(SOCK_STREAM);
  set(near_, names().level, names().traffic_class, 0x4b);  // the ECN field is TCP's own
  ASSERT_EQ(connect_to(near_, Address::local_of(listener_).port()), 0);
  far_ = Fd(::accept(listener_, nullptr, nullptr));
  EXPECT_EQ(get(near_, names().level, names().traffic_class) & ~3, 0x48);
  EXPECT_EQ(get(far_, names().level, names().traffic_class), 0x28);
  EXPECT_GE(get(near_, names().level, names().mtu), 1280);
}

TEST_F(Headers, IPv6AloneLeavesIPv4ToOthers) {
  const int no = 0;
  if (is_ipv4()) {
    listener_ = make(SOCK_STREAM);
    EXPECT_EQ(::setsockopt(listener_, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)), -1);
    EXPECT_EQ(errno, ENOPROTOOPT);
    return;
  }
  const char* const ipv4 = std::getenv("SOCKET_CHECK_IPV4");
  ASSERT_NE(ipv4, nullptr);
  const Fd other = bind_ipv6_alone();
  ASSERT_GE(other, 0);
  ASSERT_EQ(::listen(listener_, 4), 0);
  EXPECT_EQ(get(listener_, IPPROTO_IPV6, IPV6_V6ONLY), 1);
  EXPECT_EQ(::setsockopt(listener_, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)), -1);
  EXPECT_EQ(errno, EINVAL);
  const Address mapped =
      Address::of((std::string("::ffff:") + ipv4).c_str(), Address::local_of(listener_).port());
  Address to = Address::of(ipv4, mapped.port());
  near_ = Fd(::socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_EQ(::connect(near_, to.raw(), to.size), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
  ASSERT_EQ(::listen(other, 4), 0);
  near_ = Fd(::socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(::connect(near_, to.raw(), to.size), 0) << std::strerror(errno);
  EXPECT_GE(Fd(::accept(other, nullptr, nullptr)), 0);
  // It cannot go there itself.
  near_ = make(SOCK_STREAM);
  set(near_, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  EXPECT_EQ(::connect(near_, mapped.raw(), mapped.size), -1);
  EXPECT_EQ(errno, ENETUNREACH);
  EXPECT_EQ(::bind(near_, mapped.raw(), mapped.size), -1);
  EXPECT_EQ(errno, EINVAL);
  // Datagrams.
  server_ = make(SOCK_DGRAM);
  set(server_, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  ASSERT_EQ(::bind(server_, any().raw(), any().size), 0);
  to = Address::of(ipv4, Address::local_of(server_).port());
  client_ = Fd(::socket(AF_INET, SOCK_DGRAM, 0));
  ASSERT_EQ(::connect(client_, to.raw(), to.size), 0);
  send(client_, "nobody hears it");
  EXPECT_NE(wait_events(client_, 0) & POLLERR, 0);
  EXPECT_EQ(get(client_, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
}

}  // namespace
}  // namespace check
