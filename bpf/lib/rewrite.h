/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a flow entry to a packet's new addresses and ports. Once a byte has been rewritten, a failure is a drop. */
#pragma once

#include "flow.h"

struct rewrite {
	struct addr src, dst;
	__u32 addr_diff; /* checksum difference of the addresses, one's complement */
	__u32 port_diff; /* ... of the ports */
	__be16 sport, dport;
	bool ports; /* a port is rewritten: two may change and the checksum not */
};

/* All bits of what differs, so that no branch is needed to leave a checksum alone where nothing does. */
static __always_inline __u32 mask_of(bool differs)
{
	return -(__u32)differs;
}

/* Difference of two pairs of IPv4 addresses. */
static __always_inline __u32 csum_diff_addrs4(__be32 src, __be32 dst, __be32 n_src, __be32 n_dst)
{
	__u64 sum = (__u64)(__u32)~src + (__u32)~dst + n_src + n_dst;

	sum = (sum & 0xffffffff) + (sum >> 32);
	return csum_fold((sum & 0xffff) + (sum >> 16)) & mask_of((src ^ n_src) | (dst ^ n_dst));
}

/* key: the one that the entry stands under. */
static __always_inline void rewrite_of(const struct flow_key *key, const struct flow_value *flow, bool v6, struct rewrite *to)
{
	if (v6) {
		const struct flow6_value *flow6 = (const struct flow6_value *)flow;

		to->src = flow6->n_src;
		to->dst = flow6->n_dst;
		to->addr_diff = flow6->addr_diff;
	} else {
		const struct flow4_value *flow4 = (const struct flow4_value *)flow;

		addr_set4(&to->src, flow4->n_src);
		addr_set4(&to->dst, flow4->n_dst);
		to->addr_diff = csum_diff_addrs4(addr_words(&key->src)[3], addr_words(&key->dst)[3], flow4->n_src, flow4->n_dst);
	}
	to->sport = flow->n_sport;
	to->dport = flow->n_dport;
	to->ports = flow->flags & FLOW_PORTS;
	to->port_diff = csum_fold(csum_diff16(key->sport, to->sport) + csum_diff16(key->dport, to->dport)) & mask_of(to->ports);
}

static __always_inline void rewrite_ipv4(struct iphdr *ip, const struct rewrite *to, __u32 ttl_step)
{
	__u32 diff = to->addr_diff;

	if (ttl_step) {
		__be16 old = *(__be16 *)&ip->ttl;

		ip->ttl--;
		diff += csum_diff16(old, *(__be16 *)&ip->ttl);
	}
	ip->saddr = addr_words(&to->src)[3];
	ip->daddr = addr_words(&to->dst)[3];
	ip->check = csum_apply(ip->check, diff);
}

static __always_inline void rewrite_ipv6(struct __sk_buff *ctx, struct ipv6hdr *ip, const struct rewrite *to, __u32 ttl_step,
					 bool complete)
{
	__be16 hops = *(__be16 *)&ip->nexthdr;

	ip->hop_limit -= ttl_step;
	if (complete)
		csum_whole_update6(ctx, to->addr_diff, hops, *(__be16 *)&ip->nexthdr);
	__builtin_memcpy(ip->saddr, to->src.b, 16);
	__builtin_memcpy(ip->daddr, to->dst.b, 16);
}

/* Rewrites addresses, ports and TTL (by ttl_step). */
static __always_inline int packet_rewrite(struct __sk_buff *ctx, const struct packet *pkt, const struct rewrite *to,
					  __u32 ttl_step)
{
	__u32 summed = packet_summed(ctx);
	void *ip;
	__u8 *l4;

	if (csum_l4_update(ctx, pkt, summed, to->addr_diff, to->port_diff))
		return -DROP_REWRITE;
	ip = packet_at(ctx, pkt->l3, sizeof(struct iphdr));
	if (!ip)
		return -DROP_REWRITE;
	if (pkt->v6) {
		ip = packet_at(ctx, pkt->l3, sizeof(struct ipv6hdr));
		if (!ip)
			return -DROP_REWRITE;
		rewrite_ipv6(ctx, ip, to, ttl_step, summed == CHECKSUM_COMPLETE);
	} else {
		rewrite_ipv4(ip, to, ttl_step);
	}
	if (!to->ports || pkt->later)
		return 0;
	l4 = packet_at(ctx, pkt->l4, 8);
	if (!l4)
		return -DROP_REWRITE;
	if (pkt->key.proto == IPPROTO_TCP || pkt->key.proto == IPPROTO_UDP) {
		*(__be16 *)l4 = to->sport;
		*(__be16 *)(l4 + 2) = to->dport;
	} else {
		/* The side of the key that is not the identifier is 0 on both. */
		*(__be16 *)(l4 + 4) = to->sport | to->dport;
	}
	return 0;
}

/* As the flow says that its packets are rewritten. */
static __always_inline int flow_rewrite(struct __sk_buff *ctx, const struct packet *pkt, const struct flow_value *flow,
					__u32 ttl_step)
{
	struct rewrite to;

	rewrite_of(&pkt->key, flow, pkt->v6, &to);
	return packet_rewrite(ctx, pkt, &to, ttl_step);
}
