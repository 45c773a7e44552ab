/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a container sends, and what the host sends to containers: whose is it, may it, and which flow does it begin? */
#pragma once

#include "antispoof.h"
#include "calls.h"
#include "hairpin.h"
#include "refuse.h"

/* To another program, with what this one was called with. */
static __always_inline int tail_again(struct __sk_buff *ctx, enum call call)
{
	bpf_tail_call(ctx, &calls, call);
	return -DROP_TAIL_CALL;
}

static __always_inline void packet_accept_first(struct __sk_buff *ctx, struct packet *pkt)
{
	if (ctx->cb[2] == KNOWN_FIRST)
		pkt->flags &= ~PACKET_FRAGMENT;
}

/* To a container of the same network: no flow, nothing to translate; TTL stays, the link is the same. */
static __always_inline int deliver_to_neighbour(struct __sk_buff *ctx, const struct veth_value *veth,
						const struct endpoint_value *to)
{
	struct ethhdr *eth;

	if (veth->flags & NETWORK_NO_ICC)
		return -DROP_NO_ICC;
	eth = packet_at(ctx, 0, sizeof(*eth));
	if (!eth)
		return -DROP_MALFORMED;
	/* A sender's neighbour entry may be older than the endpoint. */
	if (!mac_equal(eth->h_dest, to->mac))
		mac_copy(eth->h_dest, to->mac);
	return deliver_to_peer(ctx, to->ifindex);
}

static __always_inline bool eth_is_multicast(struct __sk_buff *ctx)
{
	struct ethhdr *eth = packet_at(ctx, 0, sizeof(*eth));

	return eth && eth->h_dest[0] & 1;
}

/* An answer by a published port of the host's looks like a packet to a neighbour, until the ports are known. */
static __always_inline bool fragment_may_answer(const struct packet *pkt)
{
	__u8 proto = pkt->key.proto;

	return pkt->flags & PACKET_FRAGMENT && (proto == IPPROTO_UDP || proto == IPPROTO_TCP || proto == IPPROTO_SCTP);
}

/* Miss in the flow table. */
static __always_inline int from_container_miss(struct __sk_buff *ctx, struct packet *pkt, int parsed)
{
	struct endpoint_value *to;
	struct veth_value *veth;
	__u32 ifindex = ctx->ifindex;
	int ret;

	veth = bpf_map_lookup_elem(&veths, &ifindex);
	if (!veth)
		return -DROP_UNKNOWN_ENDPOINT;
	ret = antispoof_mac(ctx, veth);
	if (ret)
		return ret;
	if (ctx->protocol == bpf_htons(ETH_P_ARP))
		return antispoof_arp(ctx, veth);
	if (parsed)
		return PASS; /* not IP: the bridge's business */
	ret = antispoof_ip(pkt, veth);
	if (ret)
		return ret;
	ret = antispoof_hidden(pkt);
	if (ret)
		return ret;
	if (pkt->v6 && pkt->key.proto == IPPROTO_ICMPV6 && pkt->icmp_type >= 133) {
		ret = antispoof_nd(ctx, pkt, veth);
		if (ret)
			return ret;
	}
	if (eth_is_multicast(ctx))
		return PASS; /* the bridge floods */
	if (pkt->v6 && (addr_is_link_local6(&pkt->key.src) || addr_is_link_local6(&pkt->key.dst)))
		return PASS;
	if (fragment_may_answer(pkt))
		return tail(ctx, CALL_FRAGMENT, HOOK_FROM_CONTAINER, pkt->l3);
	to = bpf_map_lookup_elem(&endpoints, &pkt->key.dst);
	if (to) {
		if (to->network != veth->network)
			return -DROP_ISOLATED;
		return deliver_to_neighbour(ctx, veth, to);
	}
	return tail(ctx, pkt->flags & PACKET_FRAGMENT ? CALL_FRAGMENT : CALL_NEW_FLOW, HOOK_FROM_CONTAINER, pkt->l3);
}

static __always_inline int no_flow(struct __sk_buff *ctx)
{
	struct packet pkt;
	int parsed;

	parsed = packet_parse(ctx, &pkt, ETH_HLEN);
	return parsed < 0 ? parsed : from_container_miss(ctx, &pkt, parsed);
}

