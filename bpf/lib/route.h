/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a packet leaves the host, says the kernel's FIB (policy rules, source addresses and all); what we keep is its answer. */
#pragma once

#include "allocate.h"

struct route {
	__u32 oif;
	__u32 mtu;
	struct addr next_hop, source;
	bool source_known;
};

#define ROUTE_STACK 1 /* no route: the stack tells the sender */

/*
 * 0: route is filled. ROUTE_STACK: the stack knows what to answer. Or -DROP_*.
 * iif: the interface that the packet counts as arriving on, for policy rules and the forwarding switch.
 */
static __always_inline int route_find(struct __sk_buff *ctx, const struct packet *pkt, const struct addr *src,
				      const struct addr *dst, __u32 iif, struct route *route)
{
	struct bpf_fib_lookup fib;
	struct uplink_value *uplink;
	long ret;

	/* A loop of two: kernels before 6.7 answer the flags they do not know with EINVAL. */
#pragma unroll
	for (int i = 0; i < 2; i++) {
		__builtin_memset(&fib, 0, sizeof(fib));
		fib.ifindex = iif;
		fib.l4_protocol = pkt->key.proto;
		fib.sport = pkt->key.sport;
		fib.dport = pkt->key.dport;
		if (pkt->v6) {
			fib.family = AF_INET6;
			__builtin_memcpy(fib.ipv6_src, src->b, 16);
			__builtin_memcpy(fib.ipv6_dst, dst->b, 16);
		} else {
			fib.family = AF_INET;
			fib.tos = pkt->tos & 0x1c;
			fib.ipv4_src = addr_words(src)[3];
			fib.ipv4_dst = addr_words(dst)[3];
		}
		ret = bpf_fib_lookup(ctx, &fib, sizeof(fib), i ? 0 : BPF_FIB_LOOKUP_SKIP_NEIGH | BPF_FIB_LOOKUP_SRC);
		route->source_known = !i;
		if (ret != -EINVAL)
			break;
	}
	if (ret == BPF_FIB_LKUP_RET_FWD_DISABLED)
		return -DROP_FORWARDING_OFF;
	if (ret == BPF_FIB_LKUP_RET_NO_SRC_ADDR)
		return -DROP_NO_ADDRESS;
	/* Too big: all else is known. Whether it is says the uplink's MTU, since the kernel looks at whole packets only, and not closely. */
	if (ret != BPF_FIB_LKUP_RET_SUCCESS && ret != BPF_FIB_LKUP_RET_NO_NEIGH && ret != BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return ROUTE_STACK;
	route->oif = fib.ifindex;
	uplink = bpf_map_lookup_elem(&uplinks, &route->oif);
	if (!uplink)
		return -DROP_NOT_UPLINK;
	route->mtu = uplink->mtu;
	/* The family may differ: an IPv4 route by an IPv6 next hop (RFC 5549). */
	if (fib.family == AF_INET) {
		addr_set4(&route->next_hop, fib.ipv4_dst);
		addr_set4(&route->source, fib.ipv4_src);
	} else {
		addr_set6(&route->next_hop, fib.ipv6_dst);
		if (pkt->v6)
			addr_set6(&route->source, fib.ipv6_src);
		else
			addr_set4(&route->source, fib.ipv4_src);
	}
	if (!route->source_known)
		route->source = pkt->v6 ? uplink->addr6 : uplink->addr4;
	return 0;
}
