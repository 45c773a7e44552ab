/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What most packets need to know of an address, found by one array access that the JIT inlines instead of by hashes and longest prefixes.
 * An address that has no shortcut, because another one has its place, goes the long way: nothing but time depends on this.
 */
#pragma once

#include "flow.h"
#include "forward.h"

static __always_inline __u32 shortcut_index(const struct addr *a)
{
	const __be32 *w = addr_words(a);

	/* Fibonacci hashing: neighbouring addresses are far apart, and no two of a /24 meet. A subnet's number and a host's are in the same
	 * place of two words of IPv6: alike, they must not cancel each other out. */
	return ((w[0] ^ w[1]) * 2246822519U ^ w[2] ^ w[3]) * 2654435769U >> (32 - SHORTCUT_BITS);
}

static __always_inline const struct shortcut_value *shortcut_find(const struct addr *a)
{
	__u32 index = shortcut_index(a);
	const struct shortcut_value *found = bpf_map_lookup_elem(&shortcuts, &index);

	return found && addr_equal(&found->addr, a) ? found : NULL;
}

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

/*
 * An endpoint's interface and MAC address. False: it is another's by now, or gone. The daemon may be writing: what is read has to be of one
 * piece.
 */
static __always_inline bool shortcut_read(const struct shortcut_value *from, const struct addr *a, __u32 *ifindex, __u8 *mac)
{
	__u32 slot = from->slot, generation = READ_ONCE(from->generation);

	*ifindex = from->ifindex;
	mac_copy(mac, from->mac);
	return generation_of(slot) == generation && addr_equal(&from->addr, a);
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
	    port_in_pool(pkt->key.dport) || port_use_of(pkt->key.proto, pkt->key.dport) & PORT_PUBLISHED)
		return false;
	from = shortcut_find(&pkt->key.src);
	if (!shortcut_is_sender(ctx, from))
		return false;
	/* Whoever is on an internal network reaches the host by that network's gateway only. */
	return !(from->flags & NETWORK_INTERNAL) || (to->kind == SHORTCUT_GATEWAY && to->network == from->network);
}

/*
 * To a container of the same network, whoever both of them are being plain: 0 if not. That the sender is who it says, its own shortcut
 * tells. Only what has ports, and pings: the rest is looked at more closely.
 */
static __always_inline int shortcut_to_neighbour(struct __sk_buff *ctx, const struct packet *pkt, const struct shortcut_value *to)
{
	const struct shortcut_value *from;
	struct ethhdr *eth;
	__u32 ifindex;
	__u8 mac[6];

	if (to->kind != SHORTCUT_ENDPOINT || pkt->flags)
		return 0;
	from = shortcut_find(&pkt->key.src);
	if (!from || from->kind != SHORTCUT_ENDPOINT || from->ifindex != ctx->ifindex || from->network != to->network ||
	    from->flags & NETWORK_NO_ICC || network_has_hairpins(to->network))
		return 0;
	if (!shortcut_read(to, &pkt->key.dst, &ifindex, mac))
		return 0;
	eth = packet_at(ctx, 0, sizeof(*eth));
	if (!eth || !mac_equal(eth->h_source, from->mac) || eth->h_dest[0] & 1)
		return 0;
	/* A sender's neighbour entry may be older than the endpoint. */
	if (!mac_equal(eth->h_dest, mac))
		mac_copy(eth->h_dest, mac);
	return deliver_to_peer(ctx, ifindex);
}

/*
 * What the host's stack sends to a container by this bridge: straight to the host end of its veth, which is where the bridge would send it. 0: it
 * is for the bridge to say, as the frame is not plain, or for another one than the stack's neighbour entry says.
 */
static __always_inline int shortcut_past_bridge(struct __sk_buff *ctx)
{
	const struct shortcut_value *to;
	struct ethhdr *eth;
	struct addr dst;
	__u32 ifindex;
	__u8 mac[6];

	if (!packet_destination(ctx, &dst))
		return 0;
	to = shortcut_find(&dst);
	if (!to || to->kind != SHORTCUT_ENDPOINT || to->bridge != ctx->ifindex || !shortcut_read(to, &dst, &ifindex, mac))
		return 0;
	eth = packet_at(ctx, 0, sizeof(*eth));
	return eth && mac_equal(eth->h_dest, mac) ? bpf_redirect(ifindex, 0) : 0;
}
