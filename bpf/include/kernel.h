/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of the kernel's interface to BPF programs that vethway uses, and no more: types, constants and helper
 * numbers as documented in include/uapi/linux/bpf.h. Kept by hand so that building needs no kernel headers: the ones
 * that distributions ship do not always compile for the bpf target, or lack what newer kernels have.
 */
#pragma once

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u16 __sum16;
typedef __u32 __wsum;

typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define __noinline __attribute__((noinline))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define barrier_var(var) asm volatile("" : "+r"(var))
#define barrier() asm volatile("" ::: "memory")
#define __ksym __attribute__((section(".ksyms")))
#define __weak __attribute__((weak))
#define offsetof(type, member) __builtin_offsetof(type, member)
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))

#define bpf_htons(x) \
	((__be16)(__builtin_constant_p(x) ? (__u16)((((x) & 0xff) << 8) | (((x) >> 8) & 0xff)) : __builtin_bswap16(x)))
#define bpf_ntohs(x) bpf_htons(x)
#define bpf_htonl(x) ((__be32)__builtin_bswap32(x))
#define bpf_ntohl(x) ((__u32)__builtin_bswap32(x))

/* enum bpf_map_type */
#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_PROG_ARRAY 3
#define BPF_MAP_TYPE_PERCPU_HASH 5
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_LRU_HASH 9
#define BPF_MAP_TYPE_LPM_TRIE 11
#define BPF_MAP_TYPE_SOCKHASH 18
#define BPF_MAP_TYPE_SK_STORAGE 24
#define BPF_MAP_TYPE_RINGBUF 27

#define BPF_F_NO_PREALLOC 1
#define BPF_F_MMAPABLE (1 << 10)
#define BPF_ANY 0
#define BPF_NOEXIST 1
#define BPF_EXIST 2
#define BPF_SK_STORAGE_GET_F_CREATE 1

#define BPF_F_PSEUDO_HDR (1 << 4)
#define BPF_F_MARK_MANGLED_0 (1 << 5)

#define BPF_ADJ_ROOM_MAC 1
#define BPF_F_ADJ_ROOM_NO_CSUM_RESET (1 << 5)

#define BPF_F_CURRENT_NETNS (-1L)
#define BPF_F_INGRESS 1

#define NF_ACCEPT 1

#define BPF_FIB_LOOKUP_SKIP_NEIGH 4 /* 6.3 */
#define BPF_FIB_LOOKUP_SRC 16	    /* 6.7 */

enum {
	BPF_FIB_LKUP_RET_SUCCESS,
	BPF_FIB_LKUP_RET_BLACKHOLE,
	BPF_FIB_LKUP_RET_UNREACHABLE,
	BPF_FIB_LKUP_RET_PROHIBIT,
	BPF_FIB_LKUP_RET_NOT_FWDED,
	BPF_FIB_LKUP_RET_FWD_DISABLED,
	BPF_FIB_LKUP_RET_UNSUPP_LWT,
	BPF_FIB_LKUP_RET_NO_NEIGH,
	BPF_FIB_LKUP_RET_FRAG_NEEDED,
	BPF_FIB_LKUP_RET_NO_SRC_ADDR,
};

/* tcx and tc direct action share their codes where they overlap. */
#define TC_NEXT (-1) /* TCX_NEXT and TC_ACT_UNSPEC: the next program, then the stack */
#define TC_DROP 2    /* TCX_DROP and TC_ACT_SHOT */

#define XDP_DROP 1
#define XDP_PASS 2

#define PACKET_HOST 0
#define PACKET_OTHERHOST 3

#define AF_INET 2
#define AF_INET6 10

#define SOCK_STREAM 1
#define SOCK_DGRAM 2

#define ETH_HLEN 14
#define ETH_ALEN 6
#define ETH_P_IP 0x0800
#define ETH_P_ARP 0x0806
#define ETH_P_IPV6 0x86dd

#define IPPROTO_HOPOPTS 0
#define IPPROTO_ICMP 1
#define IPPROTO_IPIP 4
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_IPV6 41
#define IPPROTO_ROUTING 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_GRE 47
#define IPPROTO_ESP 50
#define IPPROTO_AH 51
#define IPPROTO_ICMPV6 58
#define IPPROTO_DSTOPTS 60
#define IPPROTO_SCTP 132
#define IPPROTO_MH 135

#define EPERM 1
#define ENOENT 2
#define E2BIG 7
#define EEXIST 17
#define EINVAL 22
#define EOPNOTSUPP 95
#define EADDRINUSE 98

/* clang-format off */
struct __sk_buff {
	__u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
	__u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end, napi_id;
	__u32 family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port;
	__u32 data_meta;
	__u64 flow_keys __attribute__((aligned(8)));
	__u64 tstamp;
	__u32 wire_len, gso_segs;
	__u64 sk __attribute__((aligned(8)));
	__u32 gso_size;
};

