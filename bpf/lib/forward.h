/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a flow entry to a packet on its way: check, rewrite, deliver. Once a byte has been rewritten, a failure is a drop. */
#pragma once

#include "calls.h"
#include "rewrite.h"
#include "route.h"
#include "verdict.h"

#define FORWARD_REROUTE 1 /* the route must be looked up first; nothing has been changed */

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
 * nothing to translate; and, where the next hop's MAC address is wanted, to note the one that the kernel has put on the packet: for that way
 * alone which the mark has the digest of, since a packet may have waited for its neighbour while its flow took another way.
 */
#define MARK_TRANSLATED 0x7677
#define MARK_LEARN 0x8000

static __always_inline __u32 mark_to_learn(__u32 way)
{
	return MARK_LEARN | ((way ^ way >> 17) & (MARK_LEARN - 1));
}

/* A mark from elsewhere, another host in a namespace of this kernel, says nothing. */
static __always_inline void mark_clear(struct __sk_buff *ctx)
{
	if (ctx->tc_index)
		ctx->tc_index = 0;
}

/* By the kernel's neighbour table. SNAT is done: should the neighbour be unresolved, what waits in its queue is already rewritten. */
static __always_inline int deliver_to_next_hop(struct __sk_buff *ctx, const struct hop *hop)
{
	struct way_value *way = way_get(hop->way);
	struct bpf_redir_neigh next = {};
	struct addr next_hop;

	if (!way)
		return -DROP_NO_FLOW;
	next_hop = way->next_hop;
	barrier();
	/* The routes changed in this very moment: the sender repeats. */
	if (!way_get(hop->way))
		return -DROP_NO_FLOW;
	if (addr_is4(&next_hop)) {
		next.nh_family = AF_INET;
		next.ipv4_nh = addr_words(&next_hop)[3];
	} else {
		next.nh_family = AF_INET6;
		__builtin_memcpy(next.ipv6_nh, next_hop.b, 16);
	}
	ctx->tc_index = mark_to_learn(hop->way);
	return bpf_redirect_neigh(hop->oif, &next, sizeof(next), 0);
}

/* The kernel has put MAC addresses on a packet: they are those of its flow's way. */
static __always_inline void next_hop_learn(struct __sk_buff *ctx, const struct packet *pkt)
{
	struct ethhdr *eth = packet_at(ctx, 0, sizeof(*eth));
	struct flow_key key, reply_key;
	struct flow_value *flow;
	struct way_value *way;

	flow_key_reverse(&reply_key, &pkt->key);
	flow = flow_lookup(&reply_key, pkt->v6);
	if (!eth || !flow)
		return;
	flow_key_of_pair(&key, &reply_key, flow, pkt->v6);
	flow = flow_lookup(&key, pkt->v6);
	if (!flow || flow->action != FLOW_TO_UPLINK || ctx->tc_index != mark_to_learn(flow->way))
		return;
	way = way_get(flow->way);
	if (way && way->oif == ctx->ifindex)
		way_learn(way, eth);
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

/* The link-layer header, which a packet need not have had. */
static __always_inline int packet_set_eth(struct __sk_buff *ctx, const struct packet *pkt, const struct hop *hop)
{
	struct ethhdr *h = pkt->l3 ? packet_at(ctx, 0, sizeof(*h)) : packet_push_eth(ctx, pkt);

	if (!h)
		return -DROP_REWRITE;
	mac_store(h->h_dest, hop->dmac);
	mac_store(h->h_source, hop->smac);
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
static __always_inline int forward_refuse(struct __sk_buff *ctx, const struct packet *pkt, enum flow_action action, __u32 mtu,
					  bool from_container)
{
	enum hook hook = from_container ? HOOK_FROM_CONTAINER : HOOK_FROM_UPLINK;

	if (from_container && action == FLOW_TO_UPLINK && !pkt->v6)
		return PASS;
	if (pkt->ttl <= 1 || !pkt->may_fragment)
		return packet_answer(ctx, pkt, hook, mtu);
	ctx->cb[3] = mtu;
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
	flow_key_of_pair(&key, &pkt->key, flow, pkt->v6);
	pair = flow_lookup(&key, pkt->v6);
	if (pair && pair->action == FLOW_HELD)
		pair->action = FLOW_TO_PEER;
}

/* Sends what has been rewritten on its way. */
static __always_inline int hop_deliver(struct __sk_buff *ctx, const struct packet *pkt, enum flow_action action,
				       const struct hop *hop)
{
	int ret;

	switch (action) {
	case FLOW_TO_PEER:
		ret = packet_set_eth(ctx, pkt, hop);
		return ret ? ret : deliver_to_peer(ctx, hop->oif);
	case FLOW_TO_UPLINK:
		if (!hop->macs || !pkt->l3)
			return deliver_to_next_hop(ctx, hop);
		ret = packet_set_eth(ctx, pkt, hop);
		if (ret)
			return ret;
		ctx->tc_index = MARK_TRANSLATED;
		return bpf_redirect(hop->oif, 0);
	default:
		return PASS;
	}
}

/* Where a flow's packets go next. 0, FORWARD_REROUTE, or -DROP_*. */
static __always_inline int flow_hop(const struct flow_value *flow, bool v6, enum flow_action action, __u32 now, struct hop *hop)
{
	struct addr to;
	int ret;

	switch (action) {
	case FLOW_HELD:
		return -DROP_FILTERED;
	case FLOW_TO_PEER:
		flow_n_dst(flow, v6, &to);
		ret = hop_to_peer(&to, hop);
		/* The address may be another container's by now, while what the flow hangs on is the other side's. */
		return ret || hop->oif == flow->way ? ret : -DROP_UNKNOWN_ENDPOINT;
	case FLOW_TO_UPLINK:
		return hop_by_way(READ_ONCE(flow->way), now, hop) ? 0 : FORWARD_REROUTE;
	default:
		return 0;
	}
}

/* Sends a packet of a live flow on its way. */
static __always_inline int flow_forward(struct __sk_buff *ctx, const struct packet *pkt, struct flow_value *flow,
					bool from_container)
{
	enum flow_action action = flow->action;
	__u32 now = clock_seconds();
	struct hop hop = {};
	int ret;

	ret = flow_hop(flow, pkt->v6, action, now, &hop);
	if (ret)
		return ret;
	if (flow->flags & FLOW_OPENS)
		flow_open(pkt, flow);
	if (hop.onward && (pkt->ttl <= 1 || packet_exceeds(ctx, pkt, hop.mtu)))
		return forward_refuse(ctx, pkt, action, hop.mtu, from_container);
	flow_touch(ctx, pkt, flow, now);
	ret = flow_rewrite(ctx, pkt, flow, hop.onward);
	return ret ? ret : hop_deliver(ctx, pkt, action, &hop);
}
