// SPDX-License-Identifier: Apache-2.0

// Command vethwayd is the daemon: it makes bridges, veths and addresses, and fills the maps that the packet programs
// read.
package main

import (
	"os"

	"github.com/vethway/vethway/cmd/internal/daemon"
)

func main() { os.Exit(daemon.Main()) }
