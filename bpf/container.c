//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * vw_from_container: tcx ingress of the host end of each container's veth, a bridge port. All that a container sends
 * arrives here first, as the container made it: GSO packets whole, checksums perhaps partial. It is the fast path for plain packets.
 * vw_plain6_container: its tail, for those of IPv6.
 * vw_slow_container: the tail of both, for packets that are not plain.
 * vw_new_flow: its tail, for packets that belong to no flow yet.
 * vw_reroute: the same, for those whose flow has to look for its next hop.
 * vw_to_bridge: tcx egress of each network's bridge: what the host's stack sends or routes to the network.
 *
 * Verdicts: TC_NEXT (the bridge and the stack take it), a redirect, TC_DROP.
 */
#include "lib/answer.h"
#include "lib/calls.h"
#include "lib/classify.h"
#include "lib/icmp.h"
#include "lib/plain.h"

SEC("tc")
int vw_from_container(struct __sk_buff *ctx)
{
	mark_clear(ctx);
	return plain_verdict(ctx, HOOK_FROM_CONTAINER, CALL_SLOW_CONTAINER,
			     plain_dispatch(ctx, CALL_PLAIN6_CONTAINER, plain_from_container));
}

SEC("tc")
int vw_plain6_container(struct __sk_buff *ctx)
{
	return plain_verdict(ctx, HOOK_FROM_CONTAINER, CALL_SLOW_CONTAINER, plain_from_container(ctx, true));
}

SEC("tc")
int vw_slow_container(struct __sk_buff *ctx)
{
	return verdict(ctx, HOOK_FROM_CONTAINER, from_container(ctx));
}

SEC("tc")
int vw_new_flow(struct __sk_buff *ctx)
{
	return verdict(ctx, HOOK_FROM_CONTAINER, new_flow(ctx));
}

SEC("tc")
int vw_reroute(struct __sk_buff *ctx)
{
	return verdict(ctx, HOOK_FROM_CONTAINER, reroute(ctx));
}

SEC("tc")
int vw_no_flow(struct __sk_buff *ctx)
{
	return verdict(ctx, HOOK_FROM_CONTAINER, no_flow(ctx));
}

SEC("tc")
int vw_answer(struct __sk_buff *ctx)
{
	return verdict(ctx, ctx->cb[0], answer(ctx));
}

SEC("tc")
int vw_icmp_error(struct __sk_buff *ctx)
{
	return verdict(ctx, ctx->cb[0], icmp_error_translate(ctx));
}

SEC("tc")
int vw_to_bridge(struct __sk_buff *ctx)
{
	return verdict(ctx, HOOK_TO_BRIDGE, to_bridge(ctx));
}
