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

/* Flag for bpf_l4_csum_replace on IPv6 packets: BPF_F_IPV6 where the kernel knows it (6.16 and stable releases), 0 elsewhere. */
volatile const __u32 csum_ipv6_flag = 0;
