/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Processes of the host reach a published port by any of the host's addresses: the socket is pointed at the container once, when it
 * connects or sends, and is told what it asked for whenever it looks. No packet is touched.
 */
#pragma once

#include "published.h"
#include "shortcut.h"

static __always_inline bool socket_is_ours(void *ctx)
{
	return bpf_get_netns_cookie(ctx) == host_netns;
}

static __always_inline void socket_addr_read(struct addr *to, const struct bpf_sock_addr *ctx, bool v6)
{
	if (v6) {
		addr_words(to)[0] = ctx->user_ip6[0];
		addr_words(to)[1] = ctx->user_ip6[1];
		addr_words(to)[2] = ctx->user_ip6[2];
		addr_words(to)[3] = ctx->user_ip6[3];
	} else {
		addr_set4(to, ctx->user_ip4);
	}
}

static __always_inline void socket_addr_write(struct bpf_sock_addr *ctx, const struct addr *from, __be16 port, bool v6)
{
	if (v6) {
		ctx->user_ip6[0] = addr_words(from)[0];
		ctx->user_ip6[1] = addr_words(from)[1];
		ctx->user_ip6[2] = addr_words(from)[2];
		ctx->user_ip6[3] = addr_words(from)[3];
	} else {
		ctx->user_ip4 = addr_words(from)[3];
	}
	ctx->user_port = port;
}

/* The published port that a socket means by addr:port, if it is one. */
static __always_inline struct published_value *socket_find_published(const struct addr *asked, __be16 port, __u8 proto)
{
	struct addr host = *asked;

	if (!(port_use_of(proto, port) & PORT_PUBLISHED))
		return NULL;
	/* Connecting to the unspecified address is connecting to this host. */
	if (addr_is4(&host) ? !addr_words(&host)[3] : addr_is_zero(&host)) {
		if (addr_is4(&host)) {
			addr_set4(&host, bpf_htonl(0x7f000001));
		} else {
			__builtin_memset(&host, 0, sizeof(host));
			addr_words(&host)[3] = bpf_htonl(1);
		}
	} else if (!address_is_local(asked)) {
		return NULL;
	}
	return published_at(&host, port, proto);
}

static __always_inline bool peer_matches(const struct peer *peer, const struct addr *target, __be16 port)
{
	return peer->target_port == port && addr_equal(&peer->target, target);
}

static __always_inline void peer_set(struct peer *peer, const struct addr *asked, __be16 asked_port, const struct addr *target,
				     __be16 target_port)
{
	peer->asked = *asked;
	peer->asked_port = asked_port;
	peer->target = *target;
	peer->target_port = target_port;
}

/* Remembers one of several. The oldest of PEERS_MAX goes: a socket that asks for more published ports than that without connecting sees the
 * containers' addresses in the answers of the first ones. */
