/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which of its addresses the host takes towards a destination (RFC 6724). For IPv6 the kernel goes through all addresses of all interfaces to
 * say so, which takes as long as there are many. So what it chose holds for the rest of the second, as MAC addresses of next hops do, daemon
 * or no daemon; and for no one but the same sender, receiver and port by the same next hop, since routing rules may tell others apart. Two
 * sessions that differ in nothing but the port they come from are given the same address even where a rule would tell these apart.
 */
#pragma once

#include "hop.h"

#define CHOICES 256

struct choice {
	struct addr src, dst;
	__u32 iif;
	__be16 dport;
	__u8 proto;
	__u8 pad;
	__u32 oif; /* of the route that it was chosen for */
	__u32 routes;
	struct addr next_hop;
	struct addr source;
	__u32 seen; /* CLOCK_MONOTONIC seconds */
	__u32 unused;
};

/* Written and read: route_find(), softirqs being off. Life: one second, or until others need the place. Size: what is connected to often. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CHOICES);
	__type(key, __u32);
	__type(value, struct choice);
} choices SEC(".maps");

static __always_inline struct choice *choice_place(const struct bpf_fib_lookup *ask)
{
	const __u32 *src = ask->ipv6_src, *dst = ask->ipv6_dst;
	__u32 index = ((dst[0] ^ dst[1]) * 2246822519U ^ dst[2] ^ dst[3] ^ src[3] ^ ask->dport) * 2654435769U >> 24;

	return bpf_map_lookup_elem(&choices, &index);
}

static __always_inline bool choice_is_for(const struct choice *choice, const struct bpf_fib_lookup *ask, __u32 routes)
{
	struct addr src, dst;

	addr_set6(&src, ask->ipv6_src);
	addr_set6(&dst, ask->ipv6_dst);
	return choice->seen == clock_seconds() && choice->routes == routes && choice->iif == ask->ifindex &&
	       choice->dport == ask->dport && choice->proto == ask->l4_protocol && addr_equal(&choice->src, &src) &&
	       addr_equal(&choice->dst, &dst);
}

/* fib: the kernel's answer, but for the source. False: the route is not the one that the address was chosen for. */
static __always_inline bool choice_apply(const struct choice *choice, struct bpf_fib_lookup *fib)
{
	struct addr next_hop;

	addr_set6(&next_hop, fib->ipv6_dst);
	if (fib->ifindex != choice->oif || !addr_equal(&choice->next_hop, &next_hop))
		return false;
	__builtin_memcpy(fib->ipv6_src, choice->source.b, 16);
	return true;
}

/* fib: the kernel's answer to ask, with the source. */
static __always_inline void choice_keep(struct choice *choice, const struct bpf_fib_lookup *ask, const struct bpf_fib_lookup *fib,
					__u32 routes)
{
	addr_set6(&choice->src, ask->ipv6_src);
	addr_set6(&choice->dst, ask->ipv6_dst);
	choice->iif = ask->ifindex;
	choice->dport = ask->dport;
	choice->proto = ask->l4_protocol;
	choice->oif = fib->ifindex;
	choice->routes = routes;
	addr_set6(&choice->next_hop, fib->ipv6_dst);
	addr_set6(&choice->source, fib->ipv6_src);
	choice->seen = clock_seconds();
}
