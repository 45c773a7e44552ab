/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fragments (RFC 4787 REQ-14). Only the first one has ports: they are noted for those that follow. If another one comes first, nobody
 * knows yet whose the datagram is: then all of it takes a detour through a namespace where the kernel puts it together, and comes back to
 * the same interface, in order. What is in order from the beginning, the host's own included, never goes there.
 */
#pragma once

#include "inbound.h"

#define FRAGMENT_SECONDS 30	 /* how long the kernel waits for the rest (net.ipv4.ipfrag_time) */
#define MARK_IN_ORDER 0x76776f72 /* has been on the detour */

static __always_inline void fragment_key_of(struct fragment_key *key, const struct packet *pkt)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->src = pkt->key.src;
	key->dst = pkt->key.dst;
	key->id = pkt->fragment_id;
	key->proto = pkt->key.proto;
}

/* Fills in the ports, or learns them. false: they are not known in time, the datagram has to take the detour. */
static __always_inline bool fragment_resolve(struct packet *pkt, bool in_order)
{
	struct fragment_value value = { .seen = clock_seconds(), .detour = pkt->later }, *known;
	struct fragment_key key;

	value.sport = pkt->key.sport;
	value.dport = pkt->key.dport;
	fragment_key_of(&key, pkt);
	known = bpf_map_lookup_elem(&fragments, &key);
	if (known && value.seen - known->seen > FRAGMENT_SECONDS) {
		bpf_map_delete_elem(&fragments, &key);
		known = NULL;
	}
	if (!known) {
		/* Two CPUs may have a fragment each: whoever is first decides for the whole datagram. */
		if (!bpf_map_update_elem(&fragments, &key, &value, BPF_NOEXIST))
			return !pkt->later;
		known = bpf_map_lookup_elem(&fragments, &key);
		if (!known)
			return false;
	}
	if (known->detour && (pkt->later || !in_order))
		return false;
	if (pkt->later) {
		pkt->key.sport = known->sport;
		pkt->key.dport = known->dport;
	} else {
		bpf_map_update_elem(&fragments, &key, &value, BPF_ANY);
	}
	return true;
}

/* 0: there is no detour. */
static __always_inline int fragment_detour(struct __sk_buff *ctx, const struct packet *pkt)
{
	const struct settings_value *setting = settings_get();
	struct origin_key key = { .src = pkt->key.src, .dst = pkt->key.dst, .proto = pkt->key.proto };
	struct origin_value origin = { .ifindex = ctx->ifindex };
	struct ethhdr *eth = NULL;

	if (!setting || !setting->detour)
		return 0;
	/* Nobody forwards these, and they are never translated. */
	if (pkt->v6 && (addr_is_link_local6(&pkt->key.src) || addr_is_link_local6(&pkt->key.dst)))
		return 0;
	if (pkt->l3) {
		eth = packet_at(ctx, 0, sizeof(*eth));
		if (!eth)
			return 0;
		mac_copy(origin.dmac, eth->h_dest);
		mac_copy(origin.smac, eth->h_source);
	}
	if (bpf_map_update_elem(&origins, &key, &origin, BPF_ANY))
		return 0;
	/* On the way back the kernel takes the header off again. */
	if (!pkt->l3)
		eth = packet_push_eth(ctx, pkt);
	/* verifier: it does not see that both looks at l3 find the same, and the compiler, which does, leaves this out where it can. */
	barrier_var(eth);
	if (!eth)
		return -DROP_REWRITE;
	mac_copy(eth->h_dest, setting->detour_mac);
	return bpf_redirect(setting->detour, 0);
}

/* To a neighbour, to the host, or to nobody: nothing to translate. */
static __always_inline int fragment_from_container_direct(struct __sk_buff *ctx, const struct packet *pkt)
{
	struct endpoint_value *to;
	struct veth_value *veth;
	__u32 ifindex = ctx->ifindex;

	to = bpf_map_lookup_elem(&endpoints, &pkt->key.dst);
	if (!to)
		return tail(ctx, CALL_NEW_FLOW, HOOK_FROM_CONTAINER, pkt->l3);
	veth = bpf_map_lookup_elem(&veths, &ifindex);
	if (!veth)
		return -DROP_UNKNOWN_ENDPOINT;
	return to->network == veth->network ? deliver_to_neighbour(ctx, veth, to) : -DROP_ISOLATED;
}

static __always_inline int fragment_from_container(struct __sk_buff *ctx, struct packet *pkt)
{
	struct flow_value *flow = flow_find(&pkt->key, pkt->v6);
	int ret;

	if (flow && flow->iif == ctx->ifindex) {
		ret = flow_forward(ctx, pkt, flow, true);
		if (ret != FORWARD_REROUTE)
			return ret;
		if (!pkt->later)
			return tail_knowing(ctx, CALL_REROUTE, HOOK_FROM_CONTAINER, pkt->l3, KNOWN_FIRST);
	}
	if (pkt->later || bpf_map_lookup_elem(&endpoints, &pkt->key.dst))
		return fragment_from_container_direct(ctx, pkt);
	return tail_knowing(ctx, CALL_NEW_FLOW, HOOK_FROM_CONTAINER, pkt->l3, KNOWN_FIRST);
}