static __always_inline void peers_add(struct bpf_sock_addr *ctx, const struct addr *asked, __be16 asked_port,
				      const struct addr *target, __be16 target_port)
{
	struct socket_value *socket = bpf_sk_storage_get(&sockets, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	__u32 at;

	if (!socket)
		return;
	at = socket->next;
#pragma unroll
	for (int i = 0; i < PEERS_MAX; i++) {
		if (peer_matches(&socket->peers[i], target, target_port)) {
			at = i;
			break;
		}
	}
	if (at == socket->next)
		socket->next = (at + 1) % PEERS_MAX;
	at %= PEERS_MAX;
	peer_set(&socket->peers[at], asked, asked_port, target, target_port);
}

static __always_inline struct peer *peers_find(struct bpf_sock_addr *ctx, const struct addr *target, __be16 target_port)
{
	struct socket_value *socket = bpf_sk_storage_get(&sockets, ctx->sk, NULL, 0);

	if (!socket)
		return NULL;
#pragma unroll
	for (int i = 0; i < PEERS_MAX; i++) {
		if (peer_matches(&socket->peers[i], target, target_port))
			return &socket->peers[i];
	}
	return NULL;
}

/*
 * What stands for a target on this socket. A target is remembered in one place at most, so the order does not matter: peers is where
 * most have it.
 */
static __always_inline struct peer *peer_find(struct bpf_sock_addr *ctx, const struct addr *target, __be16 target_port)
{
	struct peer *peer = bpf_sk_storage_get(&peers, ctx->sk, NULL, 0);

	return peer && peer_matches(peer, target, target_port) ? peer : peers_find(ctx, target, target_port);
}

/* connect() has asked for the target by its own name: so it is to be told. */
static __always_inline void peer_forget(struct bpf_sock_addr *ctx, const struct addr *target, __be16 target_port)
{
	struct peer *peer = peer_find(ctx, target, target_port);

	if (peer)
		peer->target_port = 0;
}

/*
 * connect(). The kernel may still refuse it, and then a UDP socket stays connected to whom it was; and answers of whom it was connected to may wait
 * to be read. So of UDP the one before is kept as well, among those that were sent to.
 */
static __always_inline void peer_connect(struct bpf_sock_addr *ctx, const struct addr *asked, __be16 asked_port,
					 const struct published_value *port)
{
	struct peer *other = peers_find(ctx, &port->target, port->port), *peer;

	if (other)
		other->target_port = 0;
	peer = bpf_sk_storage_get(&peers, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!peer)
		return;
	if (ctx->protocol == IPPROTO_UDP && peer->target_port && !peer_matches(peer, &port->target, port->port))
		peers_add(ctx, &peer->asked, peer->asked_port, &peer->target, peer->target_port);
	peer_set(peer, asked, asked_port, &port->target, port->port);
}

/* Is the socket connected to it? */
static __always_inline bool socket_has_peer(const struct bpf_sock *sk, const struct addr *target, __be16 target_port)
{
	const __be32 *w = addr_words(target);

	if (sk->dst_port != target_port)
		return false;
	if (addr_is4(target))
		return sk->dst_ip4 == w[3];
	return sk->dst_ip6[0] == w[0] && sk->dst_ip6[1] == w[1] && sk->dst_ip6[2] == w[2] && sk->dst_ip6[3] == w[3];
}

/*
 * sendmsg() with an address. A connected socket hears from its peer alone, so what that is called, connect() has said. One that was connected
 * once has the last word that it said of the target.
 */
static __always_inline void peer_send(struct bpf_sock_addr *ctx, const struct addr *asked, __be16 asked_port,
				      const struct published_value *port)
{
	struct bpf_sock *sk = ctx->sk;
	struct peer *peer;

	if (!sk || socket_has_peer(sk, &port->target, port->port))
		return;
	peer = bpf_sk_storage_get(&peers, sk, NULL, 0);
	if (peer && peer_matches(peer, &port->target, port->port))
		peer_set(peer, asked, asked_port, &port->target, port->port);
	else
		peers_add(ctx, asked, asked_port, &port->target, port->port);
}

/* A datagram may be sent from a socket that is bound to a loopback address: the container could not answer that. */
static __always_inline void socket_fix_source(struct bpf_sock_addr *ctx, const struct published_value *port, bool v6)
{
	struct endpoint_value *endpoint = bpf_map_lookup_elem(&endpoints, &port->target);
	struct network_value *network;
	__u32 id;

	if (!endpoint)
		return;
	id = endpoint->network;
	network = bpf_map_lookup_elem(&networks, &id);
	if (!network)
		return;
	if (!v6) {
		if ((ctx->msg_src_ip4 & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000))
			ctx->msg_src_ip4 = addr_words(&network->gateway4)[3];
		return;
	}
	if (!ctx->msg_src_ip6[0] && !ctx->msg_src_ip6[1] && !ctx->msg_src_ip6[2] && ctx->msg_src_ip6[3] == bpf_htonl(1)) {
		ctx->msg_src_ip6[0] = addr_words(&network->gateway6)[0];
		ctx->msg_src_ip6[1] = addr_words(&network->gateway6)[1];
		ctx->msg_src_ip6[2] = addr_words(&network->gateway6)[2];
		ctx->msg_src_ip6[3] = addr_words(&network->gateway6)[3];
	}
}

static __always_inline void socket_redirect(struct bpf_sock_addr *ctx, bool v6, bool datagram)
{
	struct published_value *port;
	__be16 asked_port = ctx->user_port;
	struct addr asked;

	if (!socket_is_ours(ctx) || (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_UDP))
		return;
	socket_addr_read(&asked, ctx, v6);
	port = socket_find_published(&asked, asked_port, ctx->protocol);
	if (!port) {
		if (!datagram)
			peer_forget(ctx, &asked, asked_port);
		return;
	}
	/* An IPv6 socket reaches an IPv4 container by its mapped address, when it connects; the kernel does not let a datagram change its
	 * family. */
	if (addr_is4(&port->target) != addr_is4(&asked) && (datagram || !v6))
		return;
	if (datagram)
		peer_send(ctx, &asked, asked_port, port);
	else
		peer_connect(ctx, &asked, asked_port, port);
	socket_addr_write(ctx, &port->target, port->port, v6);
	if (datagram)
		socket_fix_source(ctx, port, v6);
}

/* What the socket hears from is what it asked for. */
static __always_inline void socket_restore(struct bpf_sock_addr *ctx, bool v6)
{
	struct addr target;
	struct peer *peer;

	if (!socket_is_ours(ctx) || !ctx->user_port)
		return;
	socket_addr_read(&target, ctx, v6);
	peer = peer_find(ctx, &target, ctx->user_port);
	if (peer)
		socket_addr_write(ctx, &peer->asked, peer->asked_port, v6);
}

/* bind(): a published port is taken as if a proxy listened on it; a port of the NAT pool is left to the host from now on. */
static __always_inline int socket_bound(struct bpf_sock *ctx, bool v6)
{
	struct published_key key = { .proto = ctx->protocol };
	__u32 index, *use;

	if (!socket_is_ours(ctx) || !ctx->src_port || (key.proto != IPPROTO_TCP && key.proto != IPPROTO_UDP))
		return 1;
	key.port = bpf_htons((__u16)ctx->src_port);
	index = port_use_index(key.proto, key.port);
	use = bpf_map_lookup_elem(&port_use, &index);
	if (!use)
		return 1;
	if (v6) {
		addr_words(&key.addr)[0] = ctx->src_ip6[0];
		addr_words(&key.addr)[1] = ctx->src_ip6[1];
		addr_words(&key.addr)[2] = ctx->src_ip6[2];
		addr_words(&key.addr)[3] = ctx->src_ip6[3];
	} else {
		addr_set4(&key.addr, ctx->src_ip4);
	}
	if (*use & PORT_PUBLISHED) {
		bool any = addr_is4(&key.addr) ? !addr_words(&key.addr)[3] : addr_is_zero(&key.addr);

		/* Any address of ours contains the published one; [::] takes the IPv4 port too. */
		if (any)
			goto taken;
		if (bpf_map_lookup_elem(&published, &key))
			goto taken;
		if (addr_is4(&key.addr))
			addr_set4(&key.addr, 0);
		else
			__builtin_memset(&key.addr, 0, sizeof(key.addr));
		if (bpf_map_lookup_elem(&published, &key))
			goto taken;
	}
	if (port_in_pool(key.port) && !(*use & PORT_HOST))
		__sync_fetch_and_or(use, PORT_HOST);
	return 1;
taken:
	bpf_set_retval(-EADDRINUSE);
	return 0;
}
