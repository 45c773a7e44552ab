/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A container that gets no port, room or quota is told so: ICMP 3/13 or ICMPv6 1/1, communication administratively prohibited (RFC 5508
 * REQ-8, RFC 6888 REQ-11), a few in a second, and the daemon once in a second.
 */
#pragma once

#include "calls.h"
#include "quota.h"

#define REFUSALS_TOLD 10 /* in a second, of one container */

/* reason: -DROP_*. Returns it, or ends in the answer. */
static __always_inline int refuse(struct __sk_buff *ctx, const struct packet *pkt, const struct veth_value *veth, int reason)
{
	struct event event = { .key = pkt->key, .reason = -reason, .ifindex = ctx->ifindex, .network = veth->network };
	struct quota_value *quota = quota_get(veth->slot);

	if ((reason != -DROP_QUOTA && reason != -DROP_NO_PORT && reason != -DROP_TABLE_FULL) || !quota)
		return reason;
	quota_tick(quota);
	__sync_fetch_and_add(&quota->refused, 1);
	if (!quota->told) {
		event.second = quota->second;
		event.refused = quota->refused;
		bpf_ringbuf_output(&events, &event, sizeof(event), 0);
	}
	if (quota->told >= REFUSALS_TOLD || pkt->flags)
		return reason;
	quota->told++;
	return tail_answer(ctx, HOOK_FROM_CONTAINER, pkt->l3, -reason, 0);
}
