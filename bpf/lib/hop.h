/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a translated packet goes next. No flow says it by itself: of containers the daemon tells, of next hops the ways that flows share. */
#pragma once

#include "flow.h"

/* What the kernel's routing says, see route.h. */
struct route {
	__u32 oif;
	__u32 mtu;
	struct addr next_hop, source;
	__u32 source_known;
	__u32 way; /* 0: another CPU is writing it */
};

struct hop {
	__u64 dmac, smac; /* mac_load() */
	__u32 oif;
	__u32 mtu;   /* of oif, bytes of layer 3 */
	__u32 way;   /* of the flow; 0: it has none */
	bool onward; /* it goes somewhere: false where the stack has it next */
	bool macs;   /* dmac and smac are known */
};

/* false: the daemon is writing, or has put another address in its place. */
static __always_inline bool hop_by_shortcut(const struct shortcut_value *found, const struct addr *to, struct hop *hop)
{
	__u32 slot = found->slot, generation = READ_ONCE(found->generation);

	hop->dmac = mac_load(found->mac);
	hop->smac = mac_load(found->bridge_mac);
	hop->oif = found->ifindex;
	hop->mtu = found->mtu;
	hop->onward = hop->macs = true;
	/* What was read has to be of one piece. */
	barrier();
	return found->kind == SHORTCUT_ENDPOINT && generation_of(slot) == generation && addr_equal(&found->addr, to);
}

/* By the table that the shortcuts are of. 0, or -DROP_*.
 * verifier: not static, so that both ways to find a container leave the same behind. */
__noinline int hop_by_endpoint(const struct addr *to, struct hop *hop)
{
	const struct endpoint_value *endpoint;
	struct addr key;

	if (!to || !hop)
		return -DROP_UNKNOWN_ENDPOINT;
	/* verifier: 6.1 takes keys from the stack of whoever looks. */
	key = *to;
	endpoint = bpf_map_lookup_elem(&endpoints, &key);
	if (!endpoint || generation_of(endpoint->slot) != endpoint->generation)
		return -DROP_UNKNOWN_ENDPOINT;
	hop->dmac = mac_load(endpoint->mac);
	hop->smac = mac_load(endpoint->bridge_mac);
	hop->oif = endpoint->ifindex;
	hop->mtu = endpoint->mtu;
	hop->onward = hop->macs = true;
	return 0;
}

/* Into the container whose address it is. 0, or -DROP_*. */
static __always_inline int hop_to_peer(const struct addr *to, struct hop *hop)
{
	const struct shortcut_value *found = shortcut_place(to);

	return found && hop_by_shortcut(found, to, hop) ? 0 : hop_by_endpoint(to, hop);
}
