/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Answering with an ICMP error, where the stack cannot: it does not know of the translation, and need not forward. The packet itself
 * becomes the answer.
 */
#pragma once

#include "forward.h"

/* What an answer says. */
struct answer {
	__u8 type, code;
	__u32 info; /* second word: the MTU, or 0 */
};

#define ANSWERS_MAX 100 /* in a second, of one CPU */

/* Written and read: vw_answer. Life: always. Value: how many answers in which second. */
struct answers_value {
	__u32 second, told;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct answers_value);
} answers SEC(".maps");

#define ICMP_HLEN 8

/* Quotes as far as the checksum that the kernel may still have to fill in: TCP's whole header, else eight bytes (RFC 792). */
static __always_inline __u32 answer_quote_len(const struct packet *pkt)
{
	return pkt->l4 - pkt->l3 + (pkt->key.proto == IPPROTO_TCP ? 20 : 8);
}

static __always_inline void answer_write_ipv4(struct iphdr *ip, const struct packet *pkt, const struct addr *from, __u32 len)
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

static __always_inline void answer_write_ipv6(struct ipv6hdr *ip, const struct packet *pkt, const struct addr *from, __u32 len)
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
static __always_inline void answer_write_icmp(__u8 *icmp, const struct answer *answer, __u32 seed, __u32 len)
{
	icmp[0] = answer->type;
	icmp[1] = answer->code;
	*(__sum16 *)(icmp + 2) = 0;
	*(__be32 *)(icmp + 4) = bpf_htonl(answer->info);
	*(__sum16 *)(icmp + 2) = ~csum_fold(bpf_csum_diff(NULL, 0, icmp, len, seed));
}

/* quote: a compile-time constant, so that the verifier knows what is summed. */
static __always_inline int answer_write(struct __sk_buff *ctx, const struct packet *pkt, const struct addr *from,
					const struct answer *answer, __u32 quote)
{
	__u32 hlen = pkt->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr), seed = 0;
	__u8 *ip = packet_at(ctx, pkt->l3, sizeof(struct ipv6hdr) + ICMP_HLEN), *icmp;

	if (!ip)
		return -DROP_REWRITE;
	if (pkt->v6) {
		__be32 pseudo[2] = { bpf_htonl(ICMP_HLEN + quote), bpf_htonl(IPPROTO_ICMPV6) };

		answer_write_ipv6((struct ipv6hdr *)ip, pkt, from, hlen + ICMP_HLEN + quote);
		seed = bpf_csum_diff(NULL, 0, pseudo, sizeof(pseudo), 0);
		seed = bpf_csum_diff(NULL, 0, from->b, 16, seed);
		seed = bpf_csum_diff(NULL, 0, pkt->key.src.b, 16, seed);
	} else {
		answer_write_ipv4((struct iphdr *)ip, pkt, from, hlen + ICMP_HLEN + quote);
	}
	icmp = packet_at(ctx, pkt->l3 + hlen, ICMP_HLEN + quote);
	if (!icmp)
		return -DROP_REWRITE;
	answer_write_icmp(icmp, answer, seed, ICMP_HLEN + quote);
	return 0;
}

/* Makes the packet an ICMP error about itself, from that address to its sender. The link-layer header, if any, stays as it is. */
static __always_inline int answer_build(struct __sk_buff *ctx, const struct packet *pkt, const struct addr *from,
					const struct answer *answer)
{
	__u32 quote = answer_quote_len(pkt), hlen = pkt->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	bool tcp = pkt->key.proto == IPPROTO_TCP;

	/* With options or extension headers the sender has to find out by itself. */
	if (pkt->l4 - pkt->l3 != hlen)
		return -DROP_REWRITE;
	if (bpf_skb_change_tail(ctx, pkt->l3 + quote, 0) ||
	    bpf_skb_adjust_room(ctx, (__s32)(hlen + ICMP_HLEN), BPF_ADJ_ROOM_MAC, 0))
		return -DROP_REWRITE;
	if (pkt->v6)
		return tcp ? answer_write(ctx, pkt, from, answer, 60) : answer_write(ctx, pkt, from, answer, 48);
	return tcp ? answer_write(ctx, pkt, from, answer, 40) : answer_write(ctx, pkt, from, answer, 28);
}

static __always_inline bool answer_may(void)
{
	__u32 zero = 0, now = clock_seconds();
	struct answers_value *answered = bpf_map_lookup_elem(&answers, &zero);

	if (!answered)
		return false;
	if (answered->second != now) {
		answered->second = now;
		answered->told = 0;
	}
	return answered->told++ < ANSWERS_MAX;
}

/* By which address a container is answered: its gateway's. */
static __always_inline bool answer_from_gateway(struct __sk_buff *ctx, bool v6, struct addr *from)
{
	__u32 ifindex = ctx->ifindex, id;
	struct veth_value *veth = bpf_map_lookup_elem(&veths, &ifindex);
	struct network_value *network;

	if (!veth)
		return false;
	id = veth->network;
	network = bpf_map_lookup_elem(&networks, &id);
	if (!network)
		return false;
	*from = v6 ? network->gateway6 : network->gateway4;
	return !addr_is_zero(from);
}

static __always_inline int answer_send(struct __sk_buff *ctx, const struct packet *pkt, bool from_container)
{
	struct ethhdr *eth;
	__u8 mac[6];

	if (pkt->l3) {
		eth = packet_at(ctx, 0, sizeof(*eth));
		if (!eth)
			return -DROP_REWRITE;
		mac_copy(mac, eth->h_dest);
		mac_copy(eth->h_dest, eth->h_source);
		mac_copy(eth->h_source, mac);
	}
	return from_container ? deliver_to_peer(ctx, ctx->ifindex) : bpf_redirect(ctx->ifindex, 0);
}

/* cb[3]: the MTU that the packet exceeds; 0: its TTL ran out. */
static __always_inline int answer(struct __sk_buff *ctx)
{
	bool from_container = ctx->cb[0] == HOOK_FROM_CONTAINER;
	__u32 mtu = ctx->cb[3], reason = mtu ? DROP_TOO_BIG : DROP_TTL, len;
	struct answer says = {};
	struct packet pkt;
	struct addr from;

	if (packet_parse(ctx, &pkt, ctx->cb[1] ? ETH_HLEN : 0))
		return -DROP_MALFORMED;
	if (mtu) {
		says.type = pkt.v6 ? ICMPV6_PKT_TOOBIG : ICMP_DEST_UNREACH;
		says.code = pkt.v6 ? 0 : ICMP_FRAG_NEEDED;
		says.info = mtu;
	} else {
		says.type = pkt.v6 ? ICMPV6_TIME_EXCEED : ICMP_TIME_EXCEEDED;
	}
	from = pkt.key.dst;
	if (pkt.later || pkt.flags & ~PACKET_FRAGMENT || (from_container && !answer_from_gateway(ctx, pkt.v6, &from)) ||
	    !answer_may())
		return -reason;
	len = ctx->len;
	if (answer_build(ctx, &pkt, &from, &says))
		return -reason;
	drop_count(len, ctx->cb[0], reason);
	return answer_send(ctx, &pkt, from_container);
}
