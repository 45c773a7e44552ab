//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * cgroup v2 hooks for the host's own processes: connect, sendmsg, recvmsg, getpeername and bind of IPv4 and IPv6 sockets. They are attached to a
 * cgroup that may hold containers too: sockets of other network namespaces pass untouched.
 *
 * Verdicts: 1; vw_post_bind4/6: 0 with EADDRINUSE.
 */
#include "lib/socket.h"

#define SOCKET_HOOK(section, name, call)         \
	SEC(section)                             \
	int vw_##name(struct bpf_sock_addr *ctx) \
	{                                        \
		call;                            \
		return 1;                        \
	}

SOCKET_HOOK("cgroup/connect4", connect4, socket_redirect(ctx, false, false))
SOCKET_HOOK("cgroup/connect6", connect6, socket_redirect(ctx, true, false))
SOCKET_HOOK("cgroup/sendmsg4", sendmsg4, socket_redirect(ctx, false, true))
SOCKET_HOOK("cgroup/sendmsg6", sendmsg6, socket_redirect(ctx, true, true))
SOCKET_HOOK("cgroup/recvmsg4", recvmsg4, socket_restore(ctx, false))
SOCKET_HOOK("cgroup/recvmsg6", recvmsg6, socket_restore(ctx, true))
SOCKET_HOOK("cgroup/getpeername4", getpeername4, socket_restore(ctx, false))
SOCKET_HOOK("cgroup/getpeername6", getpeername6, socket_restore(ctx, true))

SEC("cgroup/post_bind4")
int vw_post_bind4(struct bpf_sock *ctx)
{
	return socket_bound(ctx, false);
}

SEC("cgroup/post_bind6")
int vw_post_bind6(struct bpf_sock *ctx)
{
	return socket_bound(ctx, true);
}
