/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What arrives at an uplink, and what leaves by one. */
#pragma once

#include "classify.h"

/* Does the network, whose gateway's address it is, hide its addresses from the outside? */
static __always_inline bool gateway_is_hidden(const struct address_value *gateway, bool v6)
{
	struct network_value *network;
	__u32 id = gateway->network;

	network = bpf_map_lookup_elem(&networks, &id);
	return network && network->flags & (NETWORK_INTERNAL | (v6 ? NETWORK_MASQUERADE6 : NETWORK_MASQUERADE4));
}

/* Directly to a container's address: answers of a network without masquerade only (gateway mode nat). The host's services do not
 * answer outside by a gateway's address either: the answer could not leave by it. */
static __always_inline int from_uplink_direct(struct __sk_buff *ctx, const struct packet *pkt)
{
	struct address_value *to;
	struct flow_value *flow;

	if (address_is_hosts(&pkt->key.dst))
		return PASS;
	to = address_find(&pkt->key.dst);
	if (!to)
		return PASS;
	if (to->kind == ADDRESS_LOCAL)
		return to->network && gateway_is_hidden(to, pkt->v6) ? -DROP_DIRECT : PASS;
	if (to->kind != ADDRESS_SUBNET)
		return PASS;
	flow = pkt->flags ? NULL : flow_find(&pkt->key, pkt->v6);
	if (flow && flow->kind == FLOW_ROUTED && !flow->iif)
		return flow_forward(ctx, pkt, flow, false);
	return -DROP_DIRECT;
}

/* Translated by address alone, or with the port as it is: nothing in the ports tells whose it is. */
static __always_inline bool packet_keeps_ports(const struct packet *pkt)
{
	switch (pkt->key.proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return false;
	}
	return true;
}

static __always_inline int from_uplink(struct __sk_buff *ctx, __u32 l3)
{
	struct flow_value *flow;
	struct packet pkt;
	bool is_published, is_mapped;

	mark_clear(ctx);
	/* Broken packets, frames for others, broadcast and multicast are the stack's. */
	if (packet_parse(ctx, &pkt, l3) || ctx->pkt_type != PACKET_HOST)
		return PASS;
	if (pkt.flags & PACKET_ICMP_ERROR)
		return tail(ctx, CALL_ICMP_ERROR, HOOK_FROM_UPLINK, l3);
	if (pkt.flags & PACKET_FRAGMENT)
		return tail(ctx, CALL_FRAGMENT, HOOK_FROM_UPLINK, l3);
	is_published = port_is_published(&pkt);
	is_mapped = port_in_pool(pkt.key.dport);
	if (is_published || is_mapped || packet_keeps_ports(&pkt)) {
		/* Flows first: a container's or the host's own connection may use a published port's number on its side. */
		flow = flow_find(&pkt.key, pkt.v6);
		if (flow && !flow->iif)
			return flow_forward(ctx, &pkt, flow, false);
		if (is_published || (is_mapped && any_remote(&pkt)))
			return tail(ctx, CALL_NEW_INBOUND, HOOK_FROM_UPLINK, l3);
		if (is_mapped && packet_is_syn(&pkt) && port_is_mapped(&pkt))
			return -DROP_UNSOLICITED;
	}
	return from_uplink_direct(ctx, &pkt);
}

/* Has the host itself a UDP socket for this packet? Only possible where the kernel picks ports by itself: bind() on a published
 * port is refused, but an automatic port is not asked about. */
