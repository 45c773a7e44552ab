// SPDX-License-Identifier: Apache-2.0

// Package bench is the command vethway-bench.
package bench

import (
	"context"
	"fmt"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/bench/traffic"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

// interrupted is the exit code that shells give a program which was stopped by Ctrl-C.
const interrupted = 130

// Main runs the command line and returns the exit code. SIGINT, SIGTERM and SIGHUP end a run early; everything that it
// made is taken down before Main returns.
func Main(args []string, io *streams.Streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	cmd := NewCommand(io)
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(ctx); err != nil {
		// One line: an error joined from several arrives with line breaks.
		fmt.Fprintf(io.Err, "vethway-bench: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		if ctx.Err() != nil {
			return interrupted
		}
		return 1
	}
	return 0
}

// NewCommand returns the command with all that it has below it.
func NewCommand(io *streams.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vethway-bench",
		Short: "Measure vethway against iptables, nftables, plain routing and a bare veth",
		Long: `Measure vethway against iptables, nftables, plain routing and a bare veth.

Every target gets a host, a remote client and containers of its own in throw-away
network namespaces. The same traffic then goes through each of them in turn, round
by round, and the ratios are taken within the rounds. The machine's own network is
neither used nor changed.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.SetIn(io.In)
	cmd.SetOut(io.Out)
	cmd.SetErr(io.Err)
	cmd.AddCommand(newRunCommand(io), newSizeCommand(io), newDropCommand(io), newGoalsCommand(io), newListCommand(io), newReadmeCommand(io), newHTMLCommand(io), newSVGCommand(io), newCompareCommand(io), newTrafficCommand(io), newProxyCommand())
	return cmd
}

const trafficCommand = "traffic"

// newTrafficCommand is what run starts as a subprocess to make the traffic.
func newTrafficCommand(io *streams.Streams) *cobra.Command {
	return &cobra.Command{
		Use:    trafficCommand,
		Short:  "Carry out orders for traffic from the standard input",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return traffic.Serve(cmd.Context(), io.In, io.Out)
		},
	}
}
