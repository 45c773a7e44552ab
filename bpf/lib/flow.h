/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flow table. A session is two entries; whoever inserts the reply entry with BPF_NOEXIST owns the reply tuple, and with it the NAT
 * port: there is no look-up before, so there is no race. A full table refuses; it never evicts (RFC 6888 REQ-11).
 */
#pragma once

#include "config.h"
#include "csum.h"

#define NSEC_PER_SEC 1000000000ULL
#define NAT_TRIES 128
#define SLOT_ROUTES 0
#define SLOT_HOST 262143 /* the last one is never given away, so never changes: flows that hang on no endpoint */

static __always_inline __u32 clock_seconds(void)
{
	return bpf_ktime_get_coarse_ns() / NSEC_PER_SEC;
}

static __always_inline __u32 generation_of(__u32 slot)
{
	__u32 *generation = bpf_map_lookup_elem(&generations, &slot);

	return generation ? *generation : 0;
}

static __always_inline bool flow_is_live(const struct flow_value *flow)
{
	return generation_of(flow->slot) == flow->generation;
}

/*
 * An entry's slot and generation, read and written as one. Whoever turns them into LIFE_OVER, which is never live, is the one to delete
 * the entry: two CPUs that find it stale would otherwise both delete, the slower one what the faster one has put in its place. A stale
 * pair does not come back, so this holds even if the memory has become another entry in the meantime.
 */
typedef __u64 __attribute__((may_alias)) life;
#define LIFE_OVER (~0ULL)

static __always_inline bool life_end(__u32 *slot, life was)
{
	return was != LIFE_OVER && __sync_val_compare_and_swap((life *)slot, was, LIFE_OVER) == was;
}

static __always_inline bool life_end_if_stale(__u32 *slot)
{
	life was = *(volatile life *)slot;

	return generation_of((__u32)was) != was >> 32 && life_end(slot, was);
}

static __always_inline life life_of(__u32 slot, __u32 generation)
{
	return slot | (life)generation << 32;
}

static __always_inline struct flow_value *flow_find(const struct flow_key *key)
{
	struct flow_value *flow = bpf_map_lookup_elem(&flows, key);

	return flow && flow_is_live(flow) ? flow : NULL;
}

static __always_inline __u32 port_use_index(__u8 proto, __be16 port)
{
	__u32 table = proto == IPPROTO_TCP ? PORT_USE_TCP : proto == IPPROTO_UDP ? PORT_USE_UDP : PORT_USE_OTHER;

	return table << 16 | bpf_ntohs(port);
}

static __always_inline __u32 port_use_of(__u8 proto, __be16 port)
{
	__u32 index = port_use_index(proto, port), *use = bpf_map_lookup_elem(&port_use, &index);

	return use ? *use : 0;
}

static __always_inline bool port_in_pool(__be16 port)
{
	__u16 p = bpf_ntohs(port);

	return p >= pool_first && p <= pool_last;
}

/* The key under which the other side of the session stands. */
static __always_inline void flow_key_of_pair(struct flow_key *to, const struct flow_key *key, const struct flow_value *flow)
{
	__builtin_memset(to, 0, sizeof(*to));
	to->src = flow->n_dst;
	to->dst = flow->n_src;
	to->sport = flow->n_dport;
	to->dport = flow->n_sport;
	to->proto = key->proto;
}

/* What a packet does to its session: counters and times of its own direction only. */
static __always_inline void flow_touch(struct __sk_buff *ctx, const struct packet *pkt, struct flow_value *flow)
{
	__u32 now = clock_seconds();

	/* An RST refreshes nothing (RFC 7857 section 2): a forged one must not keep a session. */
	if (!(pkt->tcp_flags & TCP_RST) && flow->seen != now)
		flow->seen = now;
	if (pkt->tcp_flags & ~flow->tcp_flags)
		flow->tcp_flags |= pkt->tcp_flags;
	flow->packets++;
	flow->bytes += ctx->len - pkt->l3;
}

/* A SYN on a closing session begins it afresh: both sides forget what they saw. */
static __always_inline void flow_restart(const struct packet *pkt, struct flow_value *flow)
{
	struct flow_value *pair;
	struct flow_key key;

	flow_key_of_pair(&key, &pkt->key, flow);
	flow->tcp_flags = 0;
	pair = bpf_map_lookup_elem(&flows, &key);
	if (pair)
		pair->tcp_flags = 0;
}

