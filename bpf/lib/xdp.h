/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames as the driver has them, before there is a buffer of the stack's. */
#pragma once

#include "guard.h"

static __always_inline int xdp_guard(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return PASS;
	return guard(ctx, eth + 1, end, eth->h_proto);
}

/* verdict() for programs of this type. */
static __always_inline int xdp_verdict(struct xdp_md *ctx, int ret)
{
	if (ret == PASS)
		return XDP_PASS;
	drop_count(bpf_xdp_get_buff_len(ctx), HOOK_XDP, -ret);
	return XDP_DROP;
}
