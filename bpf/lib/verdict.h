/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one way out of every packet program. */
#pragma once

#include "maps.h"

#define PASS 0 /* not ours: the next program, then the stack */

static __always_inline void drop_count(__u64 bytes, enum hook hook, enum drop_reason reason)
{
	struct counter_key key = { .hook = hook, .reason = reason };
	struct counter_value none = {};
	struct counter_value *count = bpf_map_lookup_elem(&counters, &key);

	if (!count) {
		/* Another CPU may be first: then its entry serves as well. */
		bpf_map_update_elem(&counters, &key, &none, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&counters, &key);
		if (!count)
			return;
	}
	count->packets++;
	count->bytes += bytes;
}

/* ret: PASS; a redirect helper's code, above 0; or -DROP_reason. */
static __always_inline int verdict(struct __sk_buff *ctx, enum hook hook, int ret)
{
	if (ret == PASS)
		return TC_NEXT;
	if (ret > 0)
		return ret;
	drop_count(ctx->len, hook, -ret);
	return TC_DROP;
}
