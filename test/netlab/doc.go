// SPDX-License-Identifier: Apache-2.0

// Package netlab makes small networks out of network namespaces, and sends
// probes through them. Tests, scenarios, the parity runner, the demo and the
// benchmark share it, so nothing here needs the testing package; where a test
// wants to be spared the error handling there is the interface TB.
//
// Everything lives in namespaces of its own: nothing is ever put into, or
// changed in, the network of the machine. Namespaces are held by bind mounts
// in a private directory, so any number of topologies can stand side by side
// although all of them call their interfaces eth0.
//
//	      Remote (R)                            Host (H)
//	+-------------------+      veth      +-------------------+
//	| eth0 192.0.2.3/24 |----------------| eth0 192.0.2.2/24 |--- bridges, containers
//	| 2001:db8:2::3/64  |                | 2001:db8:2::2/64  |    (made by who uses it)
//	+-------------------+                +-------------------+
//	                                        default route: R
//
// A Topology is made by New and may be grown: AddUplink (another uplink with a
// remote of its own), AddForeignBridge (virbr0 with a guest behind it), AddTun
// (a tun interface whose other end is in Go), AddContainer (an empty
// namespace), RouteToContainers (direct access from R).
//
// Probes: Whoami and WhoAmI tell who a server saw, Ping sends ICMP echo, Stream
// holds a connection open and watches over every byte, Classify and Try tell
// refused from timed out, OpenPacket sends and captures raw frames.
//
// NewCgroup makes a cgroup, for those whose programs at sockets are to see their
// own traffic and nobody else's.
//
// Tests end with CheckLeaks in TestMain. Programs that may have been killed the
// last time begin with Sweep.
//
// Needs root.
package netlab