static __always_inline int fragment_from_uplink(struct __sk_buff *ctx, struct packet *pkt)
{
	struct flow_value *flow = flow_find(&pkt->key, pkt->v6);

	if (flow && !flow->iif)
		return flow_forward(ctx, pkt, flow, false);
	if (!pkt->later && (port_is_published(pkt) || any_remote(pkt)))
		return tail_knowing(ctx, CALL_NEW_INBOUND, HOOK_FROM_UPLINK, pkt->l3, KNOWN_FIRST);
	return from_uplink_direct(ctx, pkt);
}

/* What the stack cut up on its way out, it sends in order. */
static __always_inline int fragment_to_uplink(struct __sk_buff *ctx, const struct packet *pkt)
{
	struct flow_value *flow = flow_find(&pkt->key, pkt->v6);

	if (!flow || (flow->kind != FLOW_MASQUERADE && flow->kind != FLOW_HOST) || flow->flags & FLOW_REPLY)
		return -DROP_FRAGMENT;
	return flow_rewrite(ctx, pkt, flow, 0);
}

static __always_inline int fragment(struct __sk_buff *ctx)
{
	bool in_order = ctx->mark == MARK_IN_ORDER;
	__u32 hook = ctx->cb[0];
	struct packet pkt;
	int ret;

	if (packet_parse(ctx, &pkt, ctx->cb[1] ? ETH_HLEN : 0))
		return -DROP_MALFORMED;
	if (in_order)
		ctx->mark = 0;
	/* GRE, ESP and their like have no ports; all their fragments are alike. */
	if (!packet_has_address_only(&pkt)) {
		if (pkt.flags & ~PACKET_FRAGMENT)
			return hook == HOOK_FROM_UPLINK ? PASS : -DROP_FRAGMENT;
		if (!fragment_resolve(&pkt, in_order)) {
			if (hook == HOOK_TO_UPLINK || in_order)
				return -DROP_FRAGMENT;
			ret = fragment_detour(ctx, &pkt);
			if (ret)
				return ret;
			return hook == HOOK_FROM_UPLINK ? PASS : fragment_from_container_direct(ctx, &pkt);
		}
	}
	pkt.flags = 0;
	if (hook == HOOK_FROM_CONTAINER)
		return fragment_from_container(ctx, &pkt);
	if (hook == HOOK_FROM_UPLINK)
		return fragment_from_uplink(ctx, &pkt);
	return fragment_to_uplink(ctx, &pkt);
}

/* The namespace forwarded the packet: what it took of the TTL is given back. */
static __always_inline int detour_restore(struct __sk_buff *ctx, const struct packet *pkt, const struct origin_value *origin)
{
	struct ethhdr *eth = packet_at(ctx, 0, sizeof(*eth));

	if (!eth)
		return -DROP_REWRITE;
	mac_copy(eth->h_dest, origin->dmac);
	mac_copy(eth->h_source, origin->smac);
	if (pkt->v6) {
		struct ipv6hdr *ip = packet_at(ctx, pkt->l3, sizeof(*ip));

		if (!ip)
			return -DROP_REWRITE;
		ip->hop_limit++;
	} else {
		struct iphdr *ip = packet_at(ctx, pkt->l3, sizeof(*ip));
		__be16 old;

		if (!ip)
			return -DROP_REWRITE;
		old = *(__be16 *)&ip->ttl;
		ip->ttl++;
		ip->check = csum_apply(ip->check, csum_diff16(old, *(__be16 *)&ip->ttl));
	}
	return 0;
}

/* Back from the detour: to where it came from, as if it arrived there only now. */
static __always_inline int from_detour(struct __sk_buff *ctx)
{
	struct origin_key key = {};
	struct origin_value *origin;
	struct packet pkt;
	int ret;

	/* What the namespace has to say of itself (multicast listener reports) is for nobody. */
	if (eth_is_multicast(ctx))
		return PASS;
	if (packet_parse(ctx, &pkt, ETH_HLEN))
		return -DROP_FRAGMENT;
	key.src = pkt.key.src;
	key.dst = pkt.key.dst;
	key.proto = pkt.key.proto;
	origin = bpf_map_lookup_elem(&origins, &key);
	if (!origin)
		return -DROP_FRAGMENT;
	ret = detour_restore(ctx, &pkt, origin);
	if (ret)
		return ret;
	ctx->mark = MARK_IN_ORDER;
	return bpf_redirect(origin->ifindex, BPF_F_INGRESS);
}