static __always_inline bool host_owns_udp(struct __sk_buff *ctx, const struct packet *pkt)
{
	__u16 port = bpf_ntohs(pkt->key.dport);
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;

	if (port < local_first || port > local_last)
		return false;
	if (pkt->v6) {
		__builtin_memcpy(tuple.ipv6.saddr, pkt->key.src.b, 16);
		__builtin_memcpy(tuple.ipv6.daddr, pkt->key.dst.b, 16);
		tuple.ipv6.sport = pkt->key.sport;
		tuple.ipv6.dport = pkt->key.dport;
		sk = bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	} else {
		tuple.ipv4.saddr = addr_words(&pkt->key.src)[3];
		tuple.ipv4.daddr = addr_words(&pkt->key.dst)[3];
		tuple.ipv4.sport = pkt->key.sport;
		tuple.ipv4.dport = pkt->key.dport;
		sk = bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return false;
	bpf_sk_release(sk);
	return true;
}

/* What all that comes in has in common. */
static __always_inline void new_inbound_draft(const struct packet *pkt, __u32 target, struct flow_draft *draft)
{
	draft->flow.n_src = pkt->key.src;
	draft->flow.action = FLOW_TO_PEER;
	draft->flow.way = target;
	draft->reply.iif = target;
	/* Its way is looked up when the container answers: many never do. */
	draft->reply.action = FLOW_TO_UPLINK;
	/* Two clients' ports may meet at one container port that is published twice: then the second one gets another. */
	draft->wanted = pkt->key.sport;
	draft->bound = pkt->key.proto == IPPROTO_SCTP;
	flow_draft_use_any(draft);
}

/* To a container's mapping, in a network that lets in whoever sends to one (RFC 4787 section 5). */
static __always_inline int new_inbound_mapped(const struct packet *pkt, struct flow_draft *draft)
{
	struct binding_value *binding = binding_find(pkt);
	struct network_value *network;
	__u32 id, target;

	/* A port that rests is bound, but lets nobody in. */
	if (!binding || binding->rests || port_use_of(pkt->key.proto, pkt->key.dport) & PORT_HOST)
		return ROUTE_STACK;
	id = binding->network;
	network = bpf_map_lookup_elem(&networks, &id);
	target = endpoint_ifindex(&binding->addr);
	if (!network || !target || !(network->flags & NETWORK_ANY_REMOTE))
		return ROUTE_STACK;
	draft->flow.kind = draft->reply.kind = FLOW_MASQUERADE;
	draft->flow.n_dst = binding->addr;
	draft->flow.n_dport = binding->port;
	flow_draft_set_life(draft, binding->slot, binding->generation);
	new_inbound_draft(pkt, target, draft);
	return 0;
}

/* 0: the draft is filled. ROUTE_STACK: not for a container. Or -DROP_*. */
static __always_inline int new_inbound_classify(struct __sk_buff *ctx, const struct packet *pkt, struct flow_draft *draft)
{
	struct published_value *port;
	__u32 target;

	/* Only what is addressed to this host: a packet that is merely passing through is not ours. */
	if (!address_is_hosts(&pkt->key.dst)) {
		struct address_value *to = address_find(&pkt->key.dst);

		/* A container's own address is no host's, whatever port is published. */
		if (to && to->kind == ADDRESS_SUBNET)
			return -DROP_DIRECT;
		if (!to || to->kind != ADDRESS_LOCAL)
			return ROUTE_STACK;
	}
	/* Loopback addresses are never ours on a wire. */
	if (addr_is_loopback(&pkt->key.dst))
		return ROUTE_STACK;
	if (address_find(&pkt->key.src))
		return -DROP_SPOOFED_IP;
	port = published_find(pkt);
	if (!port) {
		int ret = new_inbound_mapped(pkt, draft);

		return ret == ROUTE_STACK && packet_is_syn(pkt) && port_is_mapped(pkt) ? -DROP_UNSOLICITED : ret;
	}
	if (addr_is4(&port->target) == pkt->v6)
		return ROUTE_STACK;
	if (pkt->key.proto == IPPROTO_TCP) {
		/* Only a SYN begins: the rest is answered by the stack, or is the host's own connection from an automatic port. */
		if (!packet_is_syn(pkt))
			return ROUTE_STACK;
	} else if (host_owns_udp(ctx, pkt)) {
		return ROUTE_STACK;
	}
	target = endpoint_ifindex(&port->target);
	if (!target)
		return -DROP_UNKNOWN_ENDPOINT;
	draft->flow.kind = draft->reply.kind = FLOW_PUBLISHED;
	draft->flow.n_dst = port->target;
	draft->flow.n_dport = port->port;
	if (!published_fits(pkt, port))
		return -DROP_PROTOCOL;
	flow_draft_set_life(draft, port->slot, port->generation);
	new_inbound_draft(pkt, target, draft);
	return 0;
}

static __always_inline int new_inbound(struct __sk_buff *ctx)
{
	struct flow_draft *draft = flow_draft_get();
	struct flow_value *flow;
	struct packet pkt;
	int ret;

	if (packet_parse(ctx, &pkt, ctx->cb[1] ? ETH_HLEN : 0) || !draft)
		return PASS;
	packet_accept_first(ctx, &pkt);
	flow = ctx->cb[2] == KNOWN_FRESH ? NULL : flow_lookup(&pkt.key, pkt.v6);
	if (flow && !flow_is_live(flow) && !flow_rests(&pkt.key, flow))
		flow_delete_stale(&pkt.key, flow, pkt.v6);
	flow_draft_begin(draft, &pkt.key);
	ret = new_inbound_classify(ctx, &pkt, draft);
	if (ret)
		return ret < 0 ? ret : PASS;
	ret = flow_insert(pkt.v6);
	if (ret < 0)
		return ret;
	flow = flow_find(&pkt.key, pkt.v6);
	if (!flow || flow->iif)
		return -DROP_NO_FLOW;
	return flow_forward(ctx, &pkt, flow, false);
}

/* A raw socket's ping has any identifier: one that is in the pool must be reserved like a container's. */
static __always_inline int hosts_own_outbound(struct __sk_buff *ctx, const struct packet *pkt)
{
	if (!ctx->ingress_ifindex && !pkt->flags && pkt->icmp_type && packet_may_begin(pkt) && port_in_pool(pkt->key.sport))
		return tail(ctx, CALL_NEW_OUTBOUND, HOOK_TO_UPLINK, pkt->l3);
	return PASS;
}

static __always_inline int to_uplink(struct __sk_buff *ctx, __u32 l3)
{
	struct address_value *from;
	struct flow_value *asked;
	struct flow_key key;
	struct packet pkt;
	int parsed;

	if (ctx->tc_index == MARK_TRANSLATED)
		return PASS;
	parsed = packet_parse(ctx, &pkt, l3);
	if (parsed > 0)
		return PASS;
	if (ctx->tc_index & MARK_LEARN) {
		if (!parsed && !pkt.flags && l3)
			next_hop_learn(ctx, &pkt);
		return PASS;
	}
	if (!parsed && pkt.flags & PACKET_ICMP_ERROR && !ctx->ingress_ifindex)
		return tail(ctx, CALL_ICMP_ERROR, HOOK_TO_UPLINK, l3);
	if (!parsed && address_is_hosts(&pkt.key.src))
		return hosts_own_outbound(ctx, &pkt);
	from = address_find(&pkt.key.src);
	if (!from)
		return PASS;
	if (parsed)
		return from->kind == ADDRESS_SUBNET || from->network ? parsed : PASS;
	if (from->kind == ADDRESS_LOCAL && from->network && !pkt.flags) {
		/* The answer of a port that was asked for by a gateway's address: it is translated already, to just that. */
		flow_key_reverse(&key, &pkt.key);
		asked = flow_find(&key, pkt.v6);
		if (asked && asked->kind == FLOW_PUBLISHED && !asked->iif)
			return PASS;
	}
	if (from->kind == ADDRESS_SUBNET || from->network)
		return tail(ctx, CALL_NEW_OUTBOUND, HOOK_TO_UPLINK, l3);
	return hosts_own_outbound(ctx, &pkt);
}

/* Fills the draft for what the stack sends out for a container, from a gateway's address, or as a ping of the host's. */
static __always_inline int new_outbound_draft(struct __sk_buff *ctx, const struct packet *pkt,
					      const struct network_value *network, struct flow_draft *draft)
{
	struct endpoint_value *self = bpf_map_lookup_elem(&endpoints, &pkt->key.src);
	struct uplink_value *uplink;
	__u32 ifindex = ctx->ifindex;

	draft->flow.n_src = pkt->key.src;
	draft->flow.n_dst = pkt->key.dst;
	draft->flow.n_dport = pkt->key.dport;
	draft->flow.kind = draft->reply.kind = FLOW_HOST;
	draft->flow.flags = draft->reply.flags = FLOW_BY_STACK | FLOW_NAT_SRC;
	draft->flow.action = draft->reply.action = FLOW_TO_STACK;
	draft->flow.slot = draft->reply.slot = self ? self->slot : SLOT_HOST;
	draft->flow.generation = draft->reply.generation = self ? self->generation : generation_of(SLOT_HOST);
	draft->wanted = port_in_pool(pkt->key.sport) ? pkt->key.sport : 0;
	flow_draft_use_pool(draft);
	flow_draft_bind(draft);
	if (packet_keeps_ports(pkt)) {
		/* SCTP: its checksum would have to be made anew for another port. */
		draft->wanted = pkt->key.sport;
		draft->bound = 1;
		draft->bind = 0;
	}
	draft->bind_slot = draft->flow.slot;
	draft->bind_generation = draft->flow.generation;
	if (!network)
		return 0;
	uplink = bpf_map_lookup_elem(&uplinks, &ifindex);
	if (!uplink)
		return -DROP_NOT_UPLINK;
	draft->flow.kind = draft->reply.kind = FLOW_MASQUERADE;
	draft->flow.n_src = pkt->v6 ? network->snat6 : network->snat4;
	if (addr_is_zero(&draft->flow.n_src))
		draft->flow.n_src = pkt->v6 ? uplink->addr6 : uplink->addr4;
	return addr_is_zero(&draft->flow.n_src) ? -DROP_NO_ADDRESS : 0;
}

static __always_inline int new_outbound(struct __sk_buff *ctx)
{
	struct flow_draft *draft = flow_draft_get();
	struct network_value *network = NULL;
	struct address_value *from;
	struct flow_value *flow;
	struct packet pkt;
	int ret;

	if (packet_parse(ctx, &pkt, ctx->cb[1] ? ETH_HLEN : 0) || !draft)
		return -DROP_LEAK;
	from = address_find(&pkt.key.src);
	if (!from)
		return PASS;
	if (from->network) {
		__u32 id = from->network;

		network = bpf_map_lookup_elem(&networks, &id);
		if (!network)
			return -DROP_LEAK;
		if (network->flags & NETWORK_INTERNAL)
			return -DROP_INTERNAL;
		if (!(network->flags & (pkt.v6 ? NETWORK_MASQUERADE6 : NETWORK_MASQUERADE4)))
			return PASS;
		if (pkt.flags & PACKET_FRAGMENT)
			return tail(ctx, CALL_FRAGMENT, HOOK_TO_UPLINK, ctx->cb[1]);
		if (pkt.flags)
			return -DROP_LEAK;
	}
	flow = flow_lookup(&pkt.key, pkt.v6);
	if (flow && !flow_is_live(flow)) {
		flow_delete_stale(&pkt.key, flow, pkt.v6);
		flow = NULL;
	}
	if (!flow) {
		if (!packet_may_begin(&pkt))
			return network ? -DROP_LEAK : PASS;
		flow_draft_begin(draft, &pkt.key);
		ret = new_outbound_draft(ctx, &pkt, network, draft);
		if (!ret)
			ret = flow_insert(pkt.v6);
		/* The identifier is nobody else's, so the answer finds the host without a flow. */
		if (ret == -DROP_TABLE_FULL && !network)
			return PASS;
		if (ret < 0)
			return ret;
		flow = flow_find(&pkt.key, pkt.v6);
		if (!flow)
			return -DROP_LEAK;
	}
	/* These keep the source address: the address of the host that they were made for is none any more, or masquerading was off. */
	if (network && (flow->kind == FLOW_HAIRPIN || flow->kind == FLOW_ROUTED))
		return -DROP_LEAK;
	flow_touch(ctx, &pkt, flow, clock_seconds());
	return flow_rewrite(ctx, &pkt, flow, 0);
}
