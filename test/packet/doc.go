// SPDX-License-Identifier: Apache-2.0

// Package packet tests the BPF programs one packet at a time, through
// BPF_PROG_TEST_RUN: the verdict, every byte of what leaves, the drop counted,
// and what became of the flow table.
//
// The interfaces, addresses and routes are real and stand in namespaces of
// their own, so that the kernel's FIB answers as it does on a host; the maps
// are filled by hand. What a redirect does once a program has asked for it is
// not seen here: that is for the tests that send real traffic.
//
//	network one:   c1, c2        masquerade; c1 has ports published
//	network two:   d1            masquerade
//	network inner: i1            internal
//	network plain: p1            no masquerade
//	network fixed: f1            a fixed masquerade address
//	network quiet: q1, q2        no ICC
//	network vpn:   v1            masquerade; its addresses are for tunnel_test.go
//	uplinks:       eth0, eth1    each with a remote behind it; tun0: see tunnel_test.go
//
// The tests need root.
package packet
