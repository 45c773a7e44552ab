/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From one container to another by an address of the host: by a published port, or by the other's mapping. */
#pragma once

#include "published.h"
#include "route.h"
#include "shortcut.h"

/* Has the endpoint's container another interface on this network? Perhaps: numbers share bits. */
static __always_inline bool is_also_on(const struct endpoint_value *endpoint, __u32 network)
{
	return endpoint->network != network && endpoint->also_on & 1U << (network & 31);
}

/* A session from the sender to another container: where both of them are. NULL: one of them is nowhere. */
static __always_inline struct endpoint_value *hairpin_draft(struct __sk_buff *ctx, const struct packet *pkt,
							    const struct addr *to, __be16 port, struct flow_draft *draft)
{
	struct endpoint_value *target = bpf_map_lookup_elem(&endpoints, to);
	struct endpoint_value *self = bpf_map_lookup_elem(&endpoints, &pkt->key.src);

	if (!target || !self)
		return NULL;
	draft->flow.kind = draft->reply.kind = FLOW_HAIRPIN;
	draft->flow.n_dst = *to;
	draft->flow.n_dport = port;
	draft->flow.iif = ctx->ifindex;
	draft->reply.iif = target->ifindex;
	draft->flow.action = draft->reply.action = FLOW_TO_PEER;
	draft->flow.way = target->ifindex;
	draft->reply.way = self->ifindex;
	return target;
}

/* A container asks for a published port by an address of the host. */
static __always_inline int new_hairpin(struct __sk_buff *ctx, struct packet *pkt, const struct veth_value *veth,
				       const struct published_value *port, struct flow_draft *draft)
{
	struct endpoint_value *target = hairpin_draft(ctx, pkt, &port->target, port->port, draft);
	struct network_value *network;
	__u32 id;

	if (!target)
		return -DROP_UNKNOWN_ENDPOINT;
	if (!published_fits(pkt, port))
		return -DROP_PROTOCOL;
	id = target->network;
	network = bpf_map_lookup_elem(&networks, &id);
	if (!network)
		return -DROP_UNKNOWN_ENDPOINT;
	draft->flow.n_src = pkt->key.src;
	flow_draft_set_life(draft, port->slot, port->generation);
	draft->wanted = pkt->key.sport;
	draft->bound = pkt->key.proto == IPPROTO_SCTP;
	flow_draft_use_any(draft);
	if (target->ifindex == ctx->ifindex || is_also_on(target, veth->network)) {
		/* A host drops packets from itself, and answers its neighbours directly, past the translation: the container sees its
		 * gateway. The port must not be one of the host's own. */
		draft->flow.n_src = pkt->v6 ? network->gateway6 : network->gateway4;
		if (addr_is_zero(&draft->flow.n_src))
			return -DROP_NO_ADDRESS;
		draft->flow.flags |= FLOW_NAT_SRC;
		flow_draft_use_pool(draft);
		if (!draft->bound && !port_in_pool(draft->wanted))
			draft->wanted = 0;
	} else if (target->network == veth->network) {
		/* Its answers go from neighbour to neighbour. */
		network_note_hairpin(veth->network);
	}
	return 0;
}

/*
 * A container sends to another one's external endpoint (RFC 4787 REQ-9): both are seen with their external endpoints. Unless the
 * other's network lets everybody in, it has to have sent this way first.
 */
static __always_inline int new_hairpin_mapped(struct __sk_buff *ctx, struct packet *pkt, const struct veth_value *veth,
					      const struct binding_value *binding, struct flow_draft *draft)
{
	struct network_value *network;
	__u32 id = binding->network;

	if (!(veth->flags & (pkt->v6 ? NETWORK_MASQUERADE6 : NETWORK_MASQUERADE4)))
		return ROUTE_STACK;
	network = bpf_map_lookup_elem(&networks, &id);
	if (!network || !hairpin_draft(ctx, pkt, &binding->addr, binding->port, draft))
		return -DROP_UNKNOWN_ENDPOINT;
	draft->flow.n_src = pkt->key.dst;
	draft->flow.flags = FLOW_NAT_SRC;
	flow_draft_set_life(draft, binding->slot, binding->generation);
	if (network->flags & NETWORK_ANY_REMOTE) {
		if (binding->rests)
			return ROUTE_STACK;
	} else {
		draft->flow.action = FLOW_HELD;
		draft->reply.flags = FLOW_OPENS;
	}
	draft->wanted = port_in_pool(pkt->key.sport) ? pkt->key.sport : 0;
	flow_draft_use_pool(draft);
	draft->bind = 1;
	return 0;
}
