/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Splicing: what one socket of this host sends to another goes straight into a queue of the reader's, and never becomes a packet.
 *
 * The reader has two queues then: the stack's, and ours, which the kernel reads first. Bytes stay in order because ours is filled only when all
 * that went the ordinary way has been read: the reader's copied_seq is the sender's write_seq. That they are numbers of the same
 * sequence also proves that the two sockets are ends of one connection. From our queue back to the ordinary way is always in order; the FIN,
 * which comes that way, is too.
 *
 * The kernel does not limit our queue. When more than `room` could be in it, what follows goes the ordinary way, with its window, until the
 * reader has read all there is. bound.h sees to it that this is soon.
 *
 * A socket whose reader may sleep in the kernel is not spliced: it could sleep at the stack's queue while ours is filled, and where both are
 * watched the kernel returns EAGAIN to it for a signal. Hence both ends must be O_NONBLOCK, and there must be a file to see that: so it is
 * looked at when data is sent, not when the connection is made.
 */
#pragma once

#include "flow.h"

#define SPLICE_TRIES 16
#define SPLICE_LARGE (136 << 10)   /* bytes: writers of more are not bounded: they would copy the same bytes again and again */
#define SPLICE_WINDOWS (512 << 10) /* bytes: what the ordinary way may take of a bounded reader's buffer */
#define SPLICE_MESSAGE 1024	   /* what the kernel takes for a message (struct sk_msg), beside its bytes */

static __always_inline void splice_key_reverse(struct splice_key *to, const struct splice_key *from)
{
	to->local = from->remote;
	to->remote = from->local;
	to->local_port = from->remote_port;
	to->remote_port = from->local_port;
	to->pad = 0;
}

/* Of the two ends' keys, the one that both directions agree on. */
static __always_inline bool splice_key_is_first(const struct splice_key *key)
{
	if (addr_quads(&key->local)[1] != addr_quads(&key->remote)[1])
		return addr_quads(&key->local)[1] < addr_quads(&key->remote)[1];
	return addr_quads(&key->local)[0] < addr_quads(&key->remote)[0];
}

static __always_inline bool splice_port_fits(const struct spliced_value *at, __be16 port)
{
#pragma unroll
	for (int i = 0; i < SPLICED_PORTS; i++) {
		if (at->ports[i] == port)
			return true;
	}
	return !at->ports[0];
}

/* The socket that has this end of an established connection; to be released. */
static __always_inline struct bpf_sock *splice_find(struct __sk_buff *ctx, const struct splice_key *end, __s32 netns)
{
	struct bpf_sock_tuple tuple;
	struct bpf_sock *sk;

	if (addr_is4(&end->local)) {
		tuple.ipv4.saddr = addr_words(&end->remote)[3];
		tuple.ipv4.daddr = addr_words(&end->local)[3];
		tuple.ipv4.sport = end->remote_port;
		tuple.ipv4.dport = end->local_port;
		sk = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), (__s64)netns, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, end->remote.b, sizeof(end->remote.b));
		__builtin_memcpy(tuple.ipv6.daddr, end->local.b, sizeof(end->local.b));
		tuple.ipv6.sport = end->remote_port;
		tuple.ipv6.dport = end->local_port;
		sk = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), (__s64)netns, 0);
	}
	if (sk && sk->state != BPF_TCP_ESTABLISHED) {
		bpf_sk_release(sk);
		sk = NULL;
	}
	return sk;
}

/* The kernel's structure of a socket that can be spliced, else 0. */
static __always_inline __u64 splice_fit(struct bpf_sock *found)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(found);
	struct sock *sk;
	struct file *file;

	if (!tcp)
		return 0;
	sk = &tcp->inet_conn.icsk_inet.sk;
	if (!sk->sk_socket || !sk->sk_socket->file)
		return 0; /* it waits for accept() */
	file = sk->sk_socket->file;
	/* A part of a connection with several paths (RFC 8684); TLS in the kernel; pages of the sender's own. */
	if (!(file->f_flags & O_NONBLOCK) || (kernel_has_field(tcp->is_mptcp) && tcp->is_mptcp) || tcp->inet_conn.icsk_ulp_ops ||
	    sk->__sk_common.skc_flags >> kernel_enum(enum sock_flags, SOCK_ZEROCOPY) & 1)
		return 0;
	return (__u64)tcp;
}

