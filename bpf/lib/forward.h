/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a flow entry to a packet on its way: check, rewrite, deliver. Once a byte has been rewritten, a failure is a drop. */
#pragma once

#include "calls.h"
#include "route.h"
#include "verdict.h"

#define FORWARD_REROUTE 1 /* the next hop must be looked up first; nothing has been changed */

struct eth_addrs {
	__u8 dmac[6], smac[6];
};

/* Into the container behind the veth whose host end is oif: its stack gets the packet in this softirq. */
static __always_inline int deliver_to_peer(struct __sk_buff *ctx, __u32 oif)
{
	/* The mark means something in the host only. */
	ctx->mark = 0;
	/* The frame was addressed to another host end (before 6.15 redirect_peer leaves the type as it is). */
	if (ctx->pkt_type != PACKET_HOST)
		bpf_skb_change_type(ctx, PACKET_HOST);
	return bpf_redirect_peer(oif, 0);
}

/*
 * What is redirected to an uplink passes vw_to_uplink like all that leaves. The mark, which only programs can set, tells it that there is
 * nothing to translate; and, where the next hop's MAC address is wanted, to note the one that the kernel has put on the packet.
 */
#define MARK_TRANSLATED 0x7677
#define MARK_LEARN 0x7678

/* A mark from elsewhere, another host in a namespace of this kernel, says nothing. */
static __always_inline void mark_clear(struct __sk_buff *ctx)
{
	if (ctx->tc_index)
		ctx->tc_index = 0;
}

static __always_inline int deliver_to_uplink(struct __sk_buff *ctx, const struct flow_value *flow)
{
	struct bpf_redir_neigh next = {};

	if (addr_is4(&flow->next_hop)) {
		next.nh_family = AF_INET;
		next.ipv4_nh = addr_words(&flow->next_hop)[3];
	} else {
		next.nh_family = AF_INET6;
		__builtin_memcpy(next.ipv6_nh, flow->next_hop.b, 16);
	}
	ctx->tc_index = MARK_LEARN;
	/* SNAT is done: should the neighbour be unresolved, what waits in its queue is already rewritten. */
	return bpf_redirect_neigh(flow->oif, &next, sizeof(next), 0);
}

/*
 * The kernel's neighbour table knows the next hop's MAC address, and asking it costs as much as all the rest. So it is asked once a second, by
 * sending a packet its way, which also keeps its entry alive; for the rest of that second the answer holds, daemon or no daemon.
 */
static __always_inline bool next_hop_is_known(const struct flow_value *flow)
{
	return flow->next_hop_seen == clock_seconds();
}

static __always_inline void next_hop_learn(struct __sk_buff *ctx, const struct packet *pkt)
{
	struct ethhdr *eth = packet_at(ctx, 0, sizeof(*eth));
	struct flow_value *flow, *reply;
	struct flow_key key, reply_key;

	flow_key_reverse(&reply_key, &pkt->key);
	reply = bpf_map_lookup_elem(&flows, &reply_key);
	if (!eth || !reply)
		return;
	flow_key_of_pair(&key, &reply_key, reply);
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow || flow->action != FLOW_TO_UPLINK || flow->oif != ctx->ifindex)
		return;
	if (!mac_equal(flow->dmac, eth->h_dest) || !mac_equal(flow->smac, eth->h_source)) {
		/* Another CPU must not take half of each. */
		WRITE_ONCE(flow->next_hop_seen, 0);
		mac_copy(flow->dmac, eth->h_dest);
		mac_copy(flow->smac, eth->h_source);
	}
	WRITE_ONCE(flow->next_hop_seen, clock_seconds());
}

static __always_inline int rewrite_ipv4(struct iphdr *ip, const struct flow_value *flow, __u32 ttl_step)
{
	__u32 diff = flow->addr_diff;

	if (ttl_step) {
		__be16 old = *(__be16 *)&ip->ttl;

		ip->ttl--;
		diff += csum_diff16(old, *(__be16 *)&ip->ttl);
	}
	ip->saddr = addr_words(&flow->n_src)[3];
	ip->daddr = addr_words(&flow->n_dst)[3];
	ip->check = csum_apply(ip->check, diff);
	return 0;
}

/* Rewrites addresses, ports, TTL (by ttl_step) and, with eth, both MAC addresses. */
static __always_inline int packet_rewrite(struct __sk_buff *ctx, const struct packet *pkt, const struct flow_value *flow,
					  __u32 ttl_step, bool eth)
{
	__u32 summed = packet_summed(ctx);
	void *start;
	__u8 *l4;

	if (csum_l4_update(ctx, pkt, summed, flow->addr_diff, flow->port_diff))
		return -DROP_REWRITE;
	start = packet_at(ctx, pkt->l3, sizeof(struct iphdr));
	if (!start)
		return -DROP_REWRITE;
	if (pkt->v6) {
		struct ipv6hdr *ip = packet_at(ctx, pkt->l3, sizeof(*ip));
		__be16 hops;

		if (!ip)
			return -DROP_REWRITE;
		hops = *(__be16 *)&ip->nexthdr;
		ip->hop_limit -= ttl_step;
		if (summed == CHECKSUM_COMPLETE)
			csum_whole_update6(ctx, flow->addr_diff, hops, *(__be16 *)&ip->nexthdr);
		__builtin_memcpy(ip->saddr, flow->n_src.b, 16);
		__builtin_memcpy(ip->daddr, flow->n_dst.b, 16);
	} else {
		rewrite_ipv4(start, flow, ttl_step);
	}
	if (flow->flags & FLOW_PORTS && !pkt->later) {
		l4 = packet_at(ctx, pkt->l4, 8);
		if (!l4)
			return -DROP_REWRITE;
		if (pkt->key.proto == IPPROTO_TCP || pkt->key.proto == IPPROTO_UDP) {
			*(__be16 *)l4 = flow->n_sport;
			*(__be16 *)(l4 + 2) = flow->n_dport;
		} else {
			/* The side of the key that is not the identifier is 0 on both. */
			*(__be16 *)(l4 + 4) = flow->n_sport | flow->n_dport;
		}
	}
	if (eth) {
		struct ethhdr *h = packet_at(ctx, 0, sizeof(*h));

		if (!h)
			return -DROP_REWRITE;
		mac_copy(h->h_dest, flow->dmac);
		mac_copy(h->h_source, flow->smac);
	}
	return 0;
}

