/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The fast path. Nearly all packets are plain: TCP or UDP right behind an IP header without options, of a flow that is known and whose next
 * hop is known. For them there are programs that do nothing else, and leave whatever is not plain, untouched, to the slow path. What
 * a program costs on its way is not so much its instructions as the cache lines that they are in: between two packets the
 * stack has used all of the cache. So the rare must not stand between the frequent, and compilers for BPF leave it where it was written.
 *
 * Every function here is a shorter form of one of the slow path, and decides what that would. What it cannot decide it returns as SLOW, before anything
 * has been changed.
 */
#pragma once

#include "classify.h"

#define SLOW PASS /* not plain; nothing has been changed */
#define TCP_HLEN 20
#define UDP_HLEN 8

/* Pointer to len bytes at off, if they are linear. */
static __always_inline void *plain_at(struct __sk_buff *ctx, __u32 off, __u32 len)
{
	void *at = (void *)(long)ctx->data + off;

	return at + len <= (void *)(long)ctx->data_end ? at : NULL;
}

/* Offset of the transport header. */
static __always_inline __u32 plain_l4(bool v6)
{
	return ETH_HLEN + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
}

/* The network header. Returns how many bytes it says are behind it; 0: it is not plain. */
static __always_inline __u32 plain_parse_l3(struct __sk_buff *ctx, struct packet *pkt, bool v6)
{
	__u32 len, room = ctx->len - ETH_HLEN;

	if (v6) {
		const struct ipv6hdr *ip = plain_at(ctx, ETH_HLEN, sizeof(*ip));

		if (!ip || ip->version != 6)
			return 0;
		addr_set6(&pkt->key.src, ip->saddr);
		addr_set6(&pkt->key.dst, ip->daddr);
		if (addr_is4(&pkt->key.src) || addr_is4(&pkt->key.dst))
			return 0;
		len = bpf_ntohs(ip->payload_len);
		pkt->key.proto = ip->nexthdr;
		pkt->ttl = ip->hop_limit;
		return len + sizeof(*ip) <= room ? len : 0;
	}
	const struct iphdr *ip = plain_at(ctx, ETH_HLEN, sizeof(*ip));

	if (!ip || *(const __u8 *)ip != 0x45 || ip->frag_off & bpf_htons(IP_OFFSET_MF))
		return 0;
	addr_set4(&pkt->key.src, ip->saddr);
	addr_set4(&pkt->key.dst, ip->daddr);
	/* See parse_ipv4(). */
	len = ip->tot_len || !ctx->gso_size ? bpf_ntohs(ip->tot_len) : room;
	pkt->key.proto = ip->protocol;
	pkt->ttl = ip->ttl;
	return len > sizeof(*ip) && len <= room ? len - sizeof(*ip) : 0;
}

/* False: not plain. */
static __always_inline bool plain_parse(struct __sk_buff *ctx, struct packet *pkt, bool v6)
{
	__u32 room;
	__u8 *l4;

	__builtin_memset(pkt, 0, sizeof(*pkt));
	pkt->l3 = ETH_HLEN;
	pkt->l4 = plain_l4(v6);
	pkt->v6 = v6;
	room = plain_parse_l3(ctx, pkt, v6);
	if (pkt->key.proto == IPPROTO_TCP) {
		l4 = plain_at(ctx, plain_l4(v6), TCP_HLEN);
		if (!l4 || room < TCP_HLEN)
			return false;
		pkt->tcp_flags = l4[13];
		pkt->l4_len = (l4[12] >> 4) * 4;
		if (pkt->l4_len < TCP_HLEN)
			return false;
	} else {
		l4 = plain_at(ctx, plain_l4(v6), UDP_HLEN);
		if (!l4 || room < UDP_HLEN || pkt->key.proto != IPPROTO_UDP)
			return false;
		pkt->l4_len = UDP_HLEN;
	}
	pkt->key.sport = *(__be16 *)l4;
	pkt->key.dport = *(__be16 *)(l4 + 2);
	return true;
}

