//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * vw_from_uplink, vw_to_uplink: tcx ingress and egress of each uplink: every interface of the host that is neither ours nor loopback nor a
 * port of a foreign bridge. All of the host's own traffic passes here too: it costs a parse, a look into the table of ports and, on
 * the way out, one into the table of addresses.
 * vw_from_uplink is the fast path for plain packets, vw_plain6_uplink its tail for those of IPv6, vw_slow_uplink the tail of both for others.
 * vw_from_tun, vw_to_tun: the same where frames have no link-layer header.
 * vw_guard, vw_guard_tun: in front of the ingress ones where vw_xdp is not: the same rules, later.
 * vw_new_inbound, vw_new_outbound: their tails, for packets that belong to no flow yet.
 *
 * Verdicts: TC_NEXT (the stack; the wire), a redirect into a container, TC_DROP.
 */
#include "lib/calls.h"
#include "lib/guard.h"
#include "lib/inbound.h"
#include "lib/plain.h"

SEC("tc")
int vw_from_uplink(struct __sk_buff *ctx)
{
	mark_clear(ctx);
	return plain_verdict(ctx, HOOK_FROM_UPLINK, CALL_SLOW_UPLINK, plain_dispatch(ctx, CALL_PLAIN6_UPLINK, plain_from_uplink));
}

SEC("tc")
int vw_plain6_uplink(struct __sk_buff *ctx)
{
	return plain_verdict(ctx, HOOK_FROM_UPLINK, CALL_SLOW_UPLINK, plain_from_uplink(ctx, true));
}

SEC("tc")
int vw_slow_uplink(struct __sk_buff *ctx)
{
	return verdict(ctx, HOOK_FROM_UPLINK, from_uplink(ctx, ETH_HLEN));
}

SEC("tc")
int vw_from_tun(struct __sk_buff *ctx)
{
	return verdict(ctx, HOOK_FROM_UPLINK, from_uplink(ctx, 0));
}

SEC("tc")
int vw_new_inbound(struct __sk_buff *ctx)
{
	return verdict(ctx, HOOK_FROM_UPLINK, new_inbound(ctx));
}

SEC("tc")
int vw_to_uplink(struct __sk_buff *ctx)
{
	return verdict(ctx, HOOK_TO_UPLINK, to_uplink(ctx, ETH_HLEN));
}

SEC("tc")
int vw_to_tun(struct __sk_buff *ctx)
{
	return verdict(ctx, HOOK_TO_UPLINK, to_uplink(ctx, 0));
}

SEC("tc")
int vw_new_outbound(struct __sk_buff *ctx)
{
	return verdict(ctx, HOOK_TO_UPLINK, new_outbound(ctx));
}

SEC("tc")
int vw_guard(struct __sk_buff *ctx)
{
	return verdict(ctx, HOOK_GUARD, guard_buffer(ctx, ETH_HLEN));
}

SEC("tc")
int vw_guard_tun(struct __sk_buff *ctx)
{
	return verdict(ctx, HOOK_GUARD, guard_buffer(ctx, 0));
}
