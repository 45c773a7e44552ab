/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ways: the next hops that flows share, in sets of WAY_SET places. A flow has the index of its way and the generation that the way had then:
 *
 *	 31        20 19                             0
 *	+------------+--------------------------------+
 *	|   index    |           generation           |
 *	+------------+--------------------------------+
 *
 * A way that is taken for another next hop, or found again after routes have changed, gets another generation. So nothing has to be
 * told to its flows, and nothing has to be freed: what finds that its way has become another one asks for its route again. A host with more next
 * hops at the same time than there is room for asks more often. The generation comes round after a million changes of one place; what happens
 * then to a flow that has not sent meanwhile is that it takes one hop of the same host's for another.
 */
#pragma once

#include "hop.h"

#define WAY_SET 4
#define WAY_GENERATION ((1U << WAY_GENERATION_BITS) - 1)
#define WAY_BUSY (1U << 31) /* a CPU is writing: no flow has such a generation */

/* The way of a flow. NULL: its route has to be looked up. */
static __always_inline struct way_value *way_get(__u32 way)
{
	__u32 index = way >> WAY_GENERATION_BITS, generation = way & WAY_GENERATION;
	struct way_value *found = bpf_map_lookup_elem(&ways, &index);

	if (!found || !generation || READ_ONCE(found->generation) != generation || found->routes != generation_of(SLOT_ROUTES))
		return NULL;
	return found;
}

/*
 * The kernel's neighbour table knows the next hop's MAC address, and asking it costs as much as all the rest. So it is asked once a second, by
 * sending a packet its way, which also keeps its entry alive; for the rest of that second the answer holds, daemon or no daemon.
 */
static __always_inline void way_learn(struct way_value *way, const struct ethhdr *eth)
{
	if (!mac_equal(way->dmac, eth->h_dest) || !mac_equal(way->smac, eth->h_source)) {
		/* Another CPU must not take half of each. */
		WRITE_ONCE(way->seen, 0);
		mac_copy(way->dmac, eth->h_dest);
		mac_copy(way->smac, eth->h_source);
	}
	WRITE_ONCE(way->seen, clock_seconds());
}

/* By the way of that number. false: its route has to be looked up. */
static __always_inline bool hop_by_way(__u32 id, __u32 now, struct hop *hop)
{
	struct way_value *way = way_get(id);
	__u32 seen;

	if (!way)
		return false;
	seen = READ_ONCE(way->seen);
	hop->dmac = mac_load(way->dmac);
	hop->smac = mac_load(way->smac);
	hop->oif = way->oif;
	hop->mtu = way->mtu;
	hop->way = id;
	hop->onward = true;
	/* Another CPU may have been writing: then what was read is of two. */
	barrier();
	hop->macs = seen == now && READ_ONCE(way->seen) == now;
	return READ_ONCE(way->generation) == (id & WAY_GENERATION);
}

static __always_inline __u32 way_set(const struct route *route)
{
	const __be32 *w = addr_words(&route->next_hop);

	return ((w[0] ^ w[1]) * 2246822519U ^ w[2] ^ w[3] ^ route->oif * 3266489917U) * 2654435769U >> 20 & (WAYS - WAY_SET);
}

static __always_inline bool way_is(const struct way_value *way, const struct route *route)
{
	return way->generation && way->oif == route->oif && addr_equal(&way->next_hop, &route->next_hop);
}

/* Writes a route, which was looked up while generations[0] was routes, in place of what was there. 0: another CPU is doing so. */
static __always_inline __u32 way_take(struct way_value *way, __u32 index, const struct route *route, __u32 routes)
{
	__u32 was = READ_ONCE(way->generation), now = (was + 1) & WAY_GENERATION;

	if (was & WAY_BUSY || __sync_val_compare_and_swap(&way->generation, was, was | WAY_BUSY) != was)
		return 0;
	if (!was || way->oif != route->oif || !addr_equal(&way->next_hop, &route->next_hop)) {
		way->seen = 0;
		way->oif = route->oif;
		way->next_hop = route->next_hop;
	}
	way->mtu = route->mtu;
	way->routes = routes;
	now = now ? now : 1;
	/* Whoever sees the new generation sees all of the above. */
	__sync_lock_test_and_set(&way->generation, now);
	return index << WAY_GENERATION_BITS | now;
}

/* Which place goes first: one that was never used, then one that was seen longest ago. */
static __always_inline __u64 way_rank(const struct way_value *way)
{
	return way->generation ? (__u64)way->seen + 1 : 0;
}

/* A flow's way for a route. 0: none now, another CPU is at it. */
static __always_inline __u32 way_find(const struct route *route, __u32 routes)
{
	__u32 set = way_set(route), index, at = 0, generation;
	struct way_value *way, *best = NULL;

#pragma unroll
	for (int i = 0; i < WAY_SET; i++) {
		index = set + i;
		way = bpf_map_lookup_elem(&ways, &index);
		if (!way)
			return 0;
		if (way_is(way, route)) {
			generation = READ_ONCE(way->generation);
			if (!(generation & WAY_BUSY) && way->routes == routes && way->mtu == route->mtu)
				return index << WAY_GENERATION_BITS | generation;
			best = way;
			at = index;
			break;
		}
		if (!best || way_rank(way) < way_rank(best)) {
			best = way;
			at = index;
		}
	}
	return best ? way_take(best, at, route, routes) : 0;
}
