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
static __always_inline bool gc_is_pair(const struct flow_key *key, const struct flow_value *flow, const struct flow_key *pair,
				       bool v6)
{
	struct flow_key of_flow;

	flow_key_of_pair(&of_flow, key, flow, v6);
	return addr_equal(&of_flow.src, &pair->src) && addr_equal(&of_flow.dst, &pair->dst) && of_flow.sport == pair->sport &&
	       of_flow.dport == pair->dport && key->proto == pair->proto;
}

static __always_inline int gc(const struct gc_args *args, bool v6)
{
	struct flow_key key = args->key, reverse = args->reverse, other;
	struct flow_value *flow, *reply;

	flow = flow_lookup(&key, v6);
	if (flow && (flow->seen != args->seen || !gc_is_pair(&key, flow, &reverse, v6)))
		return 0;
	reply = flow_lookup(&reverse, v6);
	/* Somebody else's, who took over the reply tuple of a stale session. */
	if (reply && !gc_is_pair(&reverse, reply, &key, v6))
		reply = NULL;
	if (reply && reply->seen != args->reverse_seen)
		return 0;
	if ((!reply && flow && gc_is_fresh(flow)) || (!flow && reply && gc_is_fresh(reply)))
		return 0;
	if (flow)
		flow_remove(&key, flow, v6, flow_life(flow), &other);
	if (flow && reply && args->retire) {
		reply->seen = bpf_ktime_get_ns() / NSEC_PER_SEC;
		reply->flags |= FLOW_RETIRED;
		return 1;
	}
	if (reply)
		flow_remove(&reverse, reply, v6, flow_life(reply), &other);
	return 1;
}

SEC("syscall")
int vw_gc(struct gc_args *args)
{
	return addr_is4(&args->key.src) ? gc(args, false) : gc(args, true);
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
