/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Parsing: the only place that reads data and data_end. A packet is parsed once, into struct packet. */
#pragma once

#include "addr.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define ICMP_ECHOREPLY 0
#define ICMP_DEST_UNREACH 3
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12
#define ICMP_FRAG_NEEDED 4
#define ICMPV6_DEST_UNREACH 1
#define ICMPV6_PKT_TOOBIG 2
#define ICMPV6_TIME_EXCEED 3
#define ICMPV6_PARAMPROB 4
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY 129
#define ND_ROUTER_SOLICIT 133
#define ND_ROUTER_ADVERT 134
#define ND_NEIGHBOR_ADVERT 136
#define ND_REDIRECT 137

#define IP_OFFSET_MF 0x3fff /* fragment offset and more-fragments bit */
#define IP_OFFSET 0x1fff
#define IP_DF 0x4000
#define IPV6_OFFSET 0xfff8
#define IPV6_EXTENSIONS_MAX 4

/* What stops a packet from having, or beginning, a flow. */
#define PACKET_FRAGMENT 1   /* ports are unknown, or have not been noted for the fragments that follow */
#define PACKET_ICMP_ERROR 2 /* belongs to the flow of the packet it quotes */
#define PACKET_OPAQUE 4	    /* no ports to translate by: other protocols, other ICMP, IPv6 routing headers */

struct packet {
	struct flow_key key;
	/* 1: IPv6. verifier: of what has eight bytes of the stack to itself, it remembers the value. */
	__u64 v6;
	__u32 l3, l4; /* offsets, bytes */
	__u32 l4_len; /* of the transport header, bytes */
	__u32 end;    /* of the IP packet, offset: link-layer padding may follow */
	__u8 tcp_flags;
	__u8 ttl;
	__u8 tos;
	__u8 flags; /* PACKET_* */
	__u8 icmp_type;
	__u8 shed;	   /* bytes of headers that no packet on the wire will have */
	bool may_fragment; /* IPv4 without DF */
	bool later;	   /* a fragment other than the first: no transport header */
	__be32 fragment_id;
};

/* Pointer to len bytes at off, made linear if need be; NULL if the packet ends before. Every earlier pointer is dead afterwards. */
static __always_inline void *packet_at(struct __sk_buff *ctx, __u64 off, __u32 len)
{
	void *at, *end;

	/* verifier: offset and sum that are checked must be the ones that are used; compilers like to compute them again. */
	barrier_var(off);
	if (off > 255)
		return NULL;
	barrier_var(off);
	at = (void *)(long)ctx->data + off;
	end = (void *)(long)ctx->data_end;
	barrier_var(at);
	if (at + len <= end)
		return at;
	if (bpf_skb_pull_data(ctx, off + len))
		return NULL;
	at = (void *)(long)ctx->data + off;
	end = (void *)(long)ctx->data_end;
	barrier_var(at);
	return at + len <= end ? at : NULL;
}

/* Behind the last byte that packet_at has made linear. */
static __always_inline const __u8 *packet_linear_end(struct __sk_buff *ctx)
{
	return (const __u8 *)(long)ctx->data_end;
}

static __always_inline int parse_icmp(struct packet *pkt, const __u8 *icmp)
{
	__be16 id = *(__be16 *)(icmp + 4);
	__u8 type = icmp[0];

	pkt->icmp_type = type;
	pkt->l4_len = 8;
	if (type == (pkt->v6 ? ICMPV6_ECHO_REQUEST : ICMP_ECHO)) {
		pkt->key.sport = id;
	} else if (type == (pkt->v6 ? ICMPV6_ECHO_REPLY : ICMP_ECHOREPLY)) {
		pkt->key.dport = id;
	} else if (pkt->v6 ? type >= ICMPV6_DEST_UNREACH && type <= ICMPV6_PARAMPROB
			   : type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB) {
		/* An error quotes less than what would have to be cut up. */
		pkt->flags |= pkt->flags & PACKET_FRAGMENT ? PACKET_OPAQUE : PACKET_ICMP_ERROR;
	} else {
		pkt->flags |= PACKET_OPAQUE;
	}
	/* Of a ping, one of them is 0: what has no identifier must not meet the session of one whose identifier is 0, too. */
	if (pkt->flags & PACKET_OPAQUE)
		pkt->key.sport = pkt->key.dport = 0xffff;
	return 0;
}