/* A session that is being made: too large for the stack. */
struct flow_draft {
	struct flow_key key, reply_key;
	struct flow_value flow, reply;
	__u32 first, size, start, stride; /* candidate ports: first + (start + i * stride) % size */
	__u32 check_use;		  /* candidates must not be published or bound */
	__be16 wanted;			  /* tried first; 0: none */
	__u8 bind;			  /* the port is bound to the internal endpoint, for all destinations */
	__u8 bound;			  /* it is already: there is no other candidate */
	__s32 result;
};

/* Written and read: one program run. Softirqs are off, and programs do not nest on a CPU between here and the insert. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_draft);
} drafts SEC(".maps");

static __always_inline struct flow_draft *flow_draft_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&drafts, &zero);
}

static __always_inline __u32 csum_diff_ports(const struct flow_key *key, const struct flow_value *flow)
{
	return csum_fold(csum_diff16(key->sport, flow->n_sport) + csum_diff16(key->dport, flow->n_dport));
}

static __always_inline void flow_draft_set_port(struct flow_draft *draft, __be16 port)
{
	draft->flow.n_sport = port;
	draft->reply_key.dport = port;
	draft->flow.port_diff = csum_diff_ports(&draft->key, &draft->flow);
	draft->reply.port_diff = csum_diff_ports(&draft->reply_key, &draft->reply);
}

/* 0: reserved. -EEXIST: taken. Anything else: no room. An entry that is stale makes way. */
static __always_inline int flow_reserve(struct flow_draft *draft)
{
	long ret = bpf_map_update_elem(&flows, &draft->reply_key, &draft->reply, BPF_NOEXIST);
	struct flow_value *other;

	if (ret != -EEXIST)
		return ret;
	other = bpf_map_lookup_elem(&flows, &draft->reply_key);
	if (!other || !life_end_if_stale(&other->slot))
		return -EEXIST;
	bpf_map_delete_elem(&flows, &draft->reply_key);
	return bpf_map_update_elem(&flows, &draft->reply_key, &draft->reply, BPF_NOEXIST);
}

/* Gives the reply tuple back, unless the container went away meanwhile and somebody else has it. */
static __always_inline void flow_unreserve(const struct flow_draft *draft)
{
	struct flow_value *reply = bpf_map_lookup_elem(&flows, &draft->reply_key);

	if (reply && life_end(&reply->slot, life_of(draft->reply.slot, draft->reply.generation)))
		bpf_map_delete_elem(&flows, &draft->reply_key);
}

static __always_inline bool binding_is_live(const struct binding_value *binding)
{
	return generation_of(binding->slot) == binding->generation;
}

/* Both keys of the binding that a draft needs for its external port. */
static __always_inline void binding_keys(const struct flow_draft *draft, __be16 port, struct binding_key *inside,
					 struct binding_key *outside)
{
	__builtin_memset(inside, 0, sizeof(*inside));
	__builtin_memset(outside, 0, sizeof(*outside));
	inside->addr = draft->key.src;
	inside->ext = draft->flow.n_src;
	inside->port = draft->key.sport;
	inside->proto = outside->proto = draft->key.proto;
	inside->inside = 1;
	outside->addr = draft->flow.n_src;
	outside->port = port;
}

/* If the internal endpoint has an external port already, that is the draft's only candidate. */
static __always_inline void binding_use(struct flow_draft *draft)
{
	struct binding_key inside, outside;
	struct binding_value *binding;

	binding_keys(draft, 0, &inside, &outside);
	binding = bpf_map_lookup_elem(&bindings, &inside);
	if (!binding)
		return;
	if (life_end_if_stale(&binding->slot)) {
		outside.port = binding->port;
		bpf_map_delete_elem(&bindings, &inside);
		binding = bpf_map_lookup_elem(&bindings, &outside);
		if (binding && life_end_if_stale(&binding->slot))
			bpf_map_delete_elem(&bindings, &outside);
		return;
	}
	if (!binding_is_live(binding))
		return;
	binding->seen = clock_seconds();
	draft->wanted = binding->port;
	draft->bound = 1;
}

