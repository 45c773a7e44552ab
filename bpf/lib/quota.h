/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What one container may take: flows at a time and flows begun in a second (RFC 6888 REQ-4, REQ-5). One that takes all it can get
 * must leave the others something. */
#pragma once

#include "flow.h"

static __always_inline const struct settings_value *settings_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&settings, &zero);
}

/* Are all of these SETTING_* on? */
static __always_inline bool settings_have(__u32 flags)
{
	const struct settings_value *all = settings_get();

	return all && (all->flags & flags) == flags;
}

static __always_inline struct quota_value *quota_get(__u32 slot)
{
	struct quota_value *quota = bpf_map_lookup_elem(&quotas, &slot), none = {};

	if (quota)
		return quota;
	bpf_map_update_elem(&quotas, &slot, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&quotas, &slot);
}

/* A second begins for whoever looks first; a few flows more or less when two look at once do no harm. */
static __always_inline void quota_tick(struct quota_value *quota)
{
	__u32 now = clock_seconds();

	if (quota->second != now) {
		quota->second = now;
		quota->begun = quota->told = 0;
	}
}

/* Counts a session that slot's container begins. 0, or -DROP_QUOTA. */
static __always_inline int quota_take(__u32 slot)
{
	const struct settings_value *setting = settings_get();
	struct quota_value *quota = quota_get(slot);

	if (!quota || !setting)
		return 0;
	quota_tick(quota);
	if (setting->max_rate && quota->begun >= setting->max_rate)
		return -DROP_QUOTA;
	if (setting->max_flows && quota->flows >= setting->max_flows)
		return -DROP_QUOTA;
	__sync_fetch_and_add(&quota->begun, 1);
	__sync_fetch_and_add(&quota->flows, 1);
	return 0;
}

/* Should the count ever be wrong, it must not fall below 0: that would refuse the container for ever. */
static __always_inline void quota_give_back(__u32 slot)
{
	struct quota_value *quota = bpf_map_lookup_elem(&quotas, &slot);

	if (quota && !__sync_fetch_and_add(&quota->flows, -1))
		__sync_fetch_and_add(&quota->flows, 1);
}

/* Sessions by translated source port: an unexpected SYN to one must not be answered (RFC 5382 REQ-4). */
static __always_inline void port_flows_add(const struct flow_key *key, const struct flow_value *flow, __s32 n)
{
	__u32 index = port_use_index(key->proto, flow->n_sport), *count;

	if (!(flow->flags & FLOW_NAT_SRC) || flow->flags & FLOW_REPLY)
		return;
	count = bpf_map_lookup_elem(&port_flows, &index);
	if (count)
		__sync_fetch_and_add(count, n);
}

static __always_inline bool port_is_mapped(const struct packet *pkt)
{
	__u32 index = port_use_index(pkt->key.proto, pkt->key.dport), *count = bpf_map_lookup_elem(&port_flows, &index);

	return count && *count && !(port_use_of(pkt->key.proto, pkt->key.dport) & PORT_HOST);
}

/*
 * Whose quota a session counts against: that of the container that began it. slot: the one that the entry had when it lived. A hairpin hangs on
 * the port that it reaches, and its sender is asked for; one that is gone counts nothing any more.
 */
static __always_inline __u32 flow_owner(const struct flow_key *key, const struct flow_value *flow, __u32 slot)
{
	struct endpoint_value *endpoint;

	if (flow->flags & FLOW_REPLY || !flow->iif)
		return 0;
	if (flow->kind != FLOW_HAIRPIN)
		return slot;
	endpoint = bpf_map_lookup_elem(&endpoints, &key->src);
	return endpoint && endpoint->ifindex == flow->iif ? endpoint->slot : 0;
}

/* What a session counts against, it counts against until it is deleted. Both of its entries may be given: only one counts. */
static __always_inline void flow_uncount(const struct flow_key *key, const struct flow_value *flow, __u32 slot)
{
	__u32 owner = flow_owner(key, flow, slot);

	port_flows_add(key, flow, -1);
	if (owner)
		quota_give_back(owner);
}
