// SPDX-License-Identifier: Apache-2.0

// Package cli is vethway, the command line. Every noun has a package with a file for each verb; what they share is in
// app (which instance, the client), output (tables, JSON), exit (codes) and sandbox (namespaces of `vethway run`).
package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/container"
	"github.com/vethway/vethway/cmd/internal/cli/deny"
	"github.com/vethway/vethway/cmd/internal/cli/drop"
	"github.com/vethway/vethway/cmd/internal/cli/event"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/cmd/internal/cli/flow"
	"github.com/vethway/vethway/cmd/internal/cli/mapcmd"
	"github.com/vethway/vethway/cmd/internal/cli/network"
	"github.com/vethway/vethway/cmd/internal/cli/port"
	"github.com/vethway/vethway/cmd/internal/cli/status"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
	"github.com/vethway/vethway/cmd/internal/cli/whoami"
	"github.com/vethway/vethway/cmd/internal/daemon"
)

// Main runs vethway with the process's arguments and returns its exit code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	return Run(ctx, streams.System(), os.Args[1:])
}

// Run runs vethway with arguments and returns its exit code.
func Run(ctx context.Context, s *streams.Streams, args []string) int {
	a := &app.App{Streams: s}
	root := New(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	// What cobra finds wrong before a command's own code runs is the command line.
	var known *exit.Error
	if err != nil && !a.Started && !errors.As(err, &known) {
		err = exit.Errorf(exit.Usage, "%w", err).WithHint("%s --help", cmd.CommandPath())
	}
	return exit.Report(s.Err, "vethway", err)
}

// New returns the root command.
func New(a *app.App) *cobra.Command {
	root := app.Group("vethway", "Networks, containers and published ports, carried by eBPF")
	root.Long = `vethway talks to vethwayd, the daemon that carries container networks by eBPF: networks, containers, published ports.
The verbs and flags are Docker's where Docker has them.

Output is a table on a terminal and TSV without headers in a pipe; -o json and -o yaml have a versioned schema. What goes
wrong has an exit code of its own: see "vethway help exit-codes".`
	root.Example = `  vethway network create web
  vethway run --network web --name c1 -p 8080:80 -d -- sleep 60
  vethway port ls
  vethway exec c1 -- ip addr`
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Version = daemon.Version()
	root.SetOut(a.Streams.Out)
	root.SetErr(a.Streams.Err)
	root.SetIn(a.Streams.In)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return exit.Errorf(exit.Usage, "%w", err).WithHint("%s --help", cmd.CommandPath())
	})
	a.AddFlags(root)
	root.AddCommand(
		network.New(a), container.NewRun(a), container.NewExec(a), container.NewList(a), container.NewInspect(a),
		container.NewStop(a), container.NewAttach(a), container.NewDetach(a), port.New(a), flow.New(a), mapcmd.New(a),
		deny.New(a), drop.New(a), event.New(a), status.New(a), whoami.New(a), newUninstall(a), newExitCodes(a),
	)
	return root
}

// newExitCodes is a help topic: a command that does nothing but show its help.
func newExitCodes(a *app.App) *cobra.Command {
	cmd := &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean"}
	cmd.SetHelpFunc(func(*cobra.Command, []string) {
		// Help functions cannot fail; a closed pipe is the reader's own doing.
		_ = exit.Print(a.Streams.Out, func(e exit.Entry) bool { return e.Client })
	})
	return cmd
}