/* Into a container, as flow_hop(). False: it has to be asked for. */
static __always_inline bool plain_hop_to_peer(const struct flow_value *flow, bool v6, struct hop *hop)
{
	const struct shortcut_value *found;
	struct addr to;

	flow_n_dst(flow, v6, &to);
	found = shortcut_place(&to);
	return found && hop_by_shortcut(found, &to, hop) && hop->oif == flow->way;
}

/* Does it merely go on: it is let through as it is, and opens, ends and begins nothing? */
static __always_inline bool plain_in_flow(struct __sk_buff *ctx, const struct packet *pkt, const struct flow_value *flow,
					  const struct hop *hop)
{
	return !(flow->flags & FLOW_OPENS) && pkt->ttl > 1 && !packet_exceeds(ctx, pkt, hop->mtu) && !tcp_is_turn(pkt, flow);
}

/* Where the transport checksum is, and where the packet begins. NULL: it is not all there.
 * verifier: the two checks must not become one of a length that varies. */
static __always_inline __sum16 *plain_checksum(struct __sk_buff *ctx, const struct packet *pkt, bool v6, void **head)
{
	__sum16 *check;

	if (pkt->key.proto == IPPROTO_TCP) {
		*head = plain_at(ctx, 0, plain_l4(v6) + TCP_HLEN);
		if (!*head)
			return NULL;
		check = *head + plain_l4(v6) + 16;
		barrier_var(check);
	} else {
		*head = plain_at(ctx, 0, plain_l4(v6) + UDP_HLEN);
		if (!*head)
			return NULL;
		check = *head + plain_l4(v6) + 6;
		barrier_var(check);
	}
	return check;
}

/* As packet_rewrite(), and the link-layer header. */
static __always_inline int plain_rewrite(struct __sk_buff *ctx, const struct packet *pkt, const struct rewrite *to,
					 const struct hop *hop, bool v6)
{
	__u32 summed = packet_summed(ctx);
	struct ethhdr *eth;
	__sum16 *check;
	__be16 *ports;

	if (summed == CHECKSUM_COMPLETE && csum_l4_replace(ctx, pkt, csum_offset(pkt), to->addr_diff, to->port_diff))
		return -DROP_REWRITE;
	check = plain_checksum(ctx, pkt, v6, (void **)&eth);
	if (!check)
		return -DROP_REWRITE;
	if (summed != CHECKSUM_COMPLETE)
		csum_l4_apply(pkt, check, summed == CHECKSUM_PARTIAL, to->addr_diff, to->port_diff);
	if (v6)
		rewrite_ipv6(ctx, (void *)eth + ETH_HLEN, to, 1, summed == CHECKSUM_COMPLETE);
	else
		rewrite_ipv4((void *)eth + ETH_HLEN, to, 1);
	ports = (void *)eth + plain_l4(v6);
	if (to->ports) {
		ports[0] = to->sport;
		ports[1] = to->dport;
	}
	mac_store(eth->h_dest, hop->dmac);
	mac_store(eth->h_source, hop->smac);
	return 0;
}

/* As flow_forward(). SLOW, a redirect's code, or -DROP_*. */
static __always_inline int plain_forward(struct __sk_buff *ctx, const struct packet *pkt, struct flow_value *flow, bool v6,
					 bool from_container)
{
	__u32 now = clock_seconds();
	struct rewrite to;
	struct hop hop = {};

	if (flow->action == FLOW_TO_UPLINK) {
		if (!hop_by_way(READ_ONCE(flow->way), now, &hop))
			return from_container ? tail(ctx, CALL_REROUTE, HOOK_FROM_CONTAINER, ETH_HLEN) : SLOW;
		if (!hop.macs)
			return SLOW;
	} else if (flow->action != FLOW_TO_PEER || !plain_hop_to_peer(flow, v6, &hop)) {
		return SLOW;
	}
	if (!plain_in_flow(ctx, pkt, flow, &hop))
		return SLOW;
	flow_count(ctx, pkt, flow, now);
	rewrite_of(&pkt->key, flow, v6, &to);
	if (plain_rewrite(ctx, pkt, &to, &hop, v6))
		return -DROP_REWRITE;
	if (flow->action == FLOW_TO_PEER)
		return deliver_to_peer(ctx, hop.oif);
	ctx->tc_index = MARK_TRANSLATED;
	return bpf_redirect(hop.oif, 0);
}