/* room: bytes that the IP header says are left for the transport header and what follows. */
static __always_inline int parse_l4(struct __sk_buff *ctx, struct packet *pkt, __u8 proto, __u32 room)
{
	__u8 *l4;

	pkt->key.proto = proto;
	switch (proto) {
	case IPPROTO_TCP:
		l4 = packet_at(ctx, pkt->l4, 20);
		if (!l4 || room < 20)
			return -DROP_MALFORMED;
		pkt->tcp_flags = l4[13];
		pkt->l4_len = (l4[12] >> 4) * 4;
		if (pkt->l4_len < 20)
			return -DROP_MALFORMED;
		break;
	case IPPROTO_UDP:
		l4 = packet_at(ctx, pkt->l4, 8);
		if (!l4 || room < 8)
			return -DROP_MALFORMED;
		pkt->l4_len = 8;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (pkt->v6 != (proto == IPPROTO_ICMPV6)) {
			pkt->flags |= PACKET_OPAQUE;
			return 0;
		}
		l4 = packet_at(ctx, pkt->l4, 8);
		if (!l4 || room < 8)
			return -DROP_MALFORMED;
		return parse_icmp(pkt, l4);
	case IPPROTO_SCTP:
		l4 = packet_at(ctx, pkt->l4, 12);
		if (!l4 || room < 12)
			return -DROP_MALFORMED;
		pkt->l4_len = 12;
		break;
	default:
		pkt->flags |= PACKET_OPAQUE;
		return 0;
	}
	pkt->key.sport = *(__be16 *)l4;
	pkt->key.dport = *(__be16 *)(l4 + 2);
	return 0;
}

static __always_inline int parse_ipv4(struct __sk_buff *ctx, struct packet *pkt)
{
	struct iphdr *ip = packet_at(ctx, pkt->l3, sizeof(*ip));
	__u32 hlen, len;

	if (!ip || ip->version != 4)
		return -DROP_MALFORMED;
	/* First, so that whoever sent what is found broken below is known. */
	addr_set4(&pkt->key.src, ip->saddr);
	addr_set4(&pkt->key.dst, ip->daddr);
	if (ip->ihl < 5)
		return -DROP_MALFORMED;
	hlen = ip->ihl * 4;
	/* A GSO packet beyond 64 KiB (BIG TCP) says 0: then the buffer's length counts. */
	len = ip->tot_len || !ctx->gso_size ? bpf_ntohs(ip->tot_len) : ctx->len - pkt->l3;
	if (len < hlen || len > ctx->len - pkt->l3)
		return -DROP_MALFORMED;
	pkt->end = pkt->l3 + len;
	pkt->v6 = false;
	pkt->ttl = ip->ttl;
	pkt->tos = ip->tos;
	pkt->may_fragment = !(ip->frag_off & bpf_htons(IP_DF));
	pkt->l4 = pkt->l3 + hlen;
	pkt->key.proto = ip->protocol;
	if (ip->frag_off & bpf_htons(IP_OFFSET_MF)) {
		pkt->flags |= PACKET_FRAGMENT;
		pkt->fragment_id = ip->id;
		pkt->later = ip->frag_off & bpf_htons(IP_OFFSET);
	}
	return pkt->later ? 0 : parse_l4(ctx, pkt, pkt->key.proto, len - hlen);
}

