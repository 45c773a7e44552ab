/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A container that gets no port, room or quota is told so: ICMP 3/13 or ICMPv6 1/1, communication administratively prohibited (RFC 5508
 * REQ-8, RFC 6888 REQ-11), a few in a second, and the daemon once in a second.
 */
#pragma once

#include "answer.h"

#define REFUSALS_TOLD 10 /* in a second, of one container */
#define ICMP_PROHIBITED 13
#define ICMPV6_PROHIBITED 1

/* reason: -DROP_*. Returns it, or what sends the answer back into the container. */
static __always_inline int refuse(struct __sk_buff *ctx, const struct packet *pkt, const struct veth_value *veth, int reason)
{
	struct answer says = {
		.type = pkt->v6 ? ICMPV6_DEST_UNREACH : ICMP_DEST_UNREACH,
		.code = pkt->v6 ? ICMPV6_PROHIBITED : ICMP_PROHIBITED,
	};
	struct event event = { .key = pkt->key, .reason = -reason, .ifindex = ctx->ifindex, .network = veth->network };
	struct quota_value *quota = quota_get(veth->slot);
	__u32 id = veth->network, len;
	struct network_value *network = bpf_map_lookup_elem(&networks, &id);
	const struct addr *from;

	if ((reason != -DROP_QUOTA && reason != -DROP_NO_PORT && reason != -DROP_TABLE_FULL) || !quota || !network)
		return reason;
	quota_tick(quota);
	__sync_fetch_and_add(&quota->refused, 1);
	if (!quota->told) {
		event.second = quota->second;
		event.refused = quota->refused;
		bpf_ringbuf_output(&events, &event, sizeof(event), 0);
	}
	from = pkt->v6 ? &network->gateway6 : &network->gateway4;
	if (quota->told >= REFUSALS_TOLD || addr_is_zero(from) || pkt->flags)
		return reason;
	quota->told++;
	len = ctx->len;
	if (answer_build(ctx, pkt, from, &says))
		return reason;
	drop_count(len, HOOK_FROM_CONTAINER, -reason);
	return answer_send(ctx, pkt, true);
}
