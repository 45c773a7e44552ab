//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lib/maps.h"
#include "lib/config.h"
#include "lib/calls.h"
SEC("tc") int vw_from_uplink(struct __sk_buff *ctx) { return TC_NEXT; }
SEC("tc") int vw_from_tun(struct __sk_buff *ctx) { return TC_NEXT; }
SEC("tc") int vw_new_inbound(struct __sk_buff *ctx) { return TC_NEXT; }
SEC("tc") int vw_to_uplink(struct __sk_buff *ctx) { return TC_NEXT; }
SEC("tc") int vw_to_tun(struct __sk_buff *ctx) { return TC_NEXT; }
SEC("tc") int vw_new_outbound(struct __sk_buff *ctx) { return TC_NEXT; }
