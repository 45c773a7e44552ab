//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lib/maps.h"
#include "lib/config.h"
SEC("cgroup/connect4") int vw_connect4(struct bpf_sock_addr *ctx) { return 1; }
SEC("cgroup/connect6") int vw_connect6(struct bpf_sock_addr *ctx) { return 1; }
SEC("cgroup/sendmsg4") int vw_sendmsg4(struct bpf_sock_addr *ctx) { return 1; }
SEC("cgroup/sendmsg6") int vw_sendmsg6(struct bpf_sock_addr *ctx) { return 1; }
SEC("cgroup/recvmsg4") int vw_recvmsg4(struct bpf_sock_addr *ctx) { return 1; }
SEC("cgroup/recvmsg6") int vw_recvmsg6(struct bpf_sock_addr *ctx) { return 1; }
SEC("cgroup/getpeername4") int vw_getpeername4(struct bpf_sock_addr *ctx) { return 1; }
SEC("cgroup/getpeername6") int vw_getpeername6(struct bpf_sock_addr *ctx) { return 1; }
SEC("cgroup/post_bind4") int vw_post_bind4(struct bpf_sock *ctx) { return 1; }
SEC("cgroup/post_bind6") int vw_post_bind6(struct bpf_sock *ctx) { return 1; }