static __always_inline int from_container(struct __sk_buff *ctx)
{
	const struct shortcut_value *to;
	struct flow_value *flow;
	struct packet pkt;
	int ret, parsed;

	mark_clear(ctx);
	parsed = packet_parse(ctx, &pkt, ETH_HLEN);
	if (parsed < 0)
		return parsed;
	if (!parsed && !(pkt.flags & (PACKET_ICMP_ERROR | PACKET_FRAGMENT))) {
		to = shortcut_find(&pkt.key.dst);
		if (to && shortcut_is_for_host(ctx, &pkt, to))
			return PASS;
		ret = to ? shortcut_to_neighbour(ctx, &pkt, to, false) : 0;
		if (ret)
			return ret;
		flow = flow_find(&pkt.key, pkt.v6);
		/* The entry's source address was checked when it was made; that it comes from that container now, the interface says. */
		if (flow && flow->iif == ctx->ifindex) {
			ret = flow_forward(ctx, &pkt, flow, true);
			if (ret != FORWARD_REROUTE)
				return ret;
			return tail(ctx, CALL_REROUTE, HOOK_FROM_CONTAINER, pkt.l3);
		}
	}
	if (!parsed && pkt.flags & PACKET_ICMP_ERROR)
		return tail(ctx, CALL_ICMP_ERROR, HOOK_FROM_CONTAINER, pkt.l3);
	return from_container_miss(ctx, &pkt, parsed);
}

/* An established flow towards an uplink whose next hop may have changed. */
static __always_inline int flow_reroute(struct __sk_buff *ctx, const struct packet *pkt, const struct flow_key *key,
					struct flow_value *flow, __u32 bridge, struct flow_draft *draft)
{
	struct addr n_src, n_dst;
	int ret;

	flow_n_src(flow, pkt->v6, &n_src);
	flow_n_dst(flow, pkt->v6, &n_dst);
	route_ask(pkt, flow->flags & FLOW_REPLY ? &n_src : &key->src, &n_dst, bridge, &draft->ask);
	draft->ask_source = flow->kind == FLOW_MASQUERADE && !(flow->flags & FLOW_FIXED_SRC);
	ret = route_find(ctx);
	if (ret)
		return ret;
	/* The masquerade address is not the egress route's any more: the session ends, a new one takes the new address. */
	if (draft->ask_source && !addr_equal(&draft->route.source, &n_src)) {
		flow_end(key, flow, pkt->v6);
		return -DROP_SOURCE_GONE;
	}
	if (!draft->route.way)
		return ROUTE_BUSY;
	WRITE_ONCE(flow->way, draft->route.way);
	return 0;
}

/* A container asks for an address that is nobody's here. */
static __always_inline int new_external(struct __sk_buff *ctx, struct packet *pkt, const struct veth_value *veth,
					struct flow_draft *draft)
{
	bool masquerade = veth->flags & (pkt->v6 ? NETWORK_MASQUERADE6 : NETWORK_MASQUERADE4);
	__u32 id = veth->network;
	struct network_value *network;
	const struct addr *fixed;
	int ret;

	network = bpf_map_lookup_elem(&networks, &id);
	if (!network)
		return -DROP_UNKNOWN_ENDPOINT;
	if (pkt->ttl <= 1 && !pkt->v6)
		return ROUTE_STACK;
	route_ask(pkt, &pkt->key.src, &pkt->key.dst, veth->bridge, &draft->ask);
	fixed = pkt->v6 ? &network->snat6 : &network->snat4;
	draft->ask_source = masquerade && addr_is_zero(fixed);
	ret = route_find(ctx);
	if (ret)
		return ret;
	/* As in forward_refuse, but what is refused begins nothing. */
	if (pkt->v6 && (pkt->ttl <= 1 || packet_exceeds(ctx, pkt, draft->route.mtu)))
		return packet_answer(ctx, pkt, HOOK_FROM_CONTAINER, draft->route.mtu);
	draft->flow.n_src = pkt->key.src;
	draft->flow.n_dst = pkt->key.dst;
	draft->flow.n_dport = pkt->key.dport;
	flow_draft_set_life(draft, veth->slot, veth->generation);
	draft->flow.iif = ctx->ifindex;
	draft->flow.action = FLOW_TO_UPLINK;
	draft->flow.way = draft->route.way;
	draft->flow.kind = draft->reply.kind = masquerade ? FLOW_MASQUERADE : FLOW_ROUTED;
	draft->reply.action = FLOW_TO_PEER;
	draft->reply.way = ctx->ifindex;
	draft->wanted = pkt->key.sport;
	if (!masquerade)
		return 0;
	draft->flow.n_src = draft->ask_source ? draft->route.source : *fixed;
	if (!draft->ask_source)
		draft->flow.flags |= FLOW_FIXED_SRC;
	if (addr_is_zero(&draft->flow.n_src) || (!pkt->v6 && !addr_words(&draft->flow.n_src)[3]))
		return -DROP_NO_ADDRESS;
	draft->flow.flags |= FLOW_NAT_SRC;
	flow_draft_use_pool(draft);
	if (pkt->flags || pkt->key.proto == IPPROTO_SCTP) {
		/* By address alone: one container for each destination. SCTP's checksum would have to be made anew for another port. */
		draft->bound = 1;
		return 0;
	}
	flow_draft_bind(draft);
	if (!port_in_pool(draft->wanted))
		draft->wanted = 0;
	return 0;
}

