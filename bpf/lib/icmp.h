/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP errors belong to the flow of the packet they quote (RFC 5508 section 4): the quoted packet is the one that was translated on
 * its way out, so both it and the outer header are translated back. An error of the host's own about what it was to bring into a
 * container is translated on its way out by an uplink. They refresh and end nothing (RFC 4787 REQ-12).
 */
#pragma once

#include "classify.h"

struct quote {
	struct flow_key key; /* of the quoted packet, as it is on the wire */
	__u32 l3, l4;	     /* offsets, bytes */
	__u32 csum;	     /* offset of the transport checksum; 0: not quoted, or none to correct */
	__sum16 check;	     /* the IPv4 header's checksum, as quoted */
	__sum16 l4_check;
};

static __always_inline bool quote_parse_l4(struct __sk_buff *ctx, const struct packet *pkt, struct quote *q)
{
	__u8 *l4 = packet_at(ctx, q->l4, 8), *check;
	bool v6 = pkt->v6;
	__u8 request = v6 ? ICMPV6_ECHO_REQUEST : ICMP_ECHO, reply = v6 ? ICMPV6_ECHO_REPLY : ICMP_ECHOREPLY;

	/* RFC 792: the first eight bytes are all that can be counted on. */
	if (!l4 || q->l4 + 8 > pkt->end)
		return false;
	switch (q->key.proto) {
	case IPPROTO_TCP:
		q->key.sport = *(__be16 *)l4;
		q->key.dport = *(__be16 *)(l4 + 2);
		check = q->l4 + 18 <= pkt->end ? packet_at(ctx, q->l4, 18) : NULL;
		if (check) {
			q->csum = q->l4 + 16;
			q->l4_check = *(__sum16 *)(check + 16);
		}
		return true;
	case IPPROTO_UDP:
		q->key.sport = *(__be16 *)l4;
		q->key.dport = *(__be16 *)(l4 + 2);
		q->l4_check = *(__sum16 *)(l4 + 6);
		if (q->l4_check || v6)
			q->csum = q->l4 + 6;
		return true;
	case IPPROTO_SCTP:
		/* Its ports stay, and its checksum covers no address. */
		q->key.sport = *(__be16 *)l4;
		q->key.dport = *(__be16 *)(l4 + 2);
		return true;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (l4[0] == request)
			q->key.sport = *(__be16 *)(l4 + 4);
		else if (l4[0] == reply)
			q->key.dport = *(__be16 *)(l4 + 4);
		else
			return false;
		q->l4_check = *(__sum16 *)(l4 + 2);
		q->csum = q->l4 + 2;
		return true;
	}
	return false;
}

static __always_inline bool quote_parse(struct __sk_buff *ctx, const struct packet *pkt, struct quote *q)
{
	__builtin_memset(q, 0, sizeof(*q));
	q->l3 = pkt->l4 + 8;
	if (pkt->v6) {
		struct ipv6hdr *ip = packet_at(ctx, q->l3, sizeof(*ip));

		if (!ip || ip->version != 6)
			return false;
		addr_set6(&q->key.src, ip->saddr);
		addr_set6(&q->key.dst, ip->daddr);
		q->key.proto = ip->nexthdr;
		q->l4 = q->l3 + sizeof(*ip);
		if (q->key.proto == IPPROTO_HOPOPTS || q->key.proto == IPPROTO_DSTOPTS) {
			__u8 *ext = packet_at(ctx, q->l4, 8);

			if (!ext)
				return false;
			q->key.proto = ext[0];
			q->l4 += 8 + ext[1] * 8;
		}
	} else {
		struct iphdr *ip = packet_at(ctx, q->l3, sizeof(*ip));

		if (!ip || ip->version != 4 || ip->ihl < 5 || ip->frag_off & bpf_htons(0x1fff))
			return false;
		addr_set4(&q->key.src, ip->saddr);
		addr_set4(&q->key.dst, ip->daddr);
		q->key.proto = ip->protocol;
		q->check = ip->check;
		q->l4 = q->l3 + ip->ihl * 4;
	}
	return quote_parse_l4(ctx, pkt, q);
}

/* Translates the quoted packet back to what its sender sent. Returns the difference of all its bytes.
 * verifier: a call of its own, since 6.1 walks three times as far through the inlined one. */
