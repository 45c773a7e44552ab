// SPDX-License-Identifier: Apache-2.0

// Command vethway-bench measures vethway against what it replaces.
package main

import (
	"os"

	"github.com/vethway/vethway/cmd/internal/bench"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

func main() {
	os.Exit(bench.Main(os.Args[1:], streams.System()))
}
