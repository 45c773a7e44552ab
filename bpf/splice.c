//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP between two sockets of this host without packets, on networks that ask for it.
 * vw_from_spliced: vw_from_container, where the network is spliced: looks at whose the connection is that sends data.
 * vw_splice_send: sk_msg of both ends: what they send goes into the reader's queue, or the ordinary way. Verdict: SK_PASS.
 * vw_splice_bound: cgroup v2 hook: a socket is connected, or sends packets. Verdict: 1.
 * vw_splice_close, vw_splice_option: cgroup v2 hooks: a socket is closed, or told to be what a spliced one cannot be. Verdict: 1; 0 with
 * EOPNOTSUPP.
 */
#include "lib/classify.h"
#include "lib/splice.h"
#include "lib/bound.h"

SEC("tc")
int vw_from_spliced(struct __sk_buff *ctx)
{
	splice_offer(ctx);
	return verdict(ctx, HOOK_FROM_CONTAINER, tail(ctx, CALL_ALL, HOOK_FROM_CONTAINER, ETH_HLEN));
}

SEC("sk_msg")
int vw_splice_send(struct sk_msg_md *ctx)
{
	splice_send(ctx);
	return SK_PASS;
}

SEC("sockops")
int vw_splice_bound(struct bpf_sock_ops *ctx)
{
	splice_bound(ctx);
	return 1;
}

SEC("cgroup/sock_release")
int vw_splice_close(struct bpf_sock *ctx)
{
	splice_close(ctx);
	return 1;
}

SEC("cgroup/setsockopt")
int vw_splice_option(struct bpf_sockopt *ctx)
{
	if (splice_option(ctx))
		return 1;
	bpf_set_retval(-EOPNOTSUPP);
	return 0;
}
