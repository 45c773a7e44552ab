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

#define ANSWERS_MAX 100	  /* in a second, of one CPU, to one asker */
#define ANSWERS_ASKERS 64 /* whatever comes from uplinks is one; containers may share a place, which costs them but answers */

/* Written and read: vw_answer. Life: always. Value: how many answers in which second. */
struct answers_value {
	__u32 second, told;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ANSWERS_ASKERS);
	__type(key, __u32);
	__type(value, struct answers_value);
} answers SEC(".maps");

#define ICMP_HLEN 8
#define ICMP_PROHIBITED 13
#define ICMPV6_PROHIBITED 1
#define IPV6_MTU_MIN 1280

/* Cuts off all but the first bytes of the packet, and makes room in front of them for an IP header of hlen and an ICMP header. */
static __always_inline int answer_make_room(struct __sk_buff *ctx, const struct packet *pkt, __u32 quote, __u32 hlen)
{
	return bpf_skb_change_tail(ctx, pkt->l3 + quote, 0) ||
	       bpf_skb_adjust_room(ctx, (__s32)(hlen + ICMP_HLEN), BPF_ADJ_ROOM_MAC, 0);
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

/* All but the checksum. */
static __always_inline void answer_write_icmp(__u8 *icmp, const struct answer *says)
{
	icmp[0] = says->type;
	icmp[1] = says->code;
	*(__sum16 *)(icmp + 2) = 0;
	*(__be32 *)(icmp + 4) = bpf_htonl(says->info);
}

/* quote: a compile-time constant, so that the verifier knows what is summed. */
static __always_inline int answer_build4(struct __sk_buff *ctx, const struct packet *pkt, const struct addr *from,
					 const struct answer *says, __u32 quote)
{
	__u32 hlen = sizeof(struct iphdr);
	__u8 *ip, *icmp;

	/* With options the sender has to find out by itself. */
	if (pkt->l4 - pkt->l3 != hlen || answer_make_room(ctx, pkt, quote, hlen))
		return -DROP_REWRITE;
	ip = packet_at(ctx, pkt->l3, hlen + ICMP_HLEN + quote);
	if (!ip)
		return -DROP_REWRITE;
	answer_write_ipv4((struct iphdr *)ip, pkt, from, hlen + ICMP_HLEN + quote);
	icmp = ip + hlen;
	answer_write_icmp(icmp, says);
	*(__sum16 *)(icmp + 2) = ~csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)icmp, ICMP_HLEN + quote, 0));
	return 0;
}

/* As much of the packet as fits into the least MTU (RFC 4443 section 2.4 (c)), which is all that anybody may look for in it. */
static __always_inline int answer_build6(struct __sk_buff *ctx, const struct packet *pkt, const struct addr *from,
					 const struct answer *says)
{
	__u32 hlen = sizeof(struct ipv6hdr), quote = IPV6_MTU_MIN - hlen - ICMP_HLEN, len = pkt->end - pkt->l3;
	__be32 pseudo[2] = { 0, bpf_htonl(IPPROTO_ICMPV6) };
	__u8 *ip, *icmp;
	__u32 sum;

	if (quote > len)
		quote = len;
	len = ICMP_HLEN + quote;
	if (answer_make_room(ctx, pkt, quote, hlen) || bpf_skb_pull_data(ctx, pkt->l3 + hlen + len))
		return -DROP_REWRITE;
	ip = packet_at(ctx, pkt->l3, hlen + ICMP_HLEN);
	if (!ip)
		return -DROP_REWRITE;
	icmp = ip + hlen;
	answer_write_ipv6((struct ipv6hdr *)ip, pkt, from, hlen + len);
	answer_write_icmp(icmp, says);
	pseudo[0] = bpf_htonl(len);
	sum = bpf_csum_diff(NULL, 0, pseudo, sizeof(pseudo), 0);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)from->b, 16, sum);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)pkt->key.src.b, 16, sum);
	*(__sum16 *)(icmp + 2) = ~csum_fold(csum_bytes(icmp, packet_linear_end(ctx), sum));
	return 0;
}

/*
 * Makes the packet an ICMP error about itself, from that address to its sender. The link-layer header, if any, stays as it is. IPv4 quotes as
 * far as the checksum that the kernel may still have to fill in: TCP's whole header, else eight bytes (RFC 792).
 */
static __always_inline int answer_build(struct __sk_buff *ctx, const struct packet *pkt, const struct addr *from,
					const struct answer *says)
{
	if (pkt->v6)
		return answer_build6(ctx, pkt, from, says);
	if (pkt->key.proto == IPPROTO_TCP)
		return answer_build4(ctx, pkt, from, says, 40);
	return answer_build4(ctx, pkt, from, says, 28);
}

/* Who asks too often is told nothing, so that it is not at the cost of others. */
static __always_inline bool answer_may(struct __sk_buff *ctx, bool from_container)
{
	__u32 asker = from_container ? 1 + ctx->ifindex % (ANSWERS_ASKERS - 1) : 0, now = clock_seconds();
	struct answers_value *answered = bpf_map_lookup_elem(&answers, &asker);

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

/* IPv4: not about what has no ports of its own. IPv6: about all but errors, later fragments included (RFC 4443 section 2.4 (e)). */
static __always_inline bool answer_fits(const struct packet *pkt)
{
	return pkt->v6 ? !(pkt->flags & PACKET_ICMP_ERROR) : !pkt->later && !(pkt->flags & ~PACKET_FRAGMENT);
}

static __always_inline void answer_choose(struct answer *says, bool v6, enum drop_reason reason, __u32 mtu)
{
	says->code = says->info = 0;
	switch (reason) {
	case DROP_TTL:
		says->type = v6 ? ICMPV6_TIME_EXCEED : ICMP_TIME_EXCEEDED;
		break;
	case DROP_TOO_BIG:
		says->type = v6 ? ICMPV6_PKT_TOOBIG : ICMP_DEST_UNREACH;
		says->code = v6 ? 0 : ICMP_FRAG_NEEDED;
		says->info = mtu;
		break;
	default:
		says->type = v6 ? ICMPV6_DEST_UNREACH : ICMP_DEST_UNREACH;
		says->code = v6 ? ICMPV6_PROHIBITED : ICMP_PROHIBITED;
	}
}

/* cb[2]: why the packet is dropped. cb[3]: the MTU that it exceeds, if that is why. */
static __always_inline int answer(struct __sk_buff *ctx)
{
	bool from_container = ctx->cb[0] == HOOK_FROM_CONTAINER;
	__u32 reason = ctx->cb[2], len;
	struct answer says;
	struct packet pkt;
	struct addr from;

	if (packet_parse(ctx, &pkt, ctx->cb[1] ? ETH_HLEN : 0))
		return -DROP_MALFORMED;
	answer_choose(&says, pkt.v6, reason, ctx->cb[3]);
	from = pkt.key.dst;
	if (!answer_fits(&pkt) || (from_container && !answer_from_gateway(ctx, pkt.v6, &from)) ||
	    !answer_may(ctx, from_container))
		return -reason;
	len = ctx->len;
	if (answer_build(ctx, &pkt, &from, &says))
		return -reason;
	drop_count(len, ctx->cb[0], reason);
	return answer_send(ctx, &pkt, from_container);
}
