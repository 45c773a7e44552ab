// SPDX-License-Identifier: Apache-2.0

// Command vethway is the client of vethwayd: networks, containers, published ports, and a look at the packet
// programs' maps.
package main

import (
	"os"

	"github.com/vethway/vethway/cmd/internal/cli"
)

func main() { os.Exit(cli.Main()) }
