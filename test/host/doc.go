// SPDX-License-Identifier: Apache-2.0

// Package host asks the real vethwayd for containers on the host of a topology, and then sends real traffic between
// them, the host and what is outside: who reaches whom, and whom does the other side see? Each file is one group of
// behaviours.
//
//	R 192.0.2.3 ---- 192.0.2.2 H ---+--- network one 172.30.1.1 ---+--- c1 .2 (publishes 8080 -> 80)
//	  2001:db8:2::3    2001:db8:2::2 |             fd30:1::1       +--- c2 .3
//	                                +--- network two 172.30.2.1 ------- d1 .2
//	                                              fd30:2::1
//
// In all containers a server listens on port 80, which is published of c1, and on 81; R and H serve port 9000.
package host
