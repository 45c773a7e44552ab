/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A session that is being made. */
#pragma once

#include "hop.h"
#include "rewrite.h"

/* What is too large for the stack. Entries are drawn up with addresses of either family, and put into their table as that has them. */
struct flow_draft {
	struct flow_key key, reply_key;
	struct flow6_value flow, reply;
	__u32 owner;			  /* slot of the endpoint whose quota the session counts against; 0: none */
	__u32 first, size, start, stride; /* candidate ports: first + (start + i * stride) % size */
	__u32 check_use;		  /* candidates must not be published or bound */
	__be16 wanted;			  /* tried first; 0: none */
	__u8 bind;			  /* the port is bound to the internal endpoint, for all destinations */
	__u8 bound;			  /* it is already: there is no other candidate */
	__u8 spares;			  /* leaves alone what ports others had that are gone (RFC 6888 REQ-8) */
	__s32 result;
	__u32 bind_slot, bind_generation; /* of the internal endpoint's container */
	__u32 bind_network;
	/* From here on it is filled in before it is read, and not cleared. */
	struct flow4_value scratch;	    /* flow or reply, as flows4 has it */
	struct binding_key inside, outside; /* of its binding */
	struct binding_value binding;
	struct bpf_fib_lookup ask, fib;
	__u32 ask_source; /* which source the host takes, too: for IPv6 the kernel goes through all of its addresses */
	struct route route;
	struct rewrite error; /* what becomes of an ICMP error */
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

static __always_inline void flow_draft_begin(struct flow_draft *draft, const struct flow_key *key)
{
	__builtin_memset(draft, 0, offsetof(struct flow_draft, scratch));
	draft->key = *key;
}

/* Both sides end when what they hang on does: see life_of(). */
static __always_inline void flow_draft_set_life(struct flow_draft *draft, __u32 slot, __u32 generation)
{
	draft->flow.slot = draft->reply.slot = slot;
	draft->flow.generation = draft->reply.generation = generation;
}

/* The source gets an address of the host's: its port must be none of the host's own. */
static __always_inline void flow_draft_use_pool(struct flow_draft *draft)
{
	draft->first = pool_first;
	draft->size = pool_last - pool_first + 1;
	draft->check_use = 1;
}

/* The source keeps its address, of which all but the well-known ports will do. */
static __always_inline void flow_draft_use_any(struct flow_draft *draft)
{
	draft->first = 1024;
	draft->size = 65536 - 1024;
}

/* In IPv4 it takes fewer instructions to make the difference anew than bytes to keep it. */
static __always_inline void flow_set_addrs(const struct flow_key *key, struct flow6_value *flow, bool v6)
{
	if (v6 && !(addr_equal(&key->src, &flow->n_src) && addr_equal(&key->dst, &flow->n_dst)))
		flow->addr_diff = csum_diff_addrs(key, &flow->n_src, &flow->n_dst);
}

static __always_inline void flow_set_ports(const struct flow_key *key, struct flow6_value *flow)
{
	if (key->sport != flow->n_sport || key->dport != flow->n_dport)
		flow->flags |= FLOW_PORTS;
	else
		flow->flags &= ~FLOW_PORTS;
}

static __always_inline void flow_draft_set_port(struct flow_draft *draft, __be16 port)
{
	draft->flow.n_sport = port;
	draft->reply_key.dport = port;
	flow_set_ports(&draft->key, &draft->flow);
	flow_set_ports(&draft->reply_key, &draft->reply);
}
