// SPDX-License-Identifier: Apache-2.0

// Package rivals sets up container networking in the other ways that there
// are, so that vethway can be compared with them: what Docker Engine does with
// iptables, with nftables and with its userland proxy, the same with an nftables
// map, plain routing without NAT, and a veth pair without a host in between. All of them are Targets, as vethway
// is, and take the same Spec.
//
//	iptables   Docker Engine 29's rules for bridge networks, in the words of
//	           iptables-save, by iptables-nft or iptables-legacy, with or
//	           without the userland proxy
//	linear     Docker Engine 29's tables and chains for bridge networks with
//	           its nftables backend, a rule for each port
//	nftables   the same behaviour with maps in place of a rule per port
//	proxy      docker-proxy alone: published ports without any rule
//	routing    bridges and ip_forward; ports are reached at the container's
//	           own address
//	redirect   the same by the smallest tc programs, past the host's stack:
//	           what eBPF can do at best
//	least-nat  redirect, and the least that a NAT does which keeps state
//	least-splice
//	           redirect, and TCP within the host by the smallest programs that
//	           hand it from socket to socket
//	direct     one veth pair between client and container: what the machine
//	           can do at best
//	bigtcp     any of them with packets of up to 192 KiB on all interfaces
//
// Like netlab, the package does without testing, and needs root.
package rivals
