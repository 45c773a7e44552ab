//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * vw_fragment: tail of the container's and uplinks' programs, for fragments.
 * vw_from_detour: tcx ingress of the host end of the veth to the namespace where fragments are put in order.
 * vw_cut: tail of the same, for datagrams that have to be cut up.
 * vw_from_cutter: tcx ingress of the host end of the veth to the namespace where that is done.
 * vw_defragment: netfilter hook of that namespace. It does nothing; that it is there, with the flag that asks for it, makes the kernel put
 * fragments together before they are forwarded (6.6).
 */
#include "lib/cut.h"
#include "lib/fragment.h"

SEC("tc")
int vw_fragment(struct __sk_buff *ctx)
{
	return verdict(ctx, ctx->cb[0], fragment(ctx));
}

SEC("tc")
int vw_from_detour(struct __sk_buff *ctx)
{
	return verdict(ctx, HOOK_FROM_DETOUR, from_detour(ctx));
}

SEC("tc")
int vw_cut(struct __sk_buff *ctx)
{
	return verdict(ctx, ctx->cb[0], cut(ctx));
}

SEC("tc")
int vw_from_cutter(struct __sk_buff *ctx)
{
	return verdict(ctx, HOOK_FROM_CUTTER, from_cutter(ctx));
}

SEC("netfilter")
int vw_defragment(void *ctx)
{
	return NF_ACCEPT;
}
