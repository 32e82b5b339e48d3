// SPDX-License-Identifier: Apache-2.0
// The program at the interface (XDP) of an af_xdp port. Compiled for the kernel's BPF machine at
// build time; loaded by xdp_program.cc. It hands to the sockets what is for an address that the
// port claims, and leaves everything else to the kernel, untouched. A frame has one taker: what
// both might want (a broadcast, an announcement to all nodes) stays with the kernel.
#include <linux/bpf.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>
// Needs the types of the above.
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ROCE 0x8915  // RoCE v1: a GRH, which has the form of an IPv6 header
#define NEIGHBOUR_SOLICITATION 135  // RFC 4861 §4.3
#define NEIGHBOUR_ADVERTISEMENT 136

// IPv4 addresses mapped: ::ffff:a.b.c.d.
struct address {
  __u32 words[4];
};

// By the interface's receive queue.
struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 64);
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, struct address);
  __type(value, __u8);
} claimed SEC(".maps");

// Set before loading: every frame is ours.
const volatile bool take_all = false;

// RFC 826, for IPv4 over Ethernet. (linux/if_arp.h needs headers of the C library.)
struct arp {
  __be16 hardware;
  __be16 protocol;
  __u8 lengths[2];
  __be16 operation;
  __u8 sender_mac[ETH_ALEN];
  __u8 sender[4];
  __u8 target_mac[ETH_ALEN];
  __u8 target[4];
};

static __always_inline bool is_ours(const void *ipv6) {
  struct address key;
  __builtin_memcpy(&key, ipv6, sizeof(key));
  return bpf_map_lookup_elem(&claimed, &key) != NULL;
}

static __always_inline bool is_ours_v4(const void *ipv4) {
  struct address key = {.words = {0, 0, bpf_htonl(0xffff), 0}};
  __builtin_memcpy(&key.words[3], ipv4, sizeof(key.words[3]));
  return bpf_map_lookup_elem(&claimed, &key) != NULL;
}

static __always_inline bool takes_arp(const struct arp *arp, const void *end) {
  return (const void *)(arp + 1) <= end && arp->hardware == bpf_htons(1) &&
         arp->protocol == bpf_htons(ETH_P_IP) && is_ours_v4(arp->target);
}

// Neighbour discovery goes by its target: solicitations come to a group that several addresses
// share, and who defends an address answers to all nodes.
static __always_inline bool takes_ipv6(const struct ipv6hdr *ip, const void *end) {
  if ((const void *)(ip + 1) > end) return false;
  if (is_ours(&ip->daddr)) return true;
  if (ip->nexthdr != IPPROTO_ICMPV6) return false;
  const struct icmp6hdr *icmp = (const void *)(ip + 1);
  const struct in6_addr *target = (const void *)(icmp + 1);
  return (const void *)(target + 1) <= end &&
         (icmp->icmp6_type == NEIGHBOUR_SOLICITATION ||
          icmp->icmp6_type == NEIGHBOUR_ADVERTISEMENT) &&
         is_ours(target);
}

static __always_inline bool takes(const void *data, const void *end) {
  const struct ethhdr *ethernet = data;
  const void *payload = ethernet + 1;
  if (payload > end) return false;
  switch (bpf_ntohs(ethernet->h_proto)) {
    case ETH_P_IP: {
      const struct iphdr *ip = payload;
      // Fragments have no ports, but an address.
      return (const void *)(ip + 1) <= end && is_ours_v4(&ip->daddr);
    }
    case ETH_P_IPV6:
      return takes_ipv6(payload, end);
    case ROCE: {
      const struct ipv6hdr *grh = payload;
      return (const void *)(grh + 1) <= end && is_ours(&grh->daddr);
    }
    case ETH_P_ARP:
      return takes_arp(payload, end);
    default:
      return false;
  }
}

// "frags": also frames that the driver spreads over several buffers (MTU 9000).
SEC("xdp.frags")
int tideline_filter(struct xdp_md *frame) {
  const void *data = (const void *)(long)frame->data;
  const void *end = (const void *)(long)frame->data_end;
  if (!take_all && !takes(data, end)) return XDP_PASS;
  return (int)bpf_redirect_map(&sockets, frame->rx_queue_index, XDP_PASS);
}

char license_of_this_program[] SEC("license") = "Apache-2.0";
