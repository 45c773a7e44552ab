/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Checksums, by difference only (RFC 1624): a GSO packet is seen whole, and its checksum may still be partial, which the kernel's helper
 * knows and we do not.
 */
#pragma once

#include "packet.h"

static __always_inline __u16 csum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* HC' = ~(~HC + ~m + m'), with diff = ~m + m' (RFC 1624 equation 3). */
static __always_inline __sum16 csum_apply(__sum16 check, __u32 diff)
{
	return ~csum_fold((__u32)csum_fold(diff) + (__u16)~check);
}

static __always_inline __u32 csum_diff16(__u16 from, __u16 to)
{
	return (__u32)(__u16)~from + to;
}

/* Difference of two address pairs: the v4-mapped prefixes cancel out. */
static __always_inline __u32 csum_diff_addrs(const struct flow_key *from, const struct addr *src, const struct addr *dst)
{
	__u32 diff = bpf_csum_diff(from->src.b, 16, src->b, 16, 0);

	return csum_fold(bpf_csum_diff(from->dst.b, 16, dst->b, 16, diff));
}

/* Offset of the transport checksum in its header; 0: none. */
static __always_inline __u32 csum_offset(const struct packet *pkt)
{
	switch (pkt->key.proto) {
	case IPPROTO_TCP:
		return 16;
	case IPPROTO_UDP:
		return 6;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 2;
	}
	return 0;
}

/* Corrects the transport checksum for changed addresses and ports. A UDP checksum of zero (none, RFC 768) stays zero in IPv4, and
 * never becomes zero by our doing. */
static __always_inline int csum_l4_replace(struct __sk_buff *ctx, const struct packet *pkt, __u32 addr_diff, __u32 port_diff)
{
	__u32 off = csum_offset(pkt), flags = 0;

	if (!off)
		return 0;
	off += pkt->l4;
	if (pkt->key.proto == IPPROTO_UDP)
		flags = BPF_F_MARK_MANGLED_0;
	/* ICMP for IPv4 has no pseudo-header. */
	if (addr_diff && pkt->key.proto != IPPROTO_ICMP &&
	    bpf_l4_csum_replace(ctx, off, 0, addr_diff, flags | BPF_F_PSEUDO_HDR | (pkt->v6 ? csum_ipv6_flag : 0)))
		return -DROP_REWRITE;
	if (port_diff && bpf_l4_csum_replace(ctx, off, 0, port_diff, flags))
		return -DROP_REWRITE;
	return 0;
}
