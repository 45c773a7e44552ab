/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every map that outlives a program set: who writes, who reads, how long an entry lives, how it is sized. */
#pragma once

#include "layout.h"

/* Written: programs (insert, counters, times), vw_gc and the daemon (delete). Read: programs, CLI. Life: until idle for
 * its timeout, or stale. Size: two entries a session, 524,288 by default; memory is taken as entries come. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 524288);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct flow4_key);
	__type(value, struct flow4_value);
} flows4 SEC(".maps");

/* The same of IPv6. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 524288);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct flow_key);
	__type(value, struct flow6_value);
} flows6 SEC(".maps");

/* Written and read: programs. Life: until others need the place. Index: see way.h. Size: next hops in use. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WAYS);
	__type(key, __u32);
	__type(value, struct way_value);
} ways SEC(".maps");

/* Written and read: vw_fragment. Life: 30 seconds, or until others need the room: what is lost is a datagram. Size: datagrams in
 * flight. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct fragment_key);
	__type(value, struct fragment_value);
} fragments SEC(".maps");

/* Written: vw_fragment. Read: vw_from_detour. Life, size: as fragments. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct origin_key);
	__type(value, struct origin_value);
} origins SEC(".maps");

/* Written: daemon. Read: programs on a new flow. Life: always. Size: one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings_value);
} settings SEC(".maps");

/* Written: daemon. Read: vw_xdp, vw_guard on every packet. Life: always. Size: one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct guard_value);
} guards SEC(".maps");

/* Written: daemon. Read: vw_xdp, vw_guard. Life: while on the deny list. Size: prefixes; memory is taken as entries come. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address_key);
	__type(value, struct denied_value);
} denied SEC(".maps");

/* Written and read: vw_xdp, vw_guard. Life: until others need the room: a source that is forgotten begins afresh. Size: sources that
 * begin flows at the same time. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct addr);
	__type(value, struct source_value);
} sources SEC(".maps");

/* Written: programs, daemon (delete). Read: programs on a new flow, CLI. Life: that of the endpoint. Size: one entry an endpoint that sent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct quota_value);
} quotas SEC(".maps");

/* Written: programs (insert), vw_gc_binding (delete, rest). Read: programs on a new flow. Life: as long as flows hang on it, and the hold-down
 * time after (RFC 6888 REQ-8). Size: two entries for each internal endpoint. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct binding_key);
	__type(value, struct binding_value);
} bindings SEC(".maps");

/* Written: daemon. Read: programs on a new flow, cgroup hooks. Life: while published. Size: 65,535 ports of three protocols on
 * several addresses. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct published_key);
	__type(value, struct published_value);
} published SEC(".maps");

/* Written: daemon. Read: programs. Life: while the container is attached. Size: one entry an address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct addr);
	__type(value, struct endpoint_value);
} endpoints SEC(".maps");

/* Written: daemon. Read: vw_from_container. Life: while the container is attached. Size: one entry an endpoint. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct veth_value);
} veths SEC(".maps");

/* Written: daemon. Read: programs on a new flow. Life: that of the network. Size: one entry a network. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct network_value);
} networks SEC(".maps");

/* Written: daemon. Read: programs, cgroup hooks. Life: that of the address or network. Size: host addresses and networks. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address_key);
	__type(value, struct address_value);
} addresses SEC(".maps");

/* Written: daemon. Read: programs on every packet. Life: that of the endpoint or address. Index: shortcut_index(). Size: one entry an address,
 * with room for them not to meet. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << SHORTCUT_BITS);
	__type(key, __u32);
	__type(value, struct shortcut_value);
} shortcuts SEC(".maps");

/* Written: programs. Read: vw_from_container. Life: always. Index: number of a network. Value: 1 when a container has reached another one
 * of that network by a published port. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u32);
} hairpins SEC(".maps");

/* Written: daemon. Read: programs when a route is looked up. Life: that of the interface. Size: one entry an interface. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct uplink_value);
} uplinks SEC(".maps");

/* Written: daemon, vw_post_bind4/6 (PORT_HOST). Read: vw_from_uplink on every packet, allocator, cgroup hooks. Life: always.
 * Index: port_use_index(). Size: 65,536 ports of TCP, UDP and the rest. Value: PORT_* */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3 * 65536);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
} port_use SEC(".maps");

/* Written: programs. Read: vw_from_uplink and vw_new_flow on a SYN that nobody expects. Life: always. Index: port_use_index(). Value: sessions whose
 * translated source has that port. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3 * 65536);
	__type(key, __u32);
	__type(value, __u32);
} port_flows SEC(".maps");

/* Written: programs. Read: daemon. Life: until read. Size: bytes; at most one event a second of each container. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} events SEC(".maps");

/* Written: daemon. Read: programs on every packet of a flow. Life: always. Index 0 counts changes of routes, addresses and links; the
 * others are given to endpoints and published ports, and go up when those go. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
} generations SEC(".maps");

/* Written: programs. Read: CLI, metrics. Life: always. Size: hooks times reasons. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct counter_key);
	__type(value, struct counter_value);
} counters SEC(".maps");

/* Written: programs, when a session is given a source port. Read: CLI, metrics. Life: always. Index: 0 for the first try, then twice as many tries
 * for each: 2, 3-4, 5-8 ... 65-128; the last one: none was free. Size: TRIES_FAILED + 1. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TRIES_FAILED + 1);
	__type(key, __u32);
	__type(value, __u64);
} tries SEC(".maps");

/* Written and read: cgroup hooks. Life: that of the socket. Size: one entry a socket that was connected to a published port. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct peer);
} peers SEC(".maps");

/* Written and read: cgroup hooks. Life: that of the socket. Size: one entry a socket that sent to a published port without being connected
 * to it, or was connected to several. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_value);
} sockets SEC(".maps");

/* Written: daemon. Read: vw_from_spliced, vw_splice_bound. Life: while the container is attached to a network that is spliced. Size: one entry an address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct addr);
	__type(value, struct spliced_value);
} spliced SEC(".maps");

/* Written: vw_from_spliced, vw_splice_send (counters), vw_splice_bound (bounded), vw_splice_close (delete). Read: the same, CLI. Life:
 * that of the socket. Size: two entries a connection. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct splice_key);
	__type(value, struct splice_value);
} splices SEC(".maps");

/* Written: vw_from_spliced. Read: vw_splice_send. Life: that of the socket; the kernel takes it out. Size: as splices. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 65536);
	__type(key, struct splice_key);
	__type(value, __u64);
} splice_ends SEC(".maps");

/* Written: vw_from_spliced. Read: vw_splice_send, vw_splice_bound, vw_splice_close, vw_splice_option. Life: that of the socket. Size: one
 * entry a socket in splices. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct splice_socket);
} splice_sockets SEC(".maps");
