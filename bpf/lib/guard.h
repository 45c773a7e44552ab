/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is dropped before anything else looks at it: denied sources, ports that nobody has, sources that begin too much. The same
 * rules wherever it runs: on XDP frames, and on buffers where an uplink has no XDP. Whatever is not plainly one of these is passed on:
 * broken packets, fragments, extension headers and tags are for those who come after.
 */
#pragma once

#include "hairpin.h"

#define GUARD_TRIES 4
#define GUARD_BYTES (sizeof(struct ipv6hdr) + 20) /* all that is looked at */

static __always_inline const struct guard_value *guard_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&guards, &zero);
}

/* Fills in ports and flags, or leaves the packet opaque. */
static __always_inline void guard_parse_l4(struct packet *pkt, const __u8 *l4, const void *end, __u8 proto)
{
	pkt->key.proto = proto;
	if (proto == IPPROTO_TCP && (void *)l4 + 20 <= end)
		pkt->tcp_flags = l4[13];
	else if (proto != IPPROTO_UDP || (void *)l4 + 8 > end)
		return;
	pkt->key.sport = *(__be16 *)l4;
	pkt->key.dport = *(__be16 *)(l4 + 2);
	pkt->flags = 0;
}

/* Not packet_parse(), which needs a buffer of the stack's. False: nobody knows who sent it. */
static __always_inline bool guard_parse(const void *l3, const void *end, __be16 protocol, struct packet *pkt)
{
	const struct ipv6hdr *ip6 = l3;
	const struct iphdr *ip4 = l3;

	pkt->flags = PACKET_OPAQUE;
	if (protocol == bpf_htons(ETH_P_IP)) {
		if ((void *)(ip4 + 1) > end || ip4->version != 4)
			return false;
		addr_set4(&pkt->key.src, ip4->saddr);
		addr_set4(&pkt->key.dst, ip4->daddr);
		if (ip4->ihl == 5 && !(ip4->frag_off & bpf_htons(IP_OFFSET_MF)))
			guard_parse_l4(pkt, (void *)(ip4 + 1), end, ip4->protocol);
		return true;
	}
	if (protocol != bpf_htons(ETH_P_IPV6) || (void *)(ip6 + 1) > end || ip6->version != 6)
		return false;
	addr_set6(&pkt->key.src, ip6->saddr);
	addr_set6(&pkt->key.dst, ip6->daddr);
	pkt->v6 = true;
	guard_parse_l4(pkt, (void *)(ip6 + 1), end, ip6->nexthdr);
	return !addr_is4(&pkt->key.src);
}

static __always_inline bool guard_denies(const struct addr *src)
{
	struct address_key key = { .prefixlen = 128 };

	__builtin_memcpy(key.addr, src->b, sizeof(key.addr));
	return bpf_map_lookup_elem(&denied, &key);
}

/* Neighbour and router discovery (RFC 4861), as only a neighbour can send it: with a hop limit of 255. IPv6 has it in place of ARP, which is
 * not looked at either: a list with fe80::/10 on it, or with the router's own prefix, would take the uplink down otherwise. */
static __always_inline bool guard_is_discovery(const struct ipv6hdr *ip6, const void *end, const struct packet *pkt)
{
	const __u8 *type = (const __u8 *)(ip6 + 1);

	return pkt->v6 && ip6->nexthdr == IPPROTO_ICMPV6 && ip6->hop_limit == 255 && (void *)(type + 1) <= end &&
	       *type >= ND_ROUTER_SOLICIT && *type <= ND_NEIGHBOR_ADVERT;
}

/* Has the host a socket that this is for, a listening or a connected one? The programs that a host runs on sk_lookup are asked as well. */
static __always_inline bool guard_host_owns(void *ctx, const struct packet *pkt)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size = sizeof(tuple.ipv4);
	struct bpf_sock *sk;

	if (pkt->v6) {
		size = sizeof(tuple.ipv6);
		__builtin_memcpy(tuple.ipv6.saddr, pkt->key.src.b, 16);
		__builtin_memcpy(tuple.ipv6.daddr, pkt->key.dst.b, 16);
		tuple.ipv6.sport = pkt->key.sport;
		tuple.ipv6.dport = pkt->key.dport;
	} else {
		tuple.ipv4.saddr = addr_words(&pkt->key.src)[3];
		tuple.ipv4.daddr = addr_words(&pkt->key.dst)[3];
		tuple.ipv4.sport = pkt->key.sport;
		tuple.ipv4.dport = pkt->key.dport;
	}
	if (pkt->key.proto == IPPROTO_TCP)
		sk = bpf_skc_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_sk_lookup_udp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	bpf_sk_release(sk);
	return true;
}

