/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Checksums, by difference only (RFC 1624): a GSO packet is seen whole, and its checksum may still be partial.
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

#define CSUM_BLOCK 64
#define CSUM_BLOCKS_MAX 20 /* of what is summed by csum_bytes */

/* Sum of the bytes of a packet from at to its end. bpf_csum_diff takes multiples of four only, and not many at once on older kernels. */
static __always_inline __u32 csum_bytes(const __u8 *at, const __u8 *end, __u32 sum)
{
	__u8 last[4] = {};
	int i;

	for (i = 0; i < CSUM_BLOCKS_MAX && at + CSUM_BLOCK <= end; i++, at += CSUM_BLOCK)
		sum = bpf_csum_diff(NULL, 0, at, CSUM_BLOCK, sum);
	for (i = 0; i < CSUM_BLOCK / 4 && at + 4 <= end; i++, at += 4)
		sum = bpf_csum_diff(NULL, 0, at, 4, sum);
	for (i = 0; i < 3 && at + 1 <= end; i++, at++)
		last[i] = *at;
	return bpf_csum_diff(NULL, 0, last, sizeof(last), sum);
}

/* CHECKSUM_*: what the kernel knows of the transport checksum. */
static __always_inline __u32 packet_ip_summed(struct __sk_buff *ctx)
{
	const struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);
	const void *at = (const void *)skb + __builtin_preserve_field_info(skb->ip_summed, FIELD_BYTE_OFFSET);
	__u64 bits = 0;

	switch (__builtin_preserve_field_info(skb->ip_summed, FIELD_BYTE_SIZE)) {
	case 1:
		bits = *(const __u8 *)at;
		break;
	case 2:
		bits = *(const __u16 *)at;
		break;
	case 4:
		bits = *(const __u32 *)at;
		break;
	}
	bits <<= __builtin_preserve_field_info(skb->ip_summed, FIELD_LSHIFT_U64);
	return bits >> __builtin_preserve_field_info(skb->ip_summed, FIELD_RSHIFT_U64);
}

/*
 * Corrects a transport checksum where it stands. A partial one is the sum of the pseudo-header, which knows no ports, and is not
 * inverted yet. A UDP checksum of zero (none, RFC 768) stays zero, and none becomes zero by our doing.
 */
static __always_inline void csum_l4_apply(const struct packet *pkt, __sum16 *check, bool partial, __u32 addr_diff,
					  __u32 port_diff)
{
	bool udp = pkt->key.proto == IPPROTO_UDP;
	__sum16 sum = *check;

	if (udp && !sum)
		return;
	/* ICMP for IPv4 has no pseudo-header. */
	if (pkt->key.proto == IPPROTO_ICMP)
		addr_diff = 0;
	if (partial)
		sum = csum_fold((__u32)sum + addr_diff);
	else
		sum = csum_apply(sum, addr_diff + port_diff);
	*check = udp && !sum ? 0xffff : sum;
}

/* Who does not know takes the case that needs most. */
static __always_inline __u32 packet_summed(struct __sk_buff *ctx)
{
	return direct_checksums ? packet_ip_summed(ctx) : CHECKSUM_COMPLETE;
}

/* The same by the kernel's helper, which knows. Where a device has summed up the whole packet, the helper takes it for IPv4. */
static __always_inline int csum_l4_replace(struct __sk_buff *ctx, const struct packet *pkt, __u32 off, __u32 addr_diff,
					   __u32 port_diff)
{
	__u32 flags = pkt->key.proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;

	off += pkt->l4;
	if (addr_diff && pkt->key.proto != IPPROTO_ICMP && bpf_l4_csum_replace(ctx, off, 0, addr_diff, flags | BPF_F_PSEUDO_HDR))
		return -DROP_REWRITE;
	if (port_diff && bpf_l4_csum_replace(ctx, off, 0, port_diff, flags))
		return -DROP_REWRITE;
	return 0;
}

/* summed: packet_summed(). */
static __always_inline int csum_l4_update(struct __sk_buff *ctx, const struct packet *pkt, __u32 summed, __u32 addr_diff,
					  __u32 port_diff)
{
	__u32 off = pkt->later ? 0 : csum_offset(pkt);
	__u8 *l4;

	if (!off)
		return 0;
	if (summed == CHECKSUM_COMPLETE)
		return csum_l4_replace(ctx, pkt, off, addr_diff, port_diff);
	l4 = packet_at(ctx, pkt->l4, off == 16 ? 18 : 8);
	if (!l4)
		return -DROP_REWRITE;
	csum_l4_apply(pkt, (__sum16 *)(l4 + off), summed == CHECKSUM_PARTIAL, addr_diff, port_diff);
	return 0;
}

/*
 * What a device has summed up over the whole packet (CHECKSUM_COMPLETE) is what the receiver judges it by. In IPv4 each change is made up for
 * by the header's own checksum, and by the helper above. The header of IPv6 has none.
 */
static __always_inline void csum_whole_update6(struct __sk_buff *ctx, __u32 addr_diff, __be16 hops_before, __be16 hops_after)
{
	bpf_csum_update(ctx, addr_diff + csum_diff16(hops_before, hops_after));
}
