// SPDX-License-Identifier: Apache-2.0

// Package daemon is vethwayd: it reads the configuration, checks the machine, opens the state, and runs the engine
// behind the API's sockets until it is told to stop. Stopping leaves everything in the kernel as it is: packets flow
// without a daemon.
package daemon
