//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * vw_gc: run by the daemon (BPF_PROG_RUN) for each flow that its scan found idle. The scan may be seconds old; whether neither
 * side has been seen since is decided here, next to the delete, so that a session that woke up is not lost.
 */
#include "lib/maps.h"

SEC("syscall")
int vw_gc(struct gc_args *args)
{
	struct flow_key key = args->key, reverse = args->reverse;
	struct flow_value *flow, *reply;

	flow = bpf_map_lookup_elem(&flows, &key);
	if (flow && flow->seen != args->seen)
		return 0;
	reply = bpf_map_lookup_elem(&flows, &reverse);
	if (reply && reply->seen != args->reverse_seen)
		return 0;
	if (flow)
		bpf_map_delete_elem(&flows, &key);
	if (reply)
		bpf_map_delete_elem(&flows, &reverse);
	return 1;
}

/* vw_gc_binding: the same for the binding of an internal endpoint on which no flow hangs any more. */
SEC("syscall")
int vw_gc_binding(struct gc_binding_args *args)
{
	struct binding_key inside = args->key, outside = { .proto = args->key.proto };
	struct binding_value *binding = bpf_map_lookup_elem(&bindings, &inside);

	if (!binding || binding->seen != args->seen)
		return 0;
	outside.addr = inside.ext;
	outside.port = binding->port;
	bpf_map_delete_elem(&bindings, &inside);
	bpf_map_delete_elem(&bindings, &outside);
	return 1;
}
