//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lib/maps.h"
#include "lib/config.h"
#include "lib/calls.h"
SEC("tc") int vw_from_container(struct __sk_buff *ctx) { bpf_tail_call(ctx, &calls, CALL_NEW_FLOW); return TC_NEXT; }
SEC("tc") int vw_new_flow(struct __sk_buff *ctx) { return TC_NEXT; }
SEC("tc") int vw_icmp_error(struct __sk_buff *ctx) { return TC_NEXT; }
SEC("tc") int vw_to_bridge(struct __sk_buff *ctx) { return TC_NEXT; }