/*
 * Takes an external port for an internal endpoint: the outside entry is the reservation, as the reply entry is for a flow. 0: *port is the
 * endpoint's (perhaps another one than asked for: another CPU was faster). -EEXIST: somebody else's. Anything else: no room.
 */
static __always_inline int binding_reserve(struct flow_draft *draft, __be16 *port)
{
	struct binding_value value = {
		.addr = draft->key.src,
		.port = draft->key.sport,
		.network = draft->flow.network,
		.slot = draft->flow.slot,
		.generation = draft->flow.generation,
		.seen = clock_seconds(),
	};
	struct binding_key inside, outside;
	struct binding_value *other;
	long ret;

	binding_keys(draft, *port, &inside, &outside);
	ret = bpf_map_update_elem(&bindings, &outside, &value, BPF_NOEXIST);
	if (ret == -EEXIST) {
		other = bpf_map_lookup_elem(&bindings, &outside);
		if (!other || !life_end_if_stale(&other->slot))
			return -EEXIST;
		bpf_map_delete_elem(&bindings, &outside);
		ret = bpf_map_update_elem(&bindings, &outside, &value, BPF_NOEXIST);
	}
	if (ret)
		return ret;
	value.addr = draft->flow.n_src;
	value.port = *port;
	ret = bpf_map_update_elem(&bindings, &inside, &value, BPF_NOEXIST);
	if (!ret)
		return 0;
	other = bpf_map_lookup_elem(&bindings, &outside);
	if (other && life_end(&other->slot, life_of(value.slot, value.generation)))
		bpf_map_delete_elem(&bindings, &outside);
	if (ret != -EEXIST)
		return ret;
	other = bpf_map_lookup_elem(&bindings, &inside);
	if (!other || !binding_is_live(other))
		return -EEXIST;
	*port = other->port;
	return 0;
}

static __always_inline bool flow_candidate(const struct flow_draft *draft, __u32 i, __be16 *port)
{
	if (i == 0)
		*port = draft->wanted;
	else
		*port = bpf_htons((__u16)(draft->first + (draft->start + i * draft->stride) % draft->size));
	return *port && !(draft->check_use && port_use_of(draft->key.proto, *port));
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
			return 0;
		/* A bound port is nobody else's: this very flow is being made by another CPU. */
		draft->result = 1;
		return 1;
	}
	draft->result = ret ? -DROP_TABLE_FULL : 0;
	return 1;
}

/*
 * Completes and inserts a draft of which the caller has filled key, the addresses, destination port, kind, actions, slots and
 * interfaces of both sides. 0, or -DROP_*. 1: another CPU was faster; its flow stands under the key.
 */
static __always_inline int flow_insert(struct flow_draft *draft)
{
	long ret;

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
	draft->flow.addr_diff = csum_diff_addrs(&draft->key, &draft->flow.n_src, &draft->flow.n_dst);
	draft->reply.addr_diff = csum_diff_addrs(&draft->reply_key, &draft->reply.n_src, &draft->reply.n_dst);
	draft->result = -DROP_NO_PORT;
	if (draft->bind)
		binding_use(draft);
	/* Unguessable where the port is not kept (RFC 6056): random start, random odd stride. */
	draft->start = bpf_get_prandom_u32() & 0x0fffffff;
	draft->stride = (bpf_get_prandom_u32() & 0xffff) | 1;
	if (bpf_loop(NAT_TRIES, flow_try_port, NULL, 0) < 0)
		return -DROP_NO_PORT;
	if (draft->result)
		return draft->result;
	ret = bpf_map_update_elem(&flows, &draft->key, &draft->flow, BPF_NOEXIST);
	if (!ret)
		return 0;
	flow_unreserve(draft);
	return ret == -EEXIST ? 1 : -DROP_TABLE_FULL;
}

/* Deletes a stale session: its own entry, and the other side's unless that has been taken over by a live one. */
static __always_inline void flow_delete_stale(const struct flow_key *key, struct flow_value *flow)
{
	struct flow_key pair_key;
	struct flow_value *pair;

	if (!life_end_if_stale(&flow->slot))
		return;
	flow_key_of_pair(&pair_key, key, flow);
	bpf_map_delete_elem(&flows, key);
	pair = bpf_map_lookup_elem(&flows, &pair_key);
	if (pair && life_end_if_stale(&pair->slot))
		bpf_map_delete_elem(&flows, &pair_key);
}