/* use: what port_use says of the destination port, which is not published. Sessions of containers that are translated to the port, their
 * mappings where whoever likes may send to one, and sockets of the host on it, make it somebody's. */
static __always_inline bool guard_is_closed(void *ctx, const struct guard_value *guard, const struct packet *pkt, __u32 use)
{
	__u16 port = bpf_ntohs(pkt->key.dport);
	__u32 index, *mapped;

	if (!(guard->flags & GUARD_CLOSED) || port < guard->closed_first || port > guard->closed_last || use)
		return false;
	index = port_use_index(pkt->key.proto, pkt->key.dport);
	mapped = bpf_map_lookup_elem(&port_flows, &index);
	return mapped && !*mapped && !(any_remote(pkt) && binding_find(pkt)) && !guard_host_owns(ctx, pkt);
}

/*
 * A token bucket as one number (the generic cell rate algorithm, ITU-T I.371): due goes up by interval for every flow and
 * stands still while time does not; a source may be ahead of time by burst. Compared and swapped, so that CPUs do not give the same token
 * twice; after some tries in vain a flow is let through.
 */
static __always_inline bool guard_is_flood(const struct guard_value *guard, const struct packet *pkt)
{
	struct source_value fresh = {}, *source;
	__u64 now = bpf_ktime_get_ns(), was, due;
	struct addr key = pkt->key.src;

	if (pkt->v6)
		addr_quads(&key)[1] = 0;
	source = bpf_map_lookup_elem(&sources, &key);
	if (!source) {
		fresh.due = now + guard->interval;
		bpf_map_update_elem(&sources, &key, &fresh, BPF_NOEXIST);
		return false;
	}
#pragma unroll
	for (int i = 0; i < GUARD_TRIES; i++) {
		was = READ_ONCE(source->due);
		due = was > now ? was : now;
		if (due - now > guard->burst)
			return true;
		if (__sync_val_compare_and_swap(&source->due, was, due + guard->interval) == was)
			return false;
	}
	return false;
}

/* Does the packet begin a flow to a published port? */
static __always_inline bool guard_begins(const struct packet *pkt)
{
	if (!published_find(pkt))
		return false;
	return pkt->key.proto == IPPROTO_TCP || !flow_find(&pkt->key, pkt->v6);
}

/* ctx: of either type of program. PASS, or -DROP_*. */
static __always_inline int guard(void *ctx, const void *l3, const void *end, __be16 protocol)
{
	const struct guard_value *guard = guard_get();
	const struct address_value *to;
	struct packet pkt = {};
	__u32 use;

	if (!guard || !guard_parse(l3, end, protocol, &pkt))
		return PASS;
	if (guard->flags & GUARD_DENIED && guard_denies(&pkt.key.src))
		return guard_is_discovery(l3, end, &pkt) ? PASS : -DROP_DENIED;
	/* What does not begin anything belongs to something, or is for the stack to answer. */
	if (pkt.flags || (pkt.key.proto == IPPROTO_TCP && !packet_is_syn(&pkt)))
		return PASS;
	use = port_use_of(pkt.key.proto, pkt.key.dport);
	if (use & PORT_PUBLISHED ? !guard->interval : !(guard->flags & GUARD_CLOSED))
		return PASS;
	/* Only what is addressed to this host, by an address that is nobody else's too. */
	to = address_find(&pkt.key.dst);
	if (!to || to->kind != ADDRESS_LOCAL || to->network || addr_is_loopback(&pkt.key.dst))
		return PASS;
	if (use & PORT_PUBLISHED)
		return guard_begins(&pkt) && guard_is_flood(guard, &pkt) ? -DROP_SOURCE_RATE : PASS;
	return guard_is_closed(ctx, guard, &pkt, use) ? -DROP_CLOSED_PORT : PASS;
}

/* As a tc program. */
static __always_inline int guard_buffer(struct __sk_buff *ctx, __u32 l3)
{
	__u32 need = l3 + GUARD_BYTES;

	if (ctx->vlan_present)
		return PASS;
	if (ctx->len < need)
		need = ctx->len;
	if ((void *)(long)ctx->data + need > (void *)(long)ctx->data_end && bpf_skb_pull_data(ctx, need))
		return PASS;
	return guard(ctx, (void *)(long)ctx->data + l3, (void *)(long)ctx->data_end, ctx->protocol);
}
