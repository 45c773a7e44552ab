/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A container speaks for itself only: its own MAC and IP addresses in frames, packets, ARP and neighbour discovery. */
#pragma once

#include "packet.h"

static __always_inline int antispoof_mac(struct __sk_buff *ctx, const struct veth_value *veth)
{
	struct ethhdr *eth = packet_at(ctx, 0, sizeof(*eth));

	if (!eth)
		return -DROP_MALFORMED;
	return mac_equal(eth->h_source, veth->mac) ? 0 : -DROP_SPOOFED_MAC;
}

/* Ethernet ARP for IPv4 (RFC 826): sender's MAC at 8, sender's IP at 14. A probe's sender address is 0 (RFC 5227). */
static __always_inline int antispoof_arp(struct __sk_buff *ctx, const struct veth_value *veth)
{
	__u8 *arp = packet_at(ctx, ETH_HLEN, 28);
	__be32 sender;

	if (!arp)
		return -DROP_MALFORMED;
	sender = *(__u16 *)(arp + 14) | (__u32) * (__u16 *)(arp + 16) << 16;
	if (!mac_equal(arp + 8, veth->mac))
		return -DROP_SPOOFED_ARP;
	if (sender && sender != addr_words(&veth->addr4)[3])
		return -DROP_SPOOFED_ARP;
	return 0;
}

/* Neighbour discovery (RFC 4861): a container neither poses as a router nor advertises an address that is not its own. */
static __always_inline int antispoof_nd(struct __sk_buff *ctx, const struct packet *pkt, const struct veth_value *veth)
{
	struct addr target;
	__be32 *words;

	if (pkt->icmp_type == ND_ROUTER_ADVERT || pkt->icmp_type == ND_REDIRECT)
		return -DROP_ROUTER_ADVERT;
	if (pkt->icmp_type != ND_NEIGHBOR_ADVERT)
		return 0;
	words = packet_at(ctx, pkt->l4 + 8, 16);
	if (!words)
		return -DROP_MALFORMED;
	addr_set6(&target, words);
	if (addr_is_link_local6(&target) || addr_equal(&target, &veth->addr6))
		return 0;
	return -DROP_SPOOFED_ARP;
}

/* Behind headers that are not stepped over there may be any message (RFC 7113 section 3): the hop limit says that it could be valid. */
static __always_inline int antispoof_hidden(const struct packet *pkt)
{
	if (!pkt->v6 || !(pkt->flags & PACKET_OPAQUE) || pkt->ttl != 255)
		return 0;
	switch (pkt->key.proto) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_DSTOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_AH:
	case IPPROTO_MH:
		return -DROP_ROUTER_ADVERT;
	}
	return 0;
}

static __always_inline int antispoof_ip(const struct packet *pkt, const struct veth_value *veth)
{
	const struct addr *src = &pkt->key.src;

	if (addr_equal(src, pkt->v6 ? &veth->addr6 : &veth->addr4))
		return 0;
	/* Link-local and unspecified sources never leave the link: the bridge carries them, nothing routes them. */
	if (pkt->v6 && (addr_is_link_local6(src) || (addr_is_zero(src) && addr_is_multicast(&pkt->key.dst))))
		return 0;
	return -DROP_SPOOFED_IP;
}
