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
static __always_inline bool flow_makes_way(const struct flow_draft *draft, struct flow_value *other, bool v6)
{
	bool retired = other->flags & FLOW_RETIRED, rests = retired || (draft->spares && !(other->tcp_flags & TCP_RST));
	life was = flow_life(other);

	if (rests && !flow_leads_to(other, v6, &draft->key.src, draft->key.sport))
		return false;
	return (retired || life_is_stale(was)) && flow_entry_end(&draft->reply_key, other, v6, was);
}

/* Does a session of TCP that has ended, but was not seen being closed, stand for its port? reply is what its answers came by. */
static __always_inline bool flow_rests(const struct flow_key *reply_key, const struct flow_value *reply)
{
	return reply->kind == FLOW_MASQUERADE && reply->flags & FLOW_REPLY && !(reply->tcp_flags & TCP_RST) &&
	       !proto_is_bound(reply_key->proto) && settings_have(SETTING_PORTS_REST);
}

/* 0: reserved. -EEXIST: taken. Anything else: no room. */
static __always_inline int flow_reserve(struct flow_draft *draft, bool v6)
{
	int ret = flow_add(&draft->reply_key, &draft->reply, v6, &draft->scratch);
	struct flow_value *other;

	if (ret != -EEXIST)
		return ret;
	other = flow_lookup(&draft->reply_key, v6);
	if (!other || !flow_makes_way(draft, other, v6))
		return -EEXIST;
	flow_delete(&draft->reply_key, v6);
	return flow_add(&draft->reply_key, &draft->reply, v6, &draft->scratch);
}

/* Gives the reply tuple back, unless the container went away meanwhile and somebody else has it. */
static __always_inline void flow_unreserve(const struct flow_draft *draft, bool v6)
{
	struct flow_value *reply = flow_lookup(&draft->reply_key, v6);

	if (reply && flow_entry_end(&draft->reply_key, reply, v6, life_of(draft->reply.slot, draft->reply.generation)))
		flow_delete(&draft->reply_key, v6);
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
static __always_inline bool flow_is_taken(struct flow_draft *draft, bool v6, __be16 port)
{
	draft->reply_key.dport = port;
	return draft->key.proto == IPPROTO_TCP && flow_lookup(&draft->reply_key, v6);
}

/* The tuple of a bound port is taken: this very flow is being made by another CPU, or see flow_is_taken(). */
static __always_inline int flow_bound_clash(const struct flow_draft *draft, bool v6)
{
	struct flow_value *other = flow_lookup(&draft->reply_key, v6);

	return other && !flow_leads_to(other, v6, &draft->key.src, draft->key.sport) ? -DROP_NO_PORT : 1;
}

/* 0: try another one. 1: draft->result says how it ended. */
static __always_inline long flow_try(struct flow_draft *draft, bool v6, __u32 i)
{
	__be16 port;
	int ret;

	if (draft->bound) {
		port = draft->wanted;
	} else {
		if (i && !draft->size)
			return 1;
		if (!flow_candidate(draft, i, &port))
			return 0;
		if (draft->bind) {
			if (flow_is_taken(draft, v6, port))
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
	ret = flow_reserve(draft, v6);
	if (ret == -EEXIST) {
		if (!draft->bind)
			return draft->bound ? 1 : 0;
		draft->result = flow_bound_clash(draft, v6);
		return 1;
	}
	draft->result = ret ? -DROP_TABLE_FULL : 0;
	return 1;
}

static long flow_try_port4(__u32 i, void *unused)
{
	struct flow_draft *draft = flow_draft_get();

	return draft ? flow_try(draft, false, i) : 1;
}

static long flow_try_port6(__u32 i, void *unused)
{
	struct flow_draft *draft = flow_draft_get();

	return draft ? flow_try(draft, true, i) : 1;
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
static __always_inline int flow_insert_pair(struct flow_draft *draft, bool v6)
{
	int ret;

	draft->result = -DROP_NO_PORT;
	if (draft->bind)
		binding_use(draft);
	ret = v6 ? bpf_loop(NAT_TRIES, flow_try_port6, NULL, 0) : bpf_loop(NAT_TRIES, flow_try_port4, NULL, 0);
	if (ret < 0)
		return -DROP_NO_PORT;
	tries_count(draft, ret);
	if (draft->result)
		return draft->result;
	ret = flow_add(&draft->key, &draft->flow, v6, &draft->scratch);
	if (!ret)
		return 0;
	flow_unreserve(draft, v6);
	return ret == -EEXIST ? 1 : -DROP_TABLE_FULL;
}

/*
 * Completes and inserts the draft, of which the caller has filled key, the addresses, destination port, kind, actions, slots and
 * interfaces of both sides. 0, or -DROP_*. 1: another CPU was faster; its flow stands under the key.
 * verifier: not static, so that it is walked through once, not for each way that leads here.
 */
__noinline int flow_insert(__u32 v6)
{
	struct flow_draft *draft = flow_draft_get();
	int ret;

	if (!draft)
		return -DROP_TABLE_FULL;
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
	flow_set_addrs(&draft->key, &draft->flow, v6);
	flow_set_addrs(&draft->reply_key, &draft->reply, v6);
	if (draft->owner) {
		ret = quota_take(draft->owner);
		if (ret)
			return ret;
	}
	ret = flow_insert_pair(draft, v6);
	if (!ret)
		port_flows_add(&draft->key, (const struct flow_value *)&draft->flow, 1);
	else if (draft->owner)
		quota_give_back(draft->owner);
	return ret;
}

/* Deletes an entry of that life, unless another CPU is doing so: what it counts, only one may take back. pair: the other side's key. */
static __always_inline bool flow_remove(const struct flow_key *key, struct flow_value *flow, bool v6, life was,
					struct flow_key *pair)
{
	if (!flow_entry_end(key, flow, v6, was))
		return false;
	flow_key_of_pair(pair, key, flow, v6);
	flow_uncount(key, flow, (__u32)was);
	flow_delete(key, v6);
	return true;
}

static __always_inline bool flow_remove_if_stale(const struct flow_key *key, struct flow_value *flow, bool v6,
						 struct flow_key *pair)
{
	life was = flow_life(flow);

	return life_is_stale(was) && flow_remove(key, flow, v6, was, pair);
}

/* Deletes a live session. */
static __always_inline void flow_end(const struct flow_key *key, struct flow_value *flow, bool v6)
{
	struct flow_key pair, back;

	if (!flow_remove(key, flow, v6, flow_life(flow), &pair))
		return;
	flow = flow_lookup(&pair, v6);
	if (flow && flow_leads_to(flow, v6, &key->src, key->sport))
		flow_remove(&pair, flow, v6, flow_life(flow), &back);
}

/* Deletes a stale session: its own entry, and the other side's unless that has been taken over by a live one. */
static __always_inline void flow_delete_stale(const struct flow_key *key, struct flow_value *flow, bool v6)
{
	struct flow_key pair, back;

	if (!flow_remove_if_stale(key, flow, v6, &pair))
		return;
	flow = flow_lookup(&pair, v6);
	if (flow)
		flow_remove_if_stale(&pair, flow, v6, &back);
}
