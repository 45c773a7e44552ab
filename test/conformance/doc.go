// SPDX-License-Identifier: Apache-2.0

// Package conformance asks a NAT how it behaves, packet by packet, by the numbered behaviours N01 to N22. The same cases
// run through vethway, through the kernel's nf_nat with Docker's own rules, and through a plain router; what comes out is
// one table with three columns.
//
//	x1 x2   network one +-------+            +---+
//	 |  |---------------| host  |------------| R |--- peers 1, 2, 3 …
//	y1      network two | (NAT) |   uplink   +---+
//	 |------------------+-------+
//
// x1, x2 and y1 are containers whose kernels are deaf, the peers are addresses behind R that no kernel owns: cases play
// both sides themselves, with packets of their own making. c1, c2 and d1 are containers with ordinary sockets.
package conformance