struct bpf_sock {
	__u32 bound_dev_if, family, type, protocol, mark, priority;
	__u32 src_ip4, src_ip6[4], src_port; /* src_port: host byte order */
	__be16 dst_port;
	__u16 pad;
	__u32 dst_ip4, dst_ip6[4], state;
	__s32 rx_queue_mapping;
};

struct bpf_sock_addr {
	__u32 user_family, user_ip4, user_ip6[4], user_port; /* user_port: network byte order */
	__u32 family, type, protocol, msg_src_ip4, msg_src_ip6[4];
	union {
		struct bpf_sock *sk;
		__u64 sk_pad;
	};
};
/* clang-format on */

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

struct sk_msg_md {
	__u64 data, data_end;
	__u32 family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port, size;
	struct bpf_sock *sk __attribute__((aligned(8)));
};

struct bpf_sockopt {
	struct bpf_sock *sk;
	__u64 optval, optval_end;
	__s32 level, optname, optlen, retval;
};

struct bpf_sock_ops {
	__u32 op, args[4], family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port, is_fullsock,
		snd_cwnd, srtt_us;
	__u32 bpf_sock_ops_cb_flags, state, rtt_min, snd_ssthresh, rcv_nxt, snd_nxt, snd_una, mss_cache, ecn_flags,
		rate_delivered;
	__u32 rate_interval_us, packets_out, retrans_out, total_retrans, segs_in, data_segs_in, segs_out, data_segs_out, lost_out,
		sacked_out;
	__u32 sk_txhash;
	__u64 bytes_received, bytes_acked;
	struct bpf_sock *sk;
};

#define BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB 4
#define BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB 5
#define BPF_SOCK_OPS_HDR_OPT_LEN_CB 14
#define BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG (1 << 6)

#define SOL_SOCKET 1
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define SO_ZEROCOPY 60
#define SOL_TCP 6
#define TCP_WINDOW_CLAMP 10
#define TCP_NOTSENT_LOWAT 25
#define TCP_ULP 31
#define SOCK_SNDBUF_LOCK 1
#define SOCK_RCVBUF_LOCK 2

#define SK_PASS 1
#define BPF_TCP_ESTABLISHED 1

/* Fields of the kernel's own structures: their places are found in its BTF when the programs are loaded. */
#define KERNEL_STRUCT __attribute__((preserve_access_index))

struct file {
	unsigned int f_flags;
} KERNEL_STRUCT;

struct socket {
	struct file *file;
} KERNEL_STRUCT;

struct sock_common {
	unsigned long skc_flags;
} KERNEL_STRUCT;

struct sock {
	struct sock_common __sk_common;
	void *sk_user_data;
	int sk_rcvbuf, sk_rcvlowat;
	__u8 sk_userlocks:4;
	struct socket *sk_socket;
} KERNEL_STRUCT;

struct inet_sock {
	struct sock sk;
} KERNEL_STRUCT;

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	const void *icsk_ulp_ops;
} KERNEL_STRUCT;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 write_seq, copied_seq, rcv_wup, rcv_wnd, window_clamp;
	bool is_mptcp;
} KERNEL_STRUCT;

struct list_head {
	struct list_head *next;
} KERNEL_STRUCT;

struct sk_psock {
	struct list_head ingress_msg;
} KERNEL_STRUCT;

/* Bits of skc_flags, by their numbers in the running kernel. */
enum sock_flags {
	SOCK_ZEROCOPY = 18,
};

#define kernel_has_field(field) __builtin_preserve_field_info(field, 2)
#define kernel_enum(type, value) __builtin_preserve_enum_value(*(type *)value, 1)

#define O_NONBLOCK 04000

struct bpf_sock_tuple {
	union {
		struct {
			__be32 saddr, daddr;
			__be16 sport, dport;
		} ipv4;
		struct {
			__be32 saddr[4], daddr[4];
			__be16 sport, dport;
		} ipv6;
	};
};

struct bpf_fib_lookup {
	__u8 family, l4_protocol;
	__be16 sport, dport;
	__u16 tot_len; /* out: mtu_result */
	__u32 ifindex;
	__be32 tos; /* in: tos (IPv4, first byte) or flowinfo (IPv6); out: metric */
	union {
		__be32 ipv4_src;
		__be32 ipv6_src[4];
	};
	union {
		__be32 ipv4_dst;
		__be32 ipv6_dst[4];
	};
	__be16 h_vlan_proto, h_vlan_tci;
	__u8 smac[6], dmac[6];
};

struct bpf_redir_neigh {
	__u32 nh_family;
	union {
		__be32 ipv4_nh;
		__be32 ipv6_nh[4];
	};
};

struct ethhdr {
	__u8 h_dest[ETH_ALEN], h_source[ETH_ALEN];
	__be16 h_proto;
} __attribute__((packed));

struct iphdr {
	__u8 ihl:4, version:4;
	__u8 tos;
	__be16 tot_len, id, frag_off;
	__u8 ttl, protocol;
	__sum16 check;
	__be32 saddr, daddr;
};

struct ipv6hdr {
	__u8 priority:4, version:4, flow_lbl[3];
	__be16 payload_len;
	__u8 nexthdr, hop_limit;
	__be32 saddr[4], daddr[4];
};

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
/* Not long, as elsewhere: the verifier has programs call the map's own functions, which return int before Linux 6.4. The upper half of the
 * register is anything then. */