/* To an address of the host's own. */
static __always_inline int new_local(struct __sk_buff *ctx, struct packet *pkt, const struct veth_value *veth,
				     const struct address_value *to, struct flow_draft *draft)
{
	struct published_value *port;
	struct binding_value *binding;

	if (veth->flags & NETWORK_INTERNAL)
		return to->network == veth->network ? ROUTE_STACK : -DROP_INTERNAL;
	if (pkt->flags || addr_is_loopback(&pkt->key.dst))
		return ROUTE_STACK;
	port = published_find(pkt);
	if (port && addr_is4(&port->target) != pkt->v6)
		return new_hairpin(ctx, pkt, veth, port, draft);
	if (!port_in_pool(pkt->key.dport))
		return ROUTE_STACK;
	if (pkt->key.proto == IPPROTO_TCP && !packet_is_syn(pkt))
		return ROUTE_STACK;
	binding = proto_is_bound(pkt->key.proto) ? binding_find(pkt) : NULL;
	if (binding)
		return new_hairpin_mapped(ctx, pkt, veth, binding, draft);
	return pkt->key.proto == IPPROTO_TCP && port_is_mapped(pkt) ? -DROP_UNSOLICITED : ROUTE_STACK;
}

/* Protocols that are carried by addresses alone, because nothing in them depends on an address: GRE, ESP, IP in IP. */
static __always_inline bool packet_has_address_only(const struct packet *pkt)
{
	switch (pkt->key.proto) {
	case IPPROTO_IPIP:
	case IPPROTO_IPV6:
	case IPPROTO_GRE:
	case IPPROTO_ESP:
		return true;
	}
	return false;
}

/* 0: the draft is filled. ROUTE_STACK: the host's own business. Or -DROP_*. */
static __always_inline int new_flow_classify(struct __sk_buff *ctx, struct packet *pkt, const struct veth_value *veth,
					     struct flow_draft *draft)
{
	struct address_value *to = address_find(&pkt->key.dst);

	draft->owner = draft->bind_slot = veth->slot;
	draft->bind_generation = veth->generation;
	draft->bind_network = veth->network;
	if (to && to->kind == ADDRESS_LOCAL)
		return new_local(ctx, pkt, veth, to, draft);
	if (to && to->kind == ADDRESS_SUBNET) {
		/* Perhaps a container's that has no shortcut: what becomes of that, vw_no_flow says. */
		if (ctx->cb[2] == KNOWN_FRESH)
			return tail_again(ctx, CALL_NO_FLOW);
		return to->network == veth->network ? ROUTE_STACK : -DROP_ISOLATED;
	}
	/* A unicast frame does not make it anybody else's: the stack knows. */
	if (addr_is_for_all(&pkt->key.dst))
		return ROUTE_STACK;
	if (veth->flags & NETWORK_INTERNAL)
		return -DROP_INTERNAL;
	if (pkt->flags & PACKET_FRAGMENT)
		return -DROP_FRAGMENT;
	if (pkt->flags & PACKET_ICMP_ERROR)
		return -DROP_NO_FLOW;
	if (pkt->flags && !packet_has_address_only(pkt))
		return -DROP_PROTOCOL;
	if (!packet_may_begin(pkt))
		return -DROP_NO_FLOW;
	return new_external(ctx, pkt, veth, draft);
}

