/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets of which shortcuts tell everything: to a neighbour, and to the host itself. */
#pragma once

#include "flow.h"
#include "forward.h"

/* An address of the host's own that is no network's gateway. */
static __always_inline bool address_is_hosts(const struct addr *a)
{
	const struct shortcut_value *found = shortcut_find(a);

	return found && found->kind == SHORTCUT_HOST;
}

/* An address of the host's own, a network's gateway or not. */
static __always_inline bool address_is_local(const struct addr *a)
{
	const struct shortcut_value *found = shortcut_find(a);
	const struct address_value *local;

	if (found && (found->kind == SHORTCUT_HOST || found->kind == SHORTCUT_GATEWAY))
		return true;
	local = address_find(a);
	return local && local->kind == ADDRESS_LOCAL;
}

/* Have two containers of the network met by a published port? Then a packet between them may be an answer that is to be translated. */
static __always_inline bool network_has_hairpins(__u16 network)
{
	__u32 index = network, *met = bpf_map_lookup_elem(&hairpins, &index);

	return !met || *met;
}

static __always_inline void network_note_hairpin(__u16 network)
{
	__u32 index = network, *met = bpf_map_lookup_elem(&hairpins, &index);

	if (met && !*met)
		*met = 1;
}

/* Where a container is: the ifindex of its veth's host end. 0: the address is no container's. */
static __always_inline __u32 endpoint_ifindex(const struct addr *a)
{
	const struct shortcut_value *found = shortcut_find(a);
	const struct endpoint_value *endpoint;

	if (found && found->kind == SHORTCUT_ENDPOINT)
		return found->ifindex;
	endpoint = bpf_map_lookup_elem(&endpoints, a);
	return endpoint ? endpoint->ifindex : 0;
}

/* Is the sender, whose address it is, the container behind this veth? */
static __always_inline bool shortcut_is_sender(struct __sk_buff *ctx, const struct shortcut_value *from)
{
	struct ethhdr *eth;

	if (!from || from->kind != SHORTCUT_ENDPOINT || from->ifindex != ctx->ifindex)
		return false;
	eth = packet_at(ctx, 0, sizeof(*eth));
	return eth && mac_equal(eth->h_source, from->mac);
}

/*
 * To the host itself, by its gateway's address or another, at a port that is neither published nor of the NAT pool: no flow has such a one on
 * the host's side. What processes of the host hear from containers is that, and answers to those that asked by a published port.
 */
static __always_inline bool shortcut_is_for_host(struct __sk_buff *ctx, const struct packet *pkt, const struct shortcut_value *to)
{
	const struct shortcut_value *from;

	if (to->kind == SHORTCUT_ENDPOINT || pkt->flags || (pkt->key.proto != IPPROTO_TCP && pkt->key.proto != IPPROTO_UDP) ||
	    port_in_pool(pkt->key.dport) || port_is_published(pkt))
		return false;
	from = shortcut_find(&pkt->key.src);
	if (!shortcut_is_sender(ctx, from))
		return false;
	/* Whoever is on an internal network reaches the host by that network's gateway only. */
	return !(from->flags & NETWORK_INTERNAL) || (to->kind == SHORTCUT_GATEWAY && to->network == from->network);
}

/*
 * To a container of the same network, whoever both of them are being plain: 0 if not. That the sender is who it says, its own shortcut
 * tells. Only what has ports, and pings: the rest is looked at more closely. has_no_flow: what is known of the packet; false: nothing.
 */
static __always_inline int shortcut_to_neighbour(struct __sk_buff *ctx, const struct packet *pkt, const struct shortcut_value *to,
						 bool has_no_flow)
{
	const struct shortcut_value *from;
	struct ethhdr *eth;
	struct hop hop = {};

	if (to->kind != SHORTCUT_ENDPOINT || pkt->flags)
		return 0;
	from = shortcut_find(&pkt->key.src);
	if (!from || from->kind != SHORTCUT_ENDPOINT || from->ifindex != ctx->ifindex || from->network != to->network ||
	    from->flags & NETWORK_NO_ICC || (!has_no_flow && network_has_hairpins(to->network)) ||
	    !hop_by_shortcut(to, &pkt->key.dst, &hop))
		return 0;
	eth = packet_at(ctx, 0, sizeof(*eth));
	if (!eth || !mac_equal(eth->h_source, from->mac) || eth->h_dest[0] & 1)
		return 0;
	/* A sender's neighbour entry may be older than the endpoint. */
	if (mac_load(eth->h_dest) != hop.dmac)
		mac_store(eth->h_dest, hop.dmac);
	return deliver_to_peer(ctx, hop.oif);
}

/*
 * What the host's stack sends to a container by this bridge: straight to the host end of its veth, which is where the bridge would send it. 0: it
 * is for the bridge to say, as the frame is not plain, or for another one than the stack's neighbour entry says.
 */
static __always_inline int shortcut_past_bridge(struct __sk_buff *ctx)
{
	const struct shortcut_value *to;
	struct ethhdr *eth;
	struct hop hop = {};
	struct addr dst;

	if (!packet_destination(ctx, &dst))
		return 0;
	to = shortcut_find(&dst);
	if (!to || to->kind != SHORTCUT_ENDPOINT || to->bridge != ctx->ifindex || !hop_by_shortcut(to, &dst, &hop))
		return 0;
	eth = packet_at(ctx, 0, sizeof(*eth));
	return eth && mac_load(eth->h_dest) == hop.dmac ? bpf_redirect(hop.oif, 0) : 0;
}
