// SPDX-License-Identifier: Apache-2.0

// Package app is what every command of vethway shares: the streams, where the instance is, and the client.
package app

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/cmd/internal/cli/sandbox"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
	"github.com/vethway/vethway/cmd/internal/daemon"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/client"
)

// App is passed to every command's constructor.
type App struct {
	Streams  *streams.Streams
	Instance string
	Socket   string
	BPFFS    string

	// Backend takes the place of a client in tests.
	Backend api.Backend
	// Started is set once a command's own code runs: an error before that is a wrong command line.
	Started bool
}

// AddFlags adds the flags that say which instance is meant.
func (a *App) AddFlags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&a.Instance, "instance", env("VETHWAY_INSTANCE", daemon.DefaultInstance), "instance to talk to (VETHWAY_INSTANCE)")
	f.StringVar(&a.Socket, "socket", os.Getenv("VETHWAY_SOCKET"), "API socket (VETHWAY_SOCKET; default "+daemon.DefaultRunRoot+"/INSTANCE/"+daemon.SocketName+")")
	f.StringVar(&a.BPFFS, "bpffs", os.Getenv("VETHWAY_BPFFS"), "directory of the instance's pins (VETHWAY_BPFFS; default "+daemon.DefaultPinRoot+"/INSTANCE)")
}

func env(key, otherwise string) string {
	if v := os.Getenv(key); v != "" {
		return v
	}
	return otherwise
}

// SocketPath is the API socket's.
func (a *App) SocketPath() string {
	if a.Socket != "" {
		return a.Socket
	}
	return filepath.Join(daemon.DefaultRunRoot, a.Instance, daemon.SocketName)
}

// PinDir is where the instance's maps are pinned.
func (a *App) PinDir() string {
	if a.BPFFS != "" {
		return a.BPFFS
	}
	return filepath.Join(daemon.DefaultPinRoot, a.Instance)
}

// Sandboxes is where `vethway run` keeps its namespaces: beside the socket.
func (a *App) Sandboxes() sandbox.Dir { return sandbox.In(filepath.Dir(a.SocketPath())) }

// Client returns the connection to the daemon.
func (a *App) Client() (api.Backend, error) {
	if a.Backend != nil {
		return a.Backend, nil
	}
	return client.New(client.Config{Socket: a.SocketPath()})
}

// Run adapts a command's function: it gets the client, and marks the command as begun.
func (a *App) Run(f func(cmd *cobra.Command, c api.Backend, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.Started = true
		c, err := a.Client()
		if err != nil {
			return err
		}
		return f(cmd, c, args)
	}
}

// below is how a command below cmd is called, without the program's name, which begins the message anyway.
func below(cmd *cobra.Command, name string) string {
	return strings.TrimPrefix(cmd.CommandPath()+" "+name, cmd.Root().Name()+" ")
}

// Group is a command that only holds others; called by itself it is a wrong command line.
func Group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return exit.Errorf(exit.Usage, "%s: a command is missing", cmd.CommandPath()).WithHint("%s --help", cmd.CommandPath())
			}
			return exit.Errorf(exit.Usage, "unknown command %q", below(cmd, args[0])).WithHint("%s --help", cmd.CommandPath())
		},
	}
	cmd.AddCommand(verbs...)
	return cmd
}
