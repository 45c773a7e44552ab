// SPDX-License-Identifier: Apache-2.0

// Package hostlab runs the real vethwayd on the host of a netlab topology, as a process of its own that can be stopped,
// killed and started again. State, sockets and pins are in a private directory, which Close removes after it has
// uninstalled everything and looked that nothing was left.
//
//	lab, err := hostlab.Start(ctx, hostlab.Config{Topology: topo, Program: program})
//	defer lab.Close()
//	lab.Client.CreateNetwork(ctx, ...)
//	lab.Kill()
//	lab.Restart(ctx)
//
// Needs root.
package hostlab
