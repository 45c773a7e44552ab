//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * vw_xdp: XDP on uplinks whose driver runs it, while there is something to drop there: sees every frame that the host receives, before
 * the kernel has spent anything on it. It forwards nothing.
 *
 * Verdicts: XDP_PASS, XDP_DROP.
 */
#include "lib/xdp.h"

SEC("xdp.frags")
int vw_xdp(struct xdp_md *ctx)
{
	return xdp_verdict(ctx, xdp_guard(ctx));
}