static __always_inline int parse_ipv6(struct __sk_buff *ctx, struct packet *pkt)
{
	struct ipv6hdr *ip = packet_at(ctx, pkt->l3, sizeof(*ip));
	__u32 len, hlen = 0;
	__u8 next, *ext;

	if (!ip || ip->version != 6)
		return -DROP_MALFORMED;
	addr_set6(&pkt->key.src, ip->saddr);
	addr_set6(&pkt->key.dst, ip->daddr);
	/* IPv4-mapped addresses have no business on a wire, and must not meet the flows of IPv4. */
	if (addr_is4(&pkt->key.src) || addr_is4(&pkt->key.dst))
		return -DROP_MALFORMED;
	/* A GSO packet beyond 64 KiB (BIG TCP) says 0. */
	len = ip->payload_len || !ctx->gso_size ? bpf_ntohs(ip->payload_len) : ctx->len - pkt->l3 - sizeof(*ip);
	if (len > ctx->len - pkt->l3 - sizeof(*ip))
		return -DROP_MALFORMED;
	pkt->end = pkt->l3 + sizeof(*ip) + len;
	pkt->v6 = true;
	pkt->ttl = ip->hop_limit;
	pkt->tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
	pkt->l4 = pkt->l3 + sizeof(*ip);
	next = ip->nexthdr;
	/* The kernel writes a jumbogram (RFC 2675) and takes its hop-by-hop header away again when it cuts the packet up. */
	if (!ip->payload_len && len && next == IPPROTO_HOPOPTS)
		pkt->shed = 8;
	/* Options headers are stepped over (RFC 8200 section 4); a routing header changes the destination and stays opaque. */
#pragma unroll
	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_DSTOPTS)
			break;
		ext = packet_at(ctx, pkt->l4, 8);
		if (!ext)
			return -DROP_MALFORMED;
		next = ext[0];
		hlen += 8 + ext[1] * 8;
		pkt->l4 = pkt->l3 + sizeof(*ip) + hlen;
	}
	if (hlen > len)
		return -DROP_MALFORMED;
	if (next == IPPROTO_FRAGMENT) {
		ext = packet_at(ctx, pkt->l4, 8);
		if (!ext)
			return -DROP_MALFORMED;
		pkt->flags |= PACKET_FRAGMENT;
		pkt->fragment_id = *(__be32 *)(ext + 4);
		pkt->later = *(__be16 *)(ext + 2) & bpf_htons(IPV6_OFFSET);
		pkt->key.proto = next = ext[0];
		hlen += 8;
		if (pkt->later)
			return 0;
		if (hlen > len)
			return -DROP_MALFORMED;
		pkt->l4 += 8;
	}
	return parse_l4(ctx, pkt, next, len - hlen);
}

/* 1: not IP. 0: parsed. Otherwise -DROP_MALFORMED. l3: offset of the IP header: 14, or 0 where there is no link-layer header. */
static __always_inline int packet_parse(struct __sk_buff *ctx, struct packet *pkt, __u32 l3)
{
	__builtin_memset(pkt, 0, sizeof(*pkt));
	pkt->l3 = l3;
	if (ctx->vlan_present)
		return 1;
	if (ctx->protocol == bpf_htons(ETH_P_IP))
		return parse_ipv4(ctx, pkt);
	if (ctx->protocol == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(ctx, pkt);
	return 1;
}

/* Where an IP packet behind a link-layer header goes, and nothing else of it. False: not IP, tagged, or broken. */
static __always_inline bool packet_destination(struct __sk_buff *ctx, struct addr *dst)
{
	if (ctx->vlan_present)
		return false;
	if (ctx->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = packet_at(ctx, ETH_HLEN, sizeof(*ip));

		if (ip)
			addr_set4(dst, ip->daddr);
		return ip;
	}
	if (ctx->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = packet_at(ctx, ETH_HLEN, sizeof(*ip));

		if (!ip)
			return false;
		addr_set6(dst, ip->daddr);
		return !addr_is4(dst);
	}
	return false;
}

static __always_inline bool packet_is_syn(const struct packet *pkt)
{
	return (pkt->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

/* Nothing begins with an RST or a FIN, nor with the answer to a ping: out of state, they are dropped. */
static __always_inline bool packet_may_begin(const struct packet *pkt)
{
	switch (pkt->key.proto) {
	case IPPROTO_TCP:
		return !(pkt->tcp_flags & (TCP_RST | TCP_FIN));
	case IPPROTO_ICMP:
		return pkt->icmp_type == ICMP_ECHO;
	case IPPROTO_ICMPV6:
		return pkt->icmp_type == ICMPV6_ECHO_REQUEST;
	}
	return true;
}

/* The key of the packet that answers this one. */
static __always_inline void flow_key_reverse(struct flow_key *to, const struct flow_key *from)
{
	__builtin_memset(to, 0, sizeof(*to));
	to->src = from->dst;
	to->dst = from->src;
	to->sport = from->dport;
	to->dport = from->sport;
	to->proto = from->proto;
}

/* Is a packet on the wire after segmentation longer than mtu? */
static __always_inline bool packet_exceeds(struct __sk_buff *ctx, const struct packet *pkt, __u32 mtu)
{
	__u32 size = ctx->gso_size;

	size = size ? size + pkt->l4 - pkt->l3 + pkt->l4_len - pkt->shed : ctx->len - pkt->l3;
	return size > mtu;
}
