/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a packet leaves the host, says the kernel's FIB (policy rules, source addresses and all); what we keep is its answer. */
#pragma once

#include "allocate.h"
#include "way.h"

#define ROUTE_STACK 1 /* no route: the stack tells the sender */
#define ROUTE_BUSY 2  /* another CPU is writing the way: once more */

/* Asks where packets from src to dst leave. iif: the interface that they count as arriving on, for policy rules and the forwarding switch. */
static __always_inline void route_ask(const struct packet *pkt, const struct addr *src, const struct addr *dst, __u32 iif,
				      struct bpf_fib_lookup *ask)
{
	__builtin_memset(ask, 0, sizeof(*ask));
	ask->ifindex = iif;
	ask->l4_protocol = pkt->key.proto;
	ask->sport = pkt->key.sport;
	ask->dport = pkt->key.dport;
	if (pkt->v6) {
		ask->family = AF_INET6;
		__builtin_memcpy(ask->ipv6_src, src->b, 16);
		__builtin_memcpy(ask->ipv6_dst, dst->b, 16);
	} else {
		ask->family = AF_INET;
		ask->tos = pkt->tos & 0x1c;
		ask->ipv4_src = addr_words(src)[3];
		ask->ipv4_dst = addr_words(dst)[3];
	}
}

/* Kernels before 6.7 answer the flags they do not know with EINVAL. */
static __always_inline long route_query(struct __sk_buff *ctx, struct flow_draft *draft)
{
	__u32 flags = BPF_FIB_LOOKUP_SKIP_NEIGH;
	long ret;

	if (draft->ask_source)
		flags |= BPF_FIB_LOOKUP_SRC;
	draft->fib = draft->ask;
	draft->route.source_known = true;
	ret = bpf_fib_lookup(ctx, &draft->fib, sizeof(draft->fib), flags);
	if (ret != -EINVAL)
		return ret;
	draft->fib = draft->ask;
	draft->route.source_known = false;
	return bpf_fib_lookup(ctx, &draft->fib, sizeof(draft->fib), 0);
}

/*
 * What the draft's ask asks for. 0: its route is filled. ROUTE_STACK: the stack knows what to answer. Or -DROP_*.
 * verifier: not static, so that it is walked through once, not for each of its callers.
 */
__noinline int route_find(struct __sk_buff *ctx)
{
	struct flow_draft *draft = flow_draft_get();
	struct uplink_value *uplink;
	struct bpf_fib_lookup *fib;
	struct route *route;
	__u32 routes;
	bool v6;
	long ret;

	if (!draft)
		return -DROP_NOT_UPLINK;
	fib = &draft->fib;
	route = &draft->route;
	v6 = draft->ask.family == AF_INET6;
	routes = generation_of(SLOT_ROUTES);
	ret = route_query(ctx, draft);
	if (ret == BPF_FIB_LKUP_RET_FWD_DISABLED)
		return -DROP_FORWARDING_OFF;
	if (ret == BPF_FIB_LKUP_RET_NO_SRC_ADDR)
		return -DROP_NO_ADDRESS;
	/* Too big: all else is known. Whether it is says the uplink's MTU, since the kernel looks at whole packets only, and not closely. */
	if (ret != BPF_FIB_LKUP_RET_SUCCESS && ret != BPF_FIB_LKUP_RET_NO_NEIGH && ret != BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return ROUTE_STACK;
	route->oif = fib->ifindex;
	uplink = bpf_map_lookup_elem(&uplinks, &route->oif);
	if (!uplink)
		return -DROP_NOT_UPLINK;
	route->mtu = uplink->mtu;
	/* The family may differ: an IPv4 route by an IPv6 next hop (RFC 5549). */
	if (fib->family == AF_INET) {
		addr_set4(&route->next_hop, fib->ipv4_dst);
		addr_set4(&route->source, fib->ipv4_src);
	} else {
		addr_set6(&route->next_hop, fib->ipv6_dst);
		if (v6)
			addr_set6(&route->source, fib->ipv6_src);
		else
			addr_set4(&route->source, fib->ipv4_src);
	}
	if (!route->source_known)
		route->source = v6 ? uplink->addr6 : uplink->addr4;
	route->way = way_find(route, routes);
	return 0;
}
