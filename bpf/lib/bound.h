/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Streams that are spliced: what goes the ordinary way when the reader's queue is full is kept short.
 *
 * Nothing but the ordinary way makes a writer wait, and it takes megabytes in its buffers until it does: while the reader works its way through
 * these the writer adds more, and the queue never gets its turn. So a connection whose queue was full gets a buffer that the queue all but fills, and
 * a window that fits into the rest; its writer is told to wait as soon as something cannot be sent at once (TCP_NOTSENT_LOWAT). Then the reader has
 * soon read all, and splicing goes on. A buffer that a program has set itself (SO_SNDBUF, SO_RCVBUF) stays, and what belongs to it.
 *
 * Options can only be set where the kernel holds the lock of the socket: in callbacks of sock_ops. Sockets that may be spliced ask for the one
 * that comes before a packet is sent, and no more once that is settled.
 */
#pragma once

#include "splice.h"

#define BOUND_WINDOW (144 << 10)	  /* bytes that may be on their way */
#define BOUND_RECEIVE_BUFFER (1792 << 10) /* bytes, of which the kernel makes twice as many; net.core.rmem_max limits it */
#define BOUND_SEND_BUFFER (512 << 10)	  /* the same, and net.core.wmem_max: a message in one piece */
#define BOUND_UNSENT 1			  /* bytes */

static __always_inline bool bound_may_splice(const struct bpf_sock_ops *ctx)
{
	const struct spliced_value *here, *there;
	struct addr local, remote;
	__be32 words[4];

	if (ctx->family == AF_INET) {
		addr_set4(&local, ctx->local_ip4);
		addr_set4(&remote, ctx->remote_ip4);
	} else if (ctx->family == AF_INET6) {
		for (int i = 0; i < 4; i++)
			words[i] = ctx->local_ip6[i];
		addr_set6(&local, words);
		for (int i = 0; i < 4; i++)
			words[i] = ctx->remote_ip6[i];
		addr_set6(&remote, words);
	} else {
		return false;
	}
	here = bpf_map_lookup_elem(&spliced, &local);
	if (!here)
		return false;
	there = bpf_map_lookup_elem(&spliced, &remote);
	if (!there || there->network != here->network)
		return false;
	/* The kernel shows one port as a number, the other as it is on the wire, in the upper half. */
	return splice_port_fits(here, bpf_htons(ctx->local_port)) || splice_port_fits(there, ctx->remote_port >> 16);
}

/* What the program has set itself: SOCK_*_LOCK. */
static __always_inline __u64 bound_locks(const struct tcp_sock *tcp)
{
	const struct sock *sk = &tcp->inet_conn.icsk_inet.sk;
	__u64 bits = 0;

	bpf_probe_read_kernel(&bits, __builtin_preserve_field_info(sk->sk_userlocks, FIELD_BYTE_SIZE),
			      (const void *)sk + __builtin_preserve_field_info(sk->sk_userlocks, FIELD_BYTE_OFFSET));
	bits <<= __builtin_preserve_field_info(sk->sk_userlocks, FIELD_LSHIFT_U64);
	return bits >> __builtin_preserve_field_info(sk->sk_userlocks, FIELD_RSHIFT_U64);
}

static __always_inline bool bound_set(struct bpf_sock_ops *ctx, int level, int option, int value)
{
	return !bpf_setsockopt(ctx, level, option, &value, sizeof(value));
}

/* The kernel forgets the limit of the window whenever it finds that packets take another amount of memory than it thought (6.6). */
static __always_inline bool bound_window(struct bpf_sock_ops *ctx, const struct tcp_sock *tcp)
{
	__u32 limit;

	return (!splice_peek(&limit, tcp->window_clamp) && limit <= BOUND_WINDOW) ||
	       bound_set(ctx, SOL_TCP, TCP_WINDOW_CLAMP, BOUND_WINDOW);
}

/* A socket that may be spliced is about to send a packet. in: what is sent to it; out: what it sends. Returns whether no others matter. */
static __always_inline bool bound_settle(struct bpf_sock_ops *ctx, struct bpf_sock *sk, struct splice_value *in,
					 const struct splice_value *out, bool first)
{
	const struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	int room = BOUND_RECEIVE_BUFFER, have;
	__u64 locks;

	if (in->flags & SPLICE_REFUSED)
		return (first ? in->tries : out->tries) >= SPLICE_TRIES;
	if (!tcp || !((in->flags | out->flags) & SPLICE_FILLED))
		return false;
	if (in->bounded)
		return !bound_window(ctx, tcp);
	locks = bound_locks(tcp);
	if (!(locks & SOCK_SNDBUF_LOCK) && bound_set(ctx, SOL_SOCKET, SO_SNDBUF, BOUND_SEND_BUFFER))
		bound_set(ctx, SOL_TCP, TCP_NOTSENT_LOWAT, BOUND_UNSENT);
	/* What is promised already must find room. */
	if (!splice_peek(&have, tcp->inet_conn.icsk_inet.sk.sk_rcvbuf) && have >> 1 > room)
		room = have >> 1;
	if (locks & SOCK_RCVBUF_LOCK || !bound_set(ctx, SOL_SOCKET, SO_RCVBUF, room) ||
	    !bound_set(ctx, SOL_TCP, TCP_WINDOW_CLAMP, BOUND_WINDOW))
		return true;
	in->bounded = 1;
	return false;
}

static __always_inline void splice_bound(struct bpf_sock_ops *ctx)
{
	struct splice_value *in, *out;
	struct splice_socket *own;
	struct splice_key key;
	struct bpf_sock *sk;

	switch (ctx->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		if (bound_may_splice(ctx))
			bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
		return;
	case BPF_SOCK_OPS_HDR_OPT_LEN_CB:
		break;
	default:
		return;
	}
	sk = ctx->sk;
	if (!sk)
		return;
	own = bpf_sk_storage_get(&splice_sockets, sk, NULL, 0);
	if (!own)
		return;
	splice_key_reverse(&key, &own->peer);
	in = bpf_map_lookup_elem(&splices, &key);
	out = bpf_map_lookup_elem(&splices, &own->peer);
	if (in && out && bound_settle(ctx, sk, in, out, splice_key_is_first(&key)))
		bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags & ~BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
}