/* Does it leave the network, from a container that is who it says? Then vw_no_flow has nothing to add. */
static __always_inline bool plain_goes_out(struct __sk_buff *ctx, const struct packet *pkt, bool v6)
{
	const struct ethhdr *eth = plain_at(ctx, 0, sizeof(*eth));

	if (!eth || eth->h_dest[0] & 1 || (v6 && addr_is_link_local6(&pkt->key.dst)))
		return false;
	return shortcut_is_sender(ctx, shortcut_find(&pkt->key.src));
}

/* As from_container(). */
static __always_inline int plain_from_container(struct __sk_buff *ctx, bool v6)
{
	const struct shortcut_value *to;
	struct flow_value *flow;
	struct packet pkt;
	int ret;

	if (!plain_parse(ctx, &pkt, v6))
		return SLOW;
	to = shortcut_find(&pkt.key.dst);
	/* What goes out is written first, since code is where it is written. */
	if (to)
		goto near;
far:
	flow = flow_lookup(&pkt.key, v6);
	if (flow && flow_is_open(flow) && flow->iif == ctx->ifindex)
		return plain_forward(ctx, &pkt, flow, v6, true);
	if (!flow && !to && plain_goes_out(ctx, &pkt, v6))
		return tail_knowing(ctx, CALL_NEW_FLOW, HOOK_FROM_CONTAINER, ETH_HLEN, KNOWN_FRESH);
	ret = to ? shortcut_to_neighbour(ctx, &pkt, to, true) : 0;
	return ret ? ret : tail_again(ctx, CALL_NO_FLOW);
near:
	ret = shortcut_to_neighbour(ctx, &pkt, to, false);
	if (ret)
		return ret;
	if (shortcut_is_for_host(ctx, &pkt, to))
		return TC_NEXT;
	goto far;
}

/* As from_uplink(). */
static __always_inline int plain_from_uplink(struct __sk_buff *ctx, bool v6)
{
	struct flow_value *flow;
	struct packet pkt;

	if (!plain_parse(ctx, &pkt, v6) || ctx->pkt_type != PACKET_HOST)
		return SLOW;
	/* Of the ports of the pool, each connection has another one: what is known of it is in no cache, and not needed where there is a flow. */
	if (!port_in_pool(pkt.key.dport) && !port_is_published(&pkt))
		goto direct;
	flow = flow_lookup(&pkt.key, v6);
	if (!flow || !flow_is_open(flow) || flow->iif)
		goto begin;
forward:
	return plain_forward(ctx, &pkt, flow, v6, false);
direct:
	if (address_is_hosts(&pkt.key.dst))
		return TC_NEXT;
	flow = flow_find(&pkt.key, v6);
	if (flow && !flow->iif && flow->kind == FLOW_ROUTED)
		goto forward;
	return SLOW;
begin:
	if (!port_is_published(&pkt))
		return SLOW;
	return tail_knowing(ctx, CALL_NEW_INBOUND, HOOK_FROM_UPLINK, ETH_HLEN, flow ? KNOWN_NOTHING : KNOWN_FRESH);
}

/*
 * What a program of the fast path does. IPv6 has programs of its own, call6, or its code would stand between that of IPv4; they are tails, since a
 * jump costs less than a call.
 */
static __always_inline int plain_dispatch(struct __sk_buff *ctx, enum call call6, int (*plain)(struct __sk_buff *ctx, bool v6))
{
	if (ctx->vlan_present)
		return SLOW;
	if (ctx->protocol == bpf_htons(ETH_P_IP))
		return plain(ctx, false);
	if (ctx->protocol == bpf_htons(ETH_P_IPV6))
		bpf_tail_call(ctx, &calls, call6);
	return SLOW;
}

/* ret: SLOW, TC_NEXT, a redirect's code, or one of -DROP_* that is not TC_NEXT. */
static __always_inline int plain_verdict(struct __sk_buff *ctx, enum hook hook, enum call slow, int ret)
{
	if (ret == SLOW)
		ret = tail_again(ctx, slow);
	else if (ret >= TC_NEXT)
		return ret;
	return verdict(ctx, hook, ret);
}
