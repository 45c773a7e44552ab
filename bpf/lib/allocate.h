/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Making and ending sessions. A session is two entries; whoever inserts the reply entry with BPF_NOEXIST owns the reply tuple, and with it
 * the NAT port: there is no look-up before, so there is no race. A full table refuses; it never evicts (RFC 6888 REQ-11).
 */
#pragma once

#include "binding.h"
#include "quota.h"

#define NAT_TRIES 128

/* An entry that is stale makes way, but those that ports rest by (RFC 6888 REQ-8) only to the endpoint that had the port. Who gets true has
 * ended it. */
static __always_inline bool flow_makes_way(const struct flow_draft *draft, struct flow_value *other)
{
	bool retired = other->flags & FLOW_RETIRED, rests = retired || (draft->spares && !(other->tcp_flags & TCP_RST));

	if (rests && (!addr_equal(&other->n_dst, &draft->key.src) || other->n_dport != draft->key.sport))
		return false;
	return retired ? flow_entry_end_any(&draft->reply_key, other) : flow_entry_end_if_stale(&draft->reply_key, other);
}

/* Does a session of TCP that has ended, but was not seen being closed, stand for its port? reply is what its answers came by. */
static __always_inline bool flow_rests(const struct flow_key *reply_key, const struct flow_value *reply)
{
	return reply->kind == FLOW_MASQUERADE && reply->flags & FLOW_REPLY && !(reply->tcp_flags & TCP_RST) &&
	       !proto_is_bound(reply_key->proto) && settings_have(SETTING_PORTS_REST);
}

/* 0: reserved. -EEXIST: taken. Anything else: no room. */
static __always_inline int flow_reserve(struct flow_draft *draft)
{
	int ret = bpf_map_update_elem(&flows, &draft->reply_key, &draft->reply, BPF_NOEXIST);
	struct flow_value *other;

	if (ret != -EEXIST)
		return ret;
	other = bpf_map_lookup_elem(&flows, &draft->reply_key);
	if (!other || !flow_makes_way(draft, other))
		return -EEXIST;
	bpf_map_delete_elem(&flows, &draft->reply_key);
	return bpf_map_update_elem(&flows, &draft->reply_key, &draft->reply, BPF_NOEXIST);
}

/* Gives the reply tuple back, unless the container went away meanwhile and somebody else has it. */
static __always_inline void flow_unreserve(const struct flow_draft *draft)
{
	struct flow_value *reply = bpf_map_lookup_elem(&flows, &draft->reply_key);

	if (reply && flow_entry_end(&draft->reply_key, reply, life_of(draft->reply.slot, draft->reply.generation)))
		bpf_map_delete_elem(&flows, &draft->reply_key);
}

static __always_inline bool flow_candidate(struct flow_draft *draft, __u32 i, __be16 *port)
{
	/* Unguessable where the port is not kept (RFC 6056): random start, random odd stride. */
	if (i == 1) {
		draft->start = bpf_get_prandom_u32() & 0x0fffffff;
		draft->stride = (bpf_get_prandom_u32() & 0xffff) | 1;
	}
	if (i == 0)
		*port = draft->wanted;
	else
		*port = bpf_htons((__u16)(draft->first + (draft->start + i * draft->stride) % draft->size));
	return *port && !(draft->check_use && port_use_of(draft->key.proto, *port));
}

/* Has a session of TCP the tuple that is older than the option that binds TCP? One that comes in this very moment, flow_bound_clash() meets. */
static __always_inline bool flow_is_taken(struct flow_draft *draft, __be16 port)
{
	draft->reply_key.dport = port;
	return draft->key.proto == IPPROTO_TCP && bpf_map_lookup_elem(&flows, &draft->reply_key);
}

/* The tuple of a bound port is taken: this very flow is being made by another CPU, or see flow_is_taken(). */
static __always_inline int flow_bound_clash(const struct flow_draft *draft)
{
	struct flow_value *other = bpf_map_lookup_elem(&flows, &draft->reply_key);

	return other && (!addr_equal(&other->n_dst, &draft->key.src) || other->n_dport != draft->key.sport) ? -DROP_NO_PORT : 1;
}

static long flow_try_port(__u32 i, void *unused)
{
	struct flow_draft *draft = flow_draft_get();
	__be16 port;
	int ret;

	if (!draft)
		return 1;
	if (draft->bound) {
		port = draft->wanted;
	} else {
		if (i && !draft->size)
			return 1;
		if (!flow_candidate(draft, i, &port))
			return 0;
		if (draft->bind) {
			if (flow_is_taken(draft, port))
				return 0;
			ret = binding_reserve(draft, &port);
			if (ret == -EEXIST)
				return 0;
			if (ret) {
				draft->result = -DROP_TABLE_FULL;
				return 1;
			}
		}
	}
	flow_draft_set_port(draft, port);
	ret = flow_reserve(draft);
	if (ret == -EEXIST) {
		if (!draft->bind)
			return draft->bound ? 1 : 0;
		draft->result = flow_bound_clash(draft);
		return 1;
	}
	draft->result = ret ? -DROP_TABLE_FULL : 0;
	return 1;
}

