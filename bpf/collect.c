//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * vw_gc: run by the daemon (BPF_PROG_RUN) for each flow that its scan found idle. The scan may be seconds old; whether neither
 * side has been seen since is decided here, next to the delete, so that a session that woke up is not lost.
 */
#include "lib/allocate.h"

/* An entry that was made this very second may be half of a session that is just being made. The coarse clock, which a program of
 * this type may not ask, is a tick behind. */
static __always_inline bool gc_is_fresh(const struct flow_value *flow)
{
	return flow_is_live(flow) && flow->seen + 1 >= bpf_ktime_get_ns() / NSEC_PER_SEC;
}

/* Is flow, which stands under key, the other side of what stands under pair? */
static __always_inline bool gc_is_pair(const struct flow_key *key, const struct flow_value *flow, const struct flow_key *pair)
{
	return addr_equal(&flow->n_dst, &pair->src) && addr_equal(&flow->n_src, &pair->dst) && flow->n_dport == pair->sport &&
	       flow->n_sport == pair->dport && key->proto == pair->proto;
}

SEC("syscall")
int vw_gc(struct gc_args *args)
{
	struct flow_key key = args->key, reverse = args->reverse;
	struct flow_value *flow, *reply;

	flow = bpf_map_lookup_elem(&flows, &key);
	if (flow && (flow->seen != args->seen || !gc_is_pair(&key, flow, &reverse)))
		return 0;
	reply = bpf_map_lookup_elem(&flows, &reverse);
	/* Somebody else's, who took over the reply tuple of a stale session. */
	if (reply && !gc_is_pair(&reverse, reply, &key))
		reply = NULL;
	if (reply && reply->seen != args->reverse_seen)
		return 0;
	if ((!reply && flow && gc_is_fresh(flow)) || (!flow && reply && gc_is_fresh(reply)))
		return 0;
	if (flow && flow_entry_end_any(&key, flow)) {
		flow_uncount(&key, flow);
		bpf_map_delete_elem(&flows, &key);
	}
	if (flow && reply && args->retire) {
		reply->seen = bpf_ktime_get_ns() / NSEC_PER_SEC;
		reply->flags |= FLOW_RETIRED;
		return 1;
	}
	if (reply && flow_entry_end_any(&reverse, reply)) {
		flow_uncount(&reverse, reply);
		bpf_map_delete_elem(&flows, &reverse);
	}
	return 1;
}

/* The other entry of a binding, if it still is that. */
static __always_inline struct binding_value *gc_binding_other(const struct binding_key *inside, struct binding_key *outside,
							      __be16 port)
{
	struct binding_value *other;

	outside->addr = inside->ext;
	outside->port = port;
	other = bpf_map_lookup_elem(&bindings, outside);
	return other && addr_equal(&other->addr, &inside->addr) && other->port == inside->port ? other : NULL;
}

/* vw_gc_binding: the same for the binding of an internal endpoint on which no flow hangs any more. It may have to rest first. */
SEC("syscall")
int vw_gc_binding(struct gc_binding_args *args)
{
	struct binding_key inside = args->key, outside = { .proto = args->key.proto };
	struct binding_value *binding = bpf_map_lookup_elem(&bindings, &inside);
	__be16 port;

	if (!binding || binding->seen != args->seen)
		return 0;
	port = binding->port;
	if (args->keep) {
		binding->rests = args->rests;
		binding = gc_binding_other(&inside, &outside, port);
		if (binding)
			binding->rests = args->rests;
		return 1;
	}
	if (!binding_end_any(&inside, binding))
		return 0;
	bpf_map_delete_elem(&bindings, &inside);
	binding = gc_binding_other(&inside, &outside, port);
	if (binding && binding_end_any(&outside, binding))
		bpf_map_delete_elem(&bindings, &outside);
	return 1;
}