static __always_inline int new_flow(struct __sk_buff *ctx)
{
	__u32 ifindex = ctx->ifindex;
	struct flow_draft *draft;
	struct flow_value *flow;
	struct veth_value *veth;
	struct packet pkt;
	int ret;

	ret = packet_parse(ctx, &pkt, ETH_HLEN);
	if (ret)
		return ret < 0 ? ret : PASS;
	packet_accept_first(ctx, &pkt);
	veth = bpf_map_lookup_elem(&veths, &ifindex);
	draft = flow_draft_get();
	if (!veth || !draft)
		return -DROP_UNKNOWN_ENDPOINT;
	flow = ctx->cb[2] == KNOWN_FRESH ? NULL : flow_lookup(&pkt.key, pkt.v6);
	if (flow && !flow_is_live(flow)) {
		flow_delete_stale(&pkt.key, flow, pkt.v6);
		flow = NULL;
	}
	/* A session stays with who carries it. */
	if (flow && flow->flags & FLOW_BY_STACK)
		return PASS;
	/* Another CPU has been faster. */
	if (flow && flow->iif == ctx->ifindex && flow->action == FLOW_TO_UPLINK)
		return tail_again(ctx, CALL_REROUTE);
	flow_draft_begin(draft, &pkt.key);
	ret = new_flow_classify(ctx, &pkt, veth, draft);
	if (ret)
		return ret < 0 ? ret : PASS;
	ret = flow_insert(pkt.v6);
	if (ret < 0)
		return refuse(ctx, &pkt, veth, ret);
	flow = flow_find(&pkt.key, pkt.v6);
	if (!flow || flow->iif != ctx->ifindex)
		return -DROP_NO_FLOW;
	ret = flow_forward(ctx, &pkt, flow, true);
	return ret == FORWARD_REROUTE ? tail_again(ctx, CALL_REROUTE) : ret;
}

/* The ifindex of the bridge that a container's packets count as arriving on when they are routed. 0: this is no container's veth. */
static __always_inline __u32 bridge_of_sender(__u32 ifindex, const struct addr *src)
{
	const struct shortcut_value *from = shortcut_find(src);
	const struct veth_value *veth;

	if (from && from->kind == SHORTCUT_ENDPOINT && from->ifindex == ifindex)
		return from->bridge;
	veth = bpf_map_lookup_elem(&veths, &ifindex);
	return veth ? veth->bridge : 0;
}

/* A packet of a flow whose next hop has to be looked up. Who is called again and again, while the routes change, is dropped in the end. */
static __always_inline int reroute(struct __sk_buff *ctx)
{
	struct flow_draft *draft = flow_draft_get();
	__u32 bridge, ifindex = ctx->ifindex;
	struct flow_value *flow;
	struct packet pkt;
	int ret;

	ret = packet_parse(ctx, &pkt, ETH_HLEN);
	if (ret)
		return ret < 0 ? ret : PASS;
	packet_accept_first(ctx, &pkt);
	bridge = bridge_of_sender(ifindex, &pkt.key.src);
	if (!bridge || !draft)
		return -DROP_UNKNOWN_ENDPOINT;
	flow = flow_find(&pkt.key, pkt.v6);
	if (!flow || flow->iif != ifindex || flow->action != FLOW_TO_UPLINK)
		return -DROP_NO_FLOW;
	ret = flow_reroute(ctx, &pkt, &pkt.key, flow, bridge, draft);
	if (ret == ROUTE_BUSY)
		return tail_again(ctx, CALL_REROUTE);
	if (ret)
		return ret < 0 ? ret : PASS;
	ret = flow_forward(ctx, &pkt, flow, true);
	return ret == FORWARD_REROUTE ? tail_again(ctx, CALL_REROUTE) : ret;
}

/* What the stack sends to a network: the host's own goes on; what it routes in must belong to a flow that the stack carries. */
static __always_inline int to_bridge(struct __sk_buff *ctx)
{
	struct flow_value *flow;
	struct flow_key key;
	struct packet pkt;
	int ret;

	if (!ctx->ingress_ifindex)
		return shortcut_past_bridge(ctx);
	if (ctx->ingress_ifindex == ctx->ifindex)
		return PASS;
	ret = packet_parse(ctx, &pkt, ETH_HLEN);
	if (ret)
		return ret < 0 ? ret : PASS;
	flow_key_reverse(&key, &pkt.key);
	flow = pkt.flags ? NULL : flow_find(&key, pkt.v6);
	return flow && flow->flags & FLOW_BY_STACK ? PASS : -DROP_DIRECT;
}
