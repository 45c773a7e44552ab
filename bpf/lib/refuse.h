/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A container that gets no port, room or quota is told so: ICMP 3/13 or ICMPv6 1/1, communication administratively prohibited (RFC 5508
 * REQ-8, RFC 6888 REQ-11), a few in a second, and the daemon once in a second. The packet itself becomes the answer.
 */
#pragma once

#include "forward.h"

#define REFUSALS_TOLD 10 /* in a second, of one container */
#define ICMP_PROHIBITED 13
#define ICMPV6_PROHIBITED 1
#define ICMP_HLEN 8

/* Quotes as far as the checksum that the kernel may still have to fill in: TCP's whole header, else eight bytes (RFC 792). */
static __always_inline __u32 refuse_quote_len(const struct packet *pkt)
{
	return pkt->l4 - pkt->l3 + (pkt->key.proto == IPPROTO_TCP ? 20 : 8);
}

static __always_inline void refuse_write_ipv4(struct iphdr *ip, const struct packet *pkt, const struct addr *from, __u32 len)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = 0xc0; /* internetwork control, as the stack's own errors */
	ip->tot_len = bpf_htons((__u16)len);
	ip->ttl = 64;
	ip->protocol = IPPROTO_ICMP;
	ip->saddr = addr_words(from)[3];
	ip->daddr = addr_words(&pkt->key.src)[3];
	ip->check = ~csum_fold(bpf_csum_diff(NULL, 0, ip, sizeof(*ip), 0));
}

static __always_inline void refuse_write_ipv6(struct ipv6hdr *ip, const struct packet *pkt, const struct addr *from, __u32 len)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 6;
	ip->payload_len = bpf_htons((__u16)(len - sizeof(*ip)));
	ip->nexthdr = IPPROTO_ICMPV6;
	ip->hop_limit = 64;
	__builtin_memcpy(ip->saddr, from->b, 16);
	__builtin_memcpy(ip->daddr, pkt->key.src.b, 16);
}

/* icmp: header and quote, len bytes, all but the checksum. */
static __always_inline void refuse_write_icmp(__u8 *icmp, bool v6, __u32 seed, __u32 len)
{
	__builtin_memset(icmp, 0, ICMP_HLEN);
	icmp[0] = v6 ? ICMPV6_DEST_UNREACH : ICMP_DEST_UNREACH;
	icmp[1] = v6 ? ICMPV6_PROHIBITED : ICMP_PROHIBITED;
	*(__sum16 *)(icmp + 2) = ~csum_fold(bpf_csum_diff(NULL, 0, icmp, len, seed));
}

/* quote: a compile-time constant, so that the verifier knows what is summed. */
static __always_inline int refuse_write(struct __sk_buff *ctx, const struct packet *pkt, const struct addr *from, __u32 quote)
{
	__u32 hlen = pkt->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr), seed = 0;
	__u8 *ip = packet_at(ctx, ETH_HLEN, sizeof(struct ipv6hdr) + ICMP_HLEN), *icmp;

	if (!ip)
		return -DROP_REWRITE;
	if (pkt->v6) {
		__be32 pseudo[2] = { bpf_htonl(ICMP_HLEN + quote), bpf_htonl(IPPROTO_ICMPV6) };

		refuse_write_ipv6((struct ipv6hdr *)ip, pkt, from, hlen + ICMP_HLEN + quote);
		seed = bpf_csum_diff(NULL, 0, pseudo, sizeof(pseudo), 0);
		seed = bpf_csum_diff(NULL, 0, from->b, 16, seed);
		seed = bpf_csum_diff(NULL, 0, pkt->key.src.b, 16, seed);
	} else {
		refuse_write_ipv4((struct iphdr *)ip, pkt, from, hlen + ICMP_HLEN + quote);
	}
	icmp = packet_at(ctx, ETH_HLEN + hlen, ICMP_HLEN + quote);
	if (!icmp)
		return -DROP_REWRITE;
	refuse_write_icmp(icmp, pkt->v6, seed, ICMP_HLEN + quote);
	return 0;
}

static __always_inline int refuse_build(struct __sk_buff *ctx, const struct packet *pkt, const struct addr *from)
{
	__u32 quote = refuse_quote_len(pkt), hlen = pkt->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	bool tcp = pkt->key.proto == IPPROTO_TCP;

	/* With options or extension headers the container has to find out by itself. */
	if (pkt->l4 - pkt->l3 != hlen || pkt->l3 != ETH_HLEN)
		return -DROP_REWRITE;
	if (bpf_skb_change_tail(ctx, ETH_HLEN + quote, 0) ||
	    bpf_skb_adjust_room(ctx, (__s32)(hlen + ICMP_HLEN), BPF_ADJ_ROOM_MAC, 0))
		return -DROP_REWRITE;
	if (pkt->v6)
		return tcp ? refuse_write(ctx, pkt, from, 60) : refuse_write(ctx, pkt, from, 48);
	return tcp ? refuse_write(ctx, pkt, from, 40) : refuse_write(ctx, pkt, from, 28);
}

/* reason: -DROP_*. Returns it, or what sends the answer back into the container. */
static __always_inline int refuse(struct __sk_buff *ctx, const struct packet *pkt, const struct veth_value *veth, int reason)
{
	struct event event = { .key = pkt->key, .reason = -reason, .ifindex = ctx->ifindex, .network = veth->network };
	struct quota_value *quota = quota_get(veth->slot);
	__u32 id = veth->network;
	struct network_value *network = bpf_map_lookup_elem(&networks, &id);
	const struct addr *from;
	struct ethhdr *eth;

	if ((reason != -DROP_QUOTA && reason != -DROP_NO_PORT && reason != -DROP_TABLE_FULL) || !quota || !network)
		return reason;
	quota_tick(quota);
	__sync_fetch_and_add(&quota->refused, 1);
	if (!quota->told) {
		event.second = quota->second;
		event.refused = quota->refused;
		bpf_ringbuf_output(&events, &event, sizeof(event), 0);
	}
	from = pkt->v6 ? &network->gateway6 : &network->gateway4;
	if (quota->told >= REFUSALS_TOLD || addr_is_zero(from) || pkt->flags)
		return reason;
	quota->told++;
	drop_count(ctx, HOOK_FROM_CONTAINER, -reason);
	if (refuse_build(ctx, pkt, from))
		return -DROP_REWRITE;
	eth = packet_at(ctx, 0, sizeof(*eth));
	if (!eth)
		return -DROP_REWRITE;
	mac_copy(eth->h_dest, veth->mac);
	mac_copy(eth->h_source, veth->bridge_mac);
	return deliver_to_peer(ctx, ctx->ifindex);
}