static __noinline int quote_rewrite(struct __sk_buff *ctx, const struct packet *pkt, const struct quote *q,
				    const struct rewrite *to, __u32 *diff)
{
	__sum16 check = csum_apply(q->check, to->addr_diff), l4_check;
	__u32 l4_diff = to->port_diff;
	__u8 *l4;

	if (q->key.proto != IPPROTO_ICMP)
		l4_diff += to->addr_diff;
	*diff = to->addr_diff + to->port_diff;
	if (!pkt->v6)
		*diff += csum_diff16(q->check, check);
	l4_check = csum_apply(q->l4_check, l4_diff);
	if (q->key.proto == IPPROTO_UDP && !l4_check)
		l4_check = 0xffff;
	if (q->csum) {
		__sum16 *at = packet_at(ctx, q->csum, 2);

		if (!at)
			return -DROP_REWRITE;
		*at = l4_check;
		*diff += csum_diff16(q->l4_check, l4_check);
	}
	l4 = packet_at(ctx, q->l4, 8);
	if (!l4)
		return -DROP_REWRITE;
	if (q->key.proto != IPPROTO_ICMP && q->key.proto != IPPROTO_ICMPV6) {
		*(__be16 *)l4 = to->dport;
		*(__be16 *)(l4 + 2) = to->sport;
	} else {
		*(__be16 *)(l4 + 4) = to->dport | to->sport;
	}
	if (pkt->v6) {
		struct ipv6hdr *ip = packet_at(ctx, q->l3, sizeof(*ip));

		if (!ip)
			return -DROP_REWRITE;
		__builtin_memcpy(ip->saddr, to->dst.b, 16);
		__builtin_memcpy(ip->daddr, to->src.b, 16);
	} else {
		struct iphdr *ip = packet_at(ctx, q->l3, sizeof(*ip));

		if (!ip)
			return -DROP_REWRITE;
		ip->saddr = addr_words(&to->dst)[3];
		ip->daddr = addr_words(&to->src)[3];
		ip->check = check;
	}
	return 0;
}

/* The outer packet: to whoever sent the quoted one; from the flow's other end, or from the router that it comes from. to: what has become of
 * it. */
static __always_inline int icmp_error_rewrite(struct __sk_buff *ctx, struct packet *pkt, const struct quote *q,
					      const struct flow_key *key, const struct flow_value *flow, struct rewrite *to,
					      enum flow_action action)
{
	__u32 diff;
	int ret;

	rewrite_of(key, flow, pkt->v6, to);
	ret = quote_rewrite(ctx, pkt, q, to, &diff);
	if (ret)
		return ret;
	if (bpf_l4_csum_replace(ctx, pkt->l4 + 2, 0, csum_fold(diff), 0))
		return -DROP_REWRITE;
	if (!addr_equal(&pkt->key.src, &q->key.dst))
		to->src = pkt->key.src;
	to->addr_diff = csum_diff_addrs(&pkt->key, &to->src, &to->dst);
	to->port_diff = 0;
	to->ports = false;
	return packet_rewrite(ctx, pkt, to, action != FLOW_TO_STACK);
}

/* Does the address mean anything on this host only: a container's, or a network's gateway? */
static __always_inline bool address_is_private(const struct addr *a)
{
	struct address_value *value = address_find(a);
	struct network_value *network;
	__u32 id;

	if (!value || !value->network)
		return false;
	id = value->network;
	network = bpf_map_lookup_elem(&networks, &id);
	return !network || network->flags & (addr_is4(a) ? NETWORK_MASQUERADE4 : NETWORK_MASQUERADE6);
}

static __always_inline int icmp_error_translate(struct __sk_buff *ctx)
{
	bool from_container = ctx->cb[0] == HOOK_FROM_CONTAINER, from_host = ctx->cb[0] == HOOK_TO_UPLINK;
	struct flow_draft *draft = flow_draft_get();
	struct flow_value *flow = NULL;
	__u32 ifindex = ctx->ifindex;
	struct veth_value *veth;
	enum flow_action action;
	struct flow_key *key;
	struct rewrite *to;
	struct packet pkt;
	struct quote q;
	struct hop hop = {};
	int ret;

	ret = packet_parse(ctx, &pkt, ctx->cb[1] ? ETH_HLEN : 0);
	if (ret || !draft)
		return ret < 0 ? ret : PASS;
	key = &draft->key;
	to = &draft->error;
	/* verifier: keeps it from walking on with packets of every other kind. */
	if (!(pkt.flags & PACKET_ICMP_ERROR))
		return -DROP_MALFORMED;
	if (quote_parse(ctx, &pkt, &q)) {
		flow_key_reverse(key, &q.key);
		flow = flow_find(key, pkt.v6);
	}
	if (!flow || (!from_host && flow->iif != (from_container ? ifindex : 0))) {
		if (from_container)
			return tail(ctx, CALL_NO_FLOW, HOOK_FROM_CONTAINER, pkt.l3);
		return from_host && address_is_private(&pkt.key.src) ? -DROP_LEAK : PASS;
	}
	action = from_host ? FLOW_TO_STACK : flow->action;
	if (from_host) {
		ret = icmp_error_rewrite(ctx, &pkt, &q, key, flow, to, action);
		return !ret && address_is_private(&to->src) ? -DROP_LEAK : ret;
	}
	if (pkt.ttl <= 1)
		return -DROP_TTL;
	if (from_container) {
		veth = bpf_map_lookup_elem(&veths, &ifindex);
		if (!veth)
			return -DROP_UNKNOWN_ENDPOINT;
		ret = antispoof_ip(&pkt, veth);
		if (ret)
			return ret;
		if (action == FLOW_TO_UPLINK && !way_get(flow->way)) {
			ret = flow_reroute(ctx, &pkt, key, flow, veth->bridge, draft);
			if (ret)
				return ret < 0 ? ret : -DROP_NO_FLOW;
		}
	}
	ret = icmp_error_rewrite(ctx, &pkt, &q, key, flow, to, action);
	if (!ret)
		ret = flow_hop(flow, pkt.v6, action, clock_seconds(), &hop);
	if (ret)
		return ret < 0 ? ret : -DROP_NO_FLOW;
	return hop_deliver(ctx, &pkt, action, &hop);
}
