/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Cutting up an IPv4 datagram without DF that is too big for the container's network (RFC 4787 REQ-13). The kernel knows how to, but only in the
 * course of forwarding, which the host need not do: so the datagram, translated already, goes through a namespace that does nothing else.
 */
#pragma once

#include "forward.h"

/* No way there: the stack may do it, if it forwards what arrives at the uplink. */
static __always_inline int cut_by_stack(struct __sk_buff *ctx, const struct packet *pkt, struct flow_value *flow)
{
	if (ctx->cb[0] == HOOK_FROM_CONTAINER)
		return tail_answer(ctx, HOOK_FROM_CONTAINER, pkt->l3, DROP_TOO_BIG, ctx->cb[3]);
	flow_touch(ctx, pkt, flow, clock_seconds());
	return flow_rewrite(ctx, pkt, flow, 0);
}

/* cb[3]: the MTU, for an answer. cb[4]: the ports, as the flow has them. */
static __always_inline int cut(struct __sk_buff *ctx)
{
	const struct settings_value *setting = settings_get();
	__u32 ports = ctx->cb[4];
	struct flow_value *flow;
	struct packet pkt;
	struct ethhdr *eth;
	struct hop hop = {};
	int ret;

	if (packet_parse(ctx, &pkt, ctx->cb[1] ? ETH_HLEN : 0) || pkt.v6 || !setting)
		return -DROP_MALFORMED;
	pkt.key.sport = (__be16)(ports >> 16);
	pkt.key.dport = (__be16)ports;
	flow = flow_find(&pkt.key, false);
	if (!flow || flow->action != FLOW_TO_PEER)
		return -DROP_NO_FLOW;
	if (!setting->cutter)
		return cut_by_stack(ctx, &pkt, flow);
	flow_touch(ctx, &pkt, flow, clock_seconds());
	/* The namespace forwards, which takes one of the TTL. */
	ret = flow_hop(flow, false, FLOW_TO_PEER, 0, &hop);
	if (ret)
		return ret;
	ret = flow_rewrite(ctx, &pkt, flow, 0);
	if (!ret)
		ret = packet_set_eth(ctx, &pkt, &hop);
	if (ret)
		return ret;
	eth = packet_at(ctx, 0, sizeof(*eth));
	if (!eth)
		return -DROP_REWRITE;
	mac_copy(eth->h_dest, setting->cutter_mac);
	return bpf_redirect(setting->cutter, 0);
}

/* Cut up: into the container, as what arrives for it otherwise. */
static __always_inline int from_cutter(struct __sk_buff *ctx)
{
	struct endpoint_value *to;
	struct packet pkt;
	struct ethhdr *eth;

	/* What the namespace has to say of itself is for nobody. */
	if (packet_parse(ctx, &pkt, ETH_HLEN) || pkt.v6)
		return -DROP_FRAGMENT;
	to = bpf_map_lookup_elem(&endpoints, &pkt.key.dst);
	if (!to)
		return -DROP_UNKNOWN_ENDPOINT;
	eth = packet_at(ctx, 0, sizeof(*eth));
	if (!eth)
		return -DROP_REWRITE;
	mac_copy(eth->h_dest, to->mac);
	mac_copy(eth->h_source, to->bridge_mac);
	return deliver_to_peer(ctx, to->ifindex);
}