/* Notes an end: refused, until both are in. */
static __always_inline bool splice_note(const struct splice_key *end, const struct spliced_value *at, struct bpf_sock *sk)
{
	struct splice_value value = {
		.slot = at->slot,
		.generation = at->generation,
		.started = clock_seconds(),
		.network = at->network,
		.flags = SPLICE_REFUSED,
	};
	struct splice_socket *own = bpf_sk_storage_get(&splice_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (!own)
		return false;
	splice_key_reverse(&own->peer, end);
	own->slot = at->slot;
	own->generation = at->generation;
	if (bpf_map_update_elem(&splices, end, &value, BPF_NOEXIST) == -E2BIG)
		return false;
	/* Either we see that it is closed, or whoever closes it sees the entry. */
	if (!READ_ONCE(own->closed))
		return true;
	bpf_map_delete_elem(&splices, end);
	return false;
}

static __always_inline void splice_allow(const struct splice_key *end, __u64 sock)
{
	struct splice_value *value = bpf_map_lookup_elem(&splices, end);

	if (!value)
		return;
	value->sock = sock;
	value->flags = 0;
}

/* Both ends are there: can they be in? Both directions begin with the same end: of two CPUs, one gets it in. */
static __always_inline void splice_join(struct __sk_buff *ctx, struct splice_key *first, struct splice_key *second,
					const struct spliced_value *at_first, const struct spliced_value *at_second)
{
	struct bpf_sock *sk1, *sk2;
	__u64 sock1 = 0, sock2 = 0;

	sk1 = splice_find(ctx, first, at_first->netns);
	if (!sk1)
		return;
	sk2 = splice_find(ctx, second, at_second->netns);
	if (!sk2)
		goto release1;
	if (!splice_note(first, at_first, sk1) || !splice_note(second, at_second, sk2))
		goto release2;
	sock1 = splice_fit(sk1);
	sock2 = splice_fit(sk2);
	if (!sock1 || !sock2)
		goto release2;
	/* An older socket of the same addresses that is still read from keeps its place. */
	if (bpf_map_update_elem(&splice_ends, first, sk1, BPF_NOEXIST))
		goto release2;
	if (bpf_map_update_elem(&splice_ends, second, sk2, BPF_NOEXIST)) {
		bpf_map_delete_elem(&splice_ends, first);
		goto release2;
	}
	splice_allow(first, sock1);
	splice_allow(second, sock2);
release2:
	bpf_sk_release(sk2);
release1:
	bpf_sk_release(sk1);
}

/* Is the connection to be looked at? A program may be slow to accept it, or make it non-blocking: so not only once. */
static __always_inline bool splice_is_open(const struct splice_key *first)
{
	struct splice_value *value = bpf_map_lookup_elem(&splices, first);

	return !value || (value->flags & SPLICE_REFUSED && value->tries < SPLICE_TRIES &&
			  __sync_fetch_and_add(&value->tries, 1) < SPLICE_TRIES);
}

/* A container sends. */
static __always_inline void splice_offer(struct __sk_buff *ctx)
{
	struct splice_key sender = {}, reader;
	struct spliced_value *from, *to;
	struct packet pkt;

	if (packet_parse(ctx, &pkt, ETH_HLEN) || pkt.flags || pkt.key.proto != IPPROTO_TCP || pkt.end <= pkt.l4 + pkt.l4_len ||
	    pkt.tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST))
		return;
	from = bpf_map_lookup_elem(&spliced, &pkt.key.src);
	if (!from || from->ifindex != ctx->ifindex)
		return;
	to = bpf_map_lookup_elem(&spliced, &pkt.key.dst);
	if (!to || to->network != from->network)
		return;
	if (!splice_port_fits(from, pkt.key.sport) && !splice_port_fits(to, pkt.key.dport))
		return;
	sender.local = pkt.key.src;
	sender.remote = pkt.key.dst;
	sender.local_port = pkt.key.sport;
	sender.remote_port = pkt.key.dport;
	splice_key_reverse(&reader, &sender);
	if (splice_key_is_first(&sender)) {
		if (splice_is_open(&sender))
			splice_join(ctx, &sender, &reader, from, to);
	} else if (splice_is_open(&reader)) {
		splice_join(ctx, &reader, &sender, to, from);
	}
}

/* Reads a field of a structure that may be gone by now: then the value is any. */
#define splice_peek(to, field) bpf_probe_read_kernel(to, sizeof(*(to)), __builtin_preserve_access_index(&(field)))

/* Is our queue of this socket empty? It hangs on sk_user_data, whose lowest three bits are flags; a list is empty that leads to itself. */
static __always_inline bool splice_queue_empty(const struct tcp_sock *tcp)
{
	const struct sk_psock *psock;
	void *data, *next;

	if (splice_peek(&data, tcp->inet_conn.icsk_inet.sk.sk_user_data))
		return false;
	psock = (const struct sk_psock *)((unsigned long)data & ~7UL);
	if (!psock || splice_peek(&next, psock->ingress_msg.next))
		return false;
	return next == __builtin_preserve_access_index(&psock->ingress_msg);
}