static int (*bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static int (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static __u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static __u32 (*bpf_get_prandom_u32)(void) = (void *)7;
static long (*bpf_skb_store_bytes)(struct __sk_buff *skb, __u32 off, const void *from, __u32 len, __u64 flags) = (void *)9;
static long (*bpf_l3_csum_replace)(struct __sk_buff *skb, __u32 off, __u64 from, __u64 to, __u64 size) = (void *)10;
static long (*bpf_l4_csum_replace)(struct __sk_buff *skb, __u32 off, __u64 from, __u64 to, __u64 flags) = (void *)11;
static long (*bpf_tail_call)(void *ctx, void *prog_array_map, __u32 index) = (void *)12;
static long (*bpf_redirect)(__u32 ifindex, __u64 flags) = (void *)23;
static long (*bpf_skb_load_bytes)(const void *skb, __u32 off, void *to, __u32 len) = (void *)26;
static __s64 (*bpf_csum_diff)(const void *from, __u32 from_size, const void *to, __u32 to_size, __wsum seed) = (void *)28;
static long (*bpf_skb_change_type)(struct __sk_buff *skb, __u32 type) = (void *)32;
static long (*bpf_skb_change_tail)(struct __sk_buff *skb, __u32 len, __u64 flags) = (void *)38;
static long (*bpf_skb_pull_data)(struct __sk_buff *skb, __u32 len) = (void *)39;
static long (*bpf_skb_change_head)(struct __sk_buff *skb, __u32 len, __u64 flags) = (void *)43;
static long (*bpf_setsockopt)(void *ctx, int level, int option, void *value, int len) = (void *)49;
static long (*bpf_sock_ops_cb_flags_set)(struct bpf_sock_ops *ctx, int flags) = (void *)59;
static long (*bpf_skb_adjust_room)(struct __sk_buff *skb, __s32 len_diff, __u32 mode, __u64 flags) = (void *)50;
static long (*bpf_fib_lookup)(void *ctx, struct bpf_fib_lookup *params, int plen, __u32 flags) = (void *)69;
static struct bpf_sock *(*bpf_sk_lookup_udp)(void *ctx, struct bpf_sock_tuple *tuple, __u32 size, __u64 netns,
					     __u64 flags) = (void *)85;
static long (*bpf_msg_redirect_hash)(struct sk_msg_md *msg, void *map, void *key, __u64 flags) = (void *)71;
static struct bpf_sock *(*bpf_sk_lookup_tcp)(void *ctx, struct bpf_sock_tuple *tuple, __u32 size, __u64 netns,
					     __u64 flags) = (void *)84;
static long (*bpf_sk_release)(void *sock) = (void *)86;
static struct bpf_sock *(*bpf_skc_lookup_tcp)(void *ctx, struct bpf_sock_tuple *tuple, __u32 size, __u64 netns,
					      __u64 flags) = (void *)99;
static void *(*bpf_sk_storage_get)(void *map, void *sk, void *value, __u64 flags) = (void *)107;
static long (*bpf_probe_read_kernel)(void *to, __u32 size, const void *from) = (void *)113;
static __u64 (*bpf_get_netns_cookie)(void *ctx) = (void *)122;
static long (*bpf_ringbuf_output)(void *ringbuf, void *data, __u64 size, __u64 flags) = (void *)130;
static long (*bpf_redirect_neigh)(__u32 ifindex, struct bpf_redir_neigh *params, int plen, __u64 flags) = (void *)152;
static long (*bpf_redirect_peer)(__u32 ifindex, __u64 flags) = (void *)155;
static struct tcp_sock *(*bpf_skc_to_tcp_sock)(void *sock) = (void *)137;
static __u64 (*bpf_ktime_get_coarse_ns)(void) = (void *)160;
static long (*bpf_loop)(__u32 nr_loops, void *callback_fn, void *callback_ctx, __u64 flags) = (void *)181;
static int (*bpf_set_retval)(int retval) = (void *)187;
static __u64 (*bpf_xdp_get_buff_len)(struct xdp_md *ctx) = (void *)188; /* 5.18 */
static __s64 (*bpf_csum_update)(struct __sk_buff *skb, __wsum csum) = (void *)40;
static __u64 (*bpf_jiffies64)(void) = (void *)118;

/* Of the kernel's own struct sk_buff, what is read; where it is, the loader finds out from the kernel's BTF. */
struct sk_buff {
	__u8 ip_summed:2;
} __attribute__((preserve_access_index));

#define CHECKSUM_COMPLETE 2
#define CHECKSUM_PARTIAL 3

/* What __builtin_preserve_field_info() is asked for: enum bpf_field_info_kind of clang. */
#define FIELD_BYTE_OFFSET 0
#define FIELD_BYTE_SIZE 1
#define FIELD_LSHIFT_U64 4
#define FIELD_RSHIFT_U64 5

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak; /* 6.2 */
