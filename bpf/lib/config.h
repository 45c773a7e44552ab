/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Knobs, set by the loader before the programs are loaded. */
#pragma once

#include "../include/kernel.h"

/* SO_NETNS_COOKIE of the host's network namespace. The cgroup hooks serve sockets of that namespace only. */
volatile const __u64 host_netns = 0;

/* NAT ports, first and last, host byte order: a range that the host's own sockets do not pick from
 * (net.ipv4.ip_local_port_range), so that host traffic is told from ours by two compares. */
volatile const __u16 pool_first = 1024;
volatile const __u16 pool_last = 32767;

/* net.ipv4.ip_local_port_range: a published port inside it may also be a host socket's automatic port. */
volatile const __u16 local_first = 32768;
volatile const __u16 local_last = 60999;

/* Whether the programs may look at the kernel's struct sk_buff (bpf_cast_to_kern_ctx, 6.2): then they correct checksums themselves. */
volatile const bool direct_checksums = false;

/*
 * Seconds of CLOCK_MONOTONIC from the tick counter, which costs no call: (jiffies - clock_base) * clock_mult / 2^35. The factor is rounded,
 * which makes a second in three years. 0: not known, the clock is asked.
 */
volatile const __u64 clock_base = 0;
volatile const __u64 clock_mult = 0;