/* How much the reader has said that it takes the ordinary way, having read all up to there: the kernel drops what then finds no room. */
static __always_inline __u32 splice_promised(const struct tcp_sock *reader, __u32 read)
{
	__u32 from, window;

	if (splice_peek(&from, reader->rcv_wup) || splice_peek(&window, reader->rcv_wnd))
		return ~0;
	return from + window - read;
}

/* May our queue be filled again? All that went the ordinary way must have been read, and the reader not wait for a number of bytes. Half of what it
 * may have waiting is ours, so that there is room for what comes the ordinary way next; nearly all, where that is little. */
static __always_inline bool splice_resume(struct splice_value *to, const struct tcp_sock *reader, __u32 sent)
{
	const struct sock *sk = &reader->inet_conn.icsk_inet.sk;
	int least, limit;
	__u32 read;

	if (splice_peek(&read, reader->copied_seq) || read != sent)
		return false;
	if (splice_peek(&least, sk->sk_rcvlowat) || least > 1 || splice_peek(&limit, sk->sk_rcvbuf))
		return false;
	to->room = (__u32)limit / 2;
	if (to->bounded && (__u32)limit > 2 * SPLICE_WINDOWS && splice_promised(reader, read) <= SPLICE_WINDOWS / 2)
		to->room = (__u32)limit - SPLICE_WINDOWS;
	to->flags |= SPLICE_REDIRECT;
	return true;
}

static __always_inline bool splice_is_live(__u32 slot, __u32 generation)
{
	return generation_of(slot) == generation;
}

static __always_inline void splice_send(struct sk_msg_md *ctx)
{
	const struct tcp_sock *reader;
	struct splice_socket *own;
	struct splice_value *to;
	struct tcp_sock *tcp;
	__u32 cost = ctx->size + SPLICE_MESSAGE;

	own = bpf_sk_storage_get(&splice_sockets, ctx->sk, NULL, 0);
	if (!own)
		return;
	to = bpf_map_lookup_elem(&splices, &own->peer);
	if (!to || to->flags & SPLICE_REFUSED)
		return;
	reader = (const struct tcp_sock *)to->sock;
	if (splice_queue_empty(reader)) {
		to->queued = 0;
		tcp = bpf_skc_to_tcp_sock(ctx->sk);
		if (!(to->flags & SPLICE_REDIRECT) && (!tcp || !splice_resume(to, reader, tcp->write_seq)))
			return;
	} else if (!(to->flags & SPLICE_REDIRECT)) {
		return;
	}
	if (to->queued + cost > to->room) {
		to->flags &= ~SPLICE_REDIRECT;
		if (cost <= SPLICE_LARGE)
			to->flags |= SPLICE_FILLED;
		return;
	}
	if (!splice_is_live(own->slot, own->generation) || !splice_is_live(to->slot, to->generation) ||
	    bpf_msg_redirect_hash(ctx, &splice_ends, &own->peer, BPF_F_INGRESS) != SK_PASS) {
		to->flags &= ~SPLICE_REDIRECT;
		return;
	}
	to->queued += cost;
	to->bytes += ctx->size;
	to->messages++;
	to->seen = clock_seconds();
}

/* What the socket is an end of, if it is one that can be spliced. */
static __always_inline struct splice_value *splice_of(struct bpf_sock *sk)
{
	struct splice_socket *own = bpf_sk_storage_get(&splice_sockets, sk, NULL, 0);
	struct splice_key key;

	if (!own)
		return NULL;
	splice_key_reverse(&key, &own->peer);
	return bpf_map_lookup_elem(&splices, &key);
}

static __always_inline void splice_close(struct bpf_sock *sk)
{
	struct splice_socket *own;
	struct splice_key key;

	if (sk->protocol != IPPROTO_TCP)
		return;
	own = bpf_sk_storage_get(&splice_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!own)
		return;
	__sync_fetch_and_or(&own->closed, 1);
	splice_key_reverse(&key, &own->peer);
	bpf_map_delete_elem(&splices, &key);
}

#define SOCKOPT_MAX \
	4096 /* the kernel shows a program no more of an option's value, and wants to be told that the rest is as it was */

/* May the option be set? A spliced socket cannot be given TLS in the kernel, nor send pages of the program's own: programs do without where the
 * kernel says that it has neither. */
static __always_inline bool splice_option(struct bpf_sockopt *ctx)
{
	struct splice_value *end;

	if (ctx->optlen > SOCKOPT_MAX)
		ctx->optlen = 0;
	if (!(ctx->level == SOL_TCP && ctx->optname == TCP_ULP) && !(ctx->level == SOL_SOCKET && ctx->optname == SO_ZEROCOPY))
		return true;
	if (!ctx->sk)
		return true;
	end = splice_of(ctx->sk);
	return !end || end->flags & SPLICE_REFUSED;
}
