//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The object: all programs over one set of maps. */
#include "container.c"
#include "uplink.c"
#include "detour.c"
#include "xdp.c"
#include "socket.c"
#include "splice.c"
#include "collect.c"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