/* Counts how many tries it took to find a source port. */
static __always_inline void tries_count(const struct flow_draft *draft, __u32 n)
{
	__u32 bucket = TRIES_FAILED;
	__u64 *count;

	if (!(draft->flow.flags & FLOW_NAT_SRC) || draft->bound)
		return;
	/* The first round is for the port that the container has, if that may be kept. */
	if (!draft->wanted)
		n--;
	if (draft->result != -DROP_NO_PORT)
		for (bucket = 0; bucket < TRIES_FAILED - 1 && n > 1U << bucket; bucket++)
			;
	count = bpf_map_lookup_elem(&tries, &bucket);
	if (count)
		*count += 1;
}

/* The reply's entry, which is the reservation, then the other. */
static __always_inline int flow_insert_pair(struct flow_draft *draft)
{
	int ret;

	draft->result = -DROP_NO_PORT;
	if (draft->bind)
		binding_use(draft);
	ret = bpf_loop(NAT_TRIES, flow_try_port, NULL, 0);
	if (ret < 0)
		return -DROP_NO_PORT;
	tries_count(draft, ret);
	if (draft->result)
		return draft->result;
	ret = bpf_map_update_elem(&flows, &draft->key, &draft->flow, BPF_NOEXIST);
	if (!ret)
		return 0;
	flow_unreserve(draft);
	return ret == -EEXIST ? 1 : -DROP_TABLE_FULL;
}

/*
 * Completes and inserts a draft of which the caller has filled key, the addresses, destination port, kind, actions, slots and
 * interfaces of both sides. 0, or -DROP_*. 1: another CPU was faster; its flow stands under the key.
 */
static __always_inline int flow_insert(struct flow_draft *draft)
{
	int ret;

	draft->reply_key.src = draft->flow.n_dst;
	draft->reply_key.dst = draft->flow.n_src;
	draft->reply_key.sport = draft->flow.n_dport;
	draft->reply_key.proto = draft->key.proto;
	draft->reply.n_src = draft->key.dst;
	draft->reply.n_dst = draft->key.src;
	draft->reply.n_sport = draft->key.dport;
	draft->reply.n_dport = draft->key.sport;
	draft->reply.flags |= FLOW_REPLY;
	draft->reply.seen = draft->flow.seen = clock_seconds();
	flow_set_addrs(&draft->key, &draft->flow);
	flow_set_addrs(&draft->reply_key, &draft->reply);
	if (draft->flow.owner) {
		ret = quota_take(draft->flow.owner);
		if (ret)
			return ret;
	}
	ret = flow_insert_pair(draft);
	if (!ret)
		port_flows_add(&draft->key, &draft->flow, 1);
	else if (draft->flow.owner)
		quota_give_back(draft->flow.owner);
	return ret;
}

/* Deletes a live session, unless another CPU is doing so: what it counts, only one may take back. */
static __always_inline void flow_end(const struct flow_key *key, struct flow_value *flow)
{
	struct flow_key pair_key;
	struct flow_value *pair;

	if (!flow_entry_end_any(key, flow))
		return;
	flow_key_of_pair(&pair_key, key, flow);
	flow_uncount(key, flow);
	bpf_map_delete_elem(&flows, key);
	pair = bpf_map_lookup_elem(&flows, &pair_key);
	if (pair && addr_equal(&pair->n_dst, &key->src) && pair->n_dport == key->sport && flow_entry_end_any(&pair_key, pair))
		bpf_map_delete_elem(&flows, &pair_key);
}

/* Deletes a stale session: its own entry, and the other side's unless that has been taken over by a live one. */
static __always_inline void flow_delete_stale(const struct flow_key *key, struct flow_value *flow)
{
	struct flow_key pair_key;
	struct flow_value *pair;

	if (!flow_entry_end_if_stale(key, flow))
		return;
	flow_key_of_pair(&pair_key, key, flow);
	flow_uncount(key, flow);
	bpf_map_delete_elem(&flows, key);
	pair = bpf_map_lookup_elem(&flows, &pair_key);
	if (pair && flow_entry_end_if_stale(&pair_key, pair)) {
		flow_uncount(&pair_key, pair);
		bpf_map_delete_elem(&flows, &pair_key);
	}
}
