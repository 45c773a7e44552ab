/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tail calls. Each program set brings a table of its own and never changes it: clearing the table of running programs cuts
 * every packet off in the middle. */
#pragma once

#include "maps.h"

enum call {
	CALL_NEW_FLOW,	       /* from vw_slow_container, vw_no_flow; from the fast path of containers: no flow, to the outside */
	CALL_NEW_INBOUND,      /* from vw_from_uplink and its tails, vw_from_tun */
	CALL_NEW_OUTBOUND,     /* from vw_to_uplink, vw_to_tun */
	CALL_ICMP_ERROR,       /* from all of these */
	CALL_FRAGMENT,	       /* from all of these */
	CALL_NO_FLOW,	       /* from the fast path of containers: no flow; from vw_icmp_error: errors about none */
	CALL_ANSWER,	       /* from whoever cannot send a packet on */
	CALL_CUT,	       /* from whoever has a packet for a container that has to be cut up */
	CALL_REROUTE,	       /* from whoever has a packet of a container whose flow's next hop may have changed */
	CALL_ALL,	       /* from vw_from_spliced: what all containers send */
	CALL_SLOW_CONTAINER,   /* from vw_from_container and its tail: what is not plain */
	CALL_SLOW_UPLINK,      /* from vw_from_uplink, likewise */
	CALL_PLAIN6_CONTAINER, /* from vw_from_container: IPv6 */
	CALL_PLAIN6_UPLINK,    /* from vw_from_uplink, likewise */
	CALLS,
};

int vw_new_flow(struct __sk_buff *ctx);
int vw_new_inbound(struct __sk_buff *ctx);
int vw_new_outbound(struct __sk_buff *ctx);
int vw_icmp_error(struct __sk_buff *ctx);
int vw_fragment(struct __sk_buff *ctx);
int vw_no_flow(struct __sk_buff *ctx);
int vw_answer(struct __sk_buff *ctx);
int vw_cut(struct __sk_buff *ctx);
int vw_reroute(struct __sk_buff *ctx);
int vw_from_container(struct __sk_buff *ctx);
int vw_plain6_container(struct __sk_buff *ctx);
int vw_plain6_uplink(struct __sk_buff *ctx);
int vw_slow_container(struct __sk_buff *ctx);
int vw_slow_uplink(struct __sk_buff *ctx);

/* Written: once, when loaded. Read: programs. Life: that of the program set, by which it is pinned. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, CALLS);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} calls SEC(".maps") = {
	.values = {
		[CALL_NEW_FLOW] = vw_new_flow,
		[CALL_NEW_INBOUND] = vw_new_inbound,
		[CALL_NEW_OUTBOUND] = vw_new_outbound,
		[CALL_ICMP_ERROR] = vw_icmp_error,
		[CALL_FRAGMENT] = vw_fragment,
		[CALL_NO_FLOW] = vw_no_flow,
		[CALL_ANSWER] = vw_answer,
		[CALL_CUT] = vw_cut,
		[CALL_REROUTE] = vw_reroute,
		[CALL_ALL] = vw_from_container,
		[CALL_PLAIN6_CONTAINER] = vw_plain6_container,
		[CALL_PLAIN6_UPLINK] = vw_plain6_uplink,
		[CALL_SLOW_CONTAINER] = vw_slow_container,
		[CALL_SLOW_UPLINK] = vw_slow_uplink,
	},
};

/* What is known already of a packet that may begin a flow. */
enum known {
	KNOWN_NOTHING,
	KNOWN_FIRST, /* a datagram's first fragment, whose ports have been noted: it is sent on like any other packet */
	KNOWN_FRESH, /* there was no entry. From a container: and the sender is who it says, and the receiver has no shortcut */
};

static __always_inline int tail_knowing(struct __sk_buff *ctx, enum call call, enum hook hook, __u32 l3, enum known known)
{
	ctx->cb[0] = hook;
	ctx->cb[1] = l3;
	ctx->cb[2] = known;
	bpf_tail_call(ctx, &calls, call);
	return -DROP_TAIL_CALL;
}

static __always_inline int tail(struct __sk_buff *ctx, enum call call, enum hook hook, __u32 l3)
{
	return tail_knowing(ctx, call, hook, l3, KNOWN_NOTHING);
}

/* The sender is told why. mtu: what the packet exceeds, if that is the reason. */
static __always_inline int tail_answer(struct __sk_buff *ctx, enum hook hook, __u32 l3, enum drop_reason reason, __u32 mtu)
{
	ctx->cb[0] = hook;
	ctx->cb[1] = l3;
	ctx->cb[2] = reason;
	ctx->cb[3] = mtu;
	bpf_tail_call(ctx, &calls, CALL_ANSWER);
	return -DROP_TAIL_CALL;
}