/* A packet from a device without link-layer header gets one before it enters a veth. NULL: no room. */
static __always_inline struct ethhdr *packet_push_eth(struct __sk_buff *ctx, const struct packet *pkt)
{
	struct ethhdr *h;

	if (bpf_skb_change_head(ctx, ETH_HLEN, 0))
		return NULL;
	h = packet_at(ctx, 0, sizeof(*h));
	if (h)
		h->h_proto = pkt->v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	return h;
}

static __always_inline int packet_add_eth(struct __sk_buff *ctx, const struct packet *pkt, const struct flow_value *flow)
{
	struct ethhdr *h = packet_push_eth(ctx, pkt);

	if (!h)
		return -DROP_REWRITE;
	mac_copy(h->h_dest, flow->dmac);
	mac_copy(h->h_source, flow->smac);
	return 0;
}

/* Hop limit used up, else too big. */
static __always_inline int packet_answer(struct __sk_buff *ctx, const struct packet *pkt, enum hook hook, __u32 mtu)
{
	return tail_answer(ctx, hook, pkt->l3, pkt->ttl > 1 ? DROP_TOO_BIG : DROP_TTL, mtu);
}

/*
 * TTL ran out, or the next link is too narrow. What goes out by IPv4 is refused by the stack, which sees it as the container made it, or cuts
 * it up. By IPv6 nothing is cut up, and before Linux 6.17 the stack refuses aloud only what arrives at a host that forwards on all interfaces.
 * What comes in, and hairpins, the stack would not know how to quote. That is answered here, unless it may be cut up.
 */
static __always_inline int forward_refuse(struct __sk_buff *ctx, const struct packet *pkt, const struct flow_value *flow,
					  bool from_container)
{
	enum hook hook = from_container ? HOOK_FROM_CONTAINER : HOOK_FROM_UPLINK;

	if (from_container && flow->action == FLOW_TO_UPLINK && !pkt->v6)
		return PASS;
	if (pkt->ttl <= 1 || !pkt->may_fragment)
		return packet_answer(ctx, pkt, hook, flow->mtu);
	ctx->cb[3] = flow->mtu;
	/* Later fragments have no ports of their own. */
	ctx->cb[4] = (__u32)pkt->key.sport << 16 | pkt->key.dport;
	return tail(ctx, CALL_CUT, hook, pkt->l3);
}

/* The container behind this entry has sent: from now on the other side may, too. */
static __always_inline void flow_open(const struct packet *pkt, struct flow_value *flow)
{
	struct flow_value *pair;
	struct flow_key key;

	flow->flags &= ~FLOW_OPENS;
	flow_key_of_pair(&key, &pkt->key, flow);
	pair = bpf_map_lookup_elem(&flows, &key);
	if (pair && pair->action == FLOW_HELD)
		pair->action = FLOW_TO_PEER;
}

/* Sends a packet of a live flow on its way. */
static __always_inline int flow_forward(struct __sk_buff *ctx, const struct packet *pkt, struct flow_value *flow,
					bool from_container)
{
	enum flow_action action = flow->action;
	bool with_eth = action == FLOW_TO_PEER;
	int ret;

	if (action == FLOW_TO_UPLINK && flow->route_generation != generation_of(SLOT_ROUTES))
		return FORWARD_REROUTE;
	if (action == FLOW_HELD)
		return -DROP_FILTERED;
	if (flow->flags & FLOW_OPENS)
		flow_open(pkt, flow);
	if (action != FLOW_TO_STACK && (pkt->ttl <= 1 || packet_exceeds(ctx, pkt, flow->mtu)))
		return forward_refuse(ctx, pkt, flow, from_container);
	flow_touch(ctx, pkt, flow);
	if (action == FLOW_TO_UPLINK)
		with_eth = next_hop_is_known(flow);
	ret = packet_rewrite(ctx, pkt, flow, action != FLOW_TO_STACK, with_eth && pkt->l3);
	if (ret)
		return ret;
	switch (action) {
	case FLOW_TO_PEER:
		if (!pkt->l3) {
			ret = packet_add_eth(ctx, pkt, flow);
			if (ret)
				return ret;
		}
		return deliver_to_peer(ctx, flow->oif);
	case FLOW_TO_UPLINK:
		if (!with_eth || !pkt->l3)
			return deliver_to_uplink(ctx, flow);
		ctx->tc_index = MARK_TRANSLATED;
		return bpf_redirect(flow->oif, 0);
	default:
		return PASS;
	}
}
