//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * vw_xdp: XDP on uplinks whose driver runs it, while there is something to drop there: sees every frame that the host receives, before
 * the kernel has spent anything on it. It forwards nothing.
 * vw_xdp_generic: the same behind the driver, for those that have none. Not for frames in fragments: those the kernel would copy, and (6.18)
 * lose the length of the link-layer header, so that tc programs saw the packet 14 bytes off.
 *
 * Verdicts: XDP_PASS, XDP_DROP.
 */
#include "lib/xdp.h"

SEC("xdp.frags")
int vw_xdp(struct xdp_md *ctx)
{
	return xdp_verdict(ctx, xdp_guard(ctx));
}

SEC("xdp")
int vw_xdp_generic(struct xdp_md *ctx)
{
	return xdp_verdict(ctx, xdp_guard(ctx));
}
