// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
)

// Main runs vethwayd with the process's arguments and returns its exit code.
func Main() int {
	return Run(context.Background(), os.Stdout, os.Stderr, os.Args[1:])
}

// Run runs vethwayd with arguments and returns its exit code.
func Run(ctx context.Context, out, errs io.Writer, args []string) int {
	started := false
	cmd := command(out, errs, &started)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	var known *exit.Error
	if err != nil && !started && !errors.As(err, &known) {
		err = exit.Errorf(exit.Usage, "%w", err).WithHint("vethwayd --help")
	}
	return exit.Report(errs, "vethwayd", err)
}

func command(out, errs io.Writer, started *bool) *cobra.Command {
	var cfg Config
	var file string
	var check bool
	cmd := &cobra.Command{
		Use:   "vethwayd [flags]",
		Short: "The vethway daemon",
		Long: `vethwayd carries the container networks of the network namespace that it is started in. Stopping it leaves everything
in place: packets keep flowing, and the next start adopts what is there. "vethwayd uninstall" removes everything.

Signals: SIGTERM and SIGINT stop it; SIGHUP reads log-level from the configuration file again.
Every flag but --config and --check is also a key of the configuration file; the command line wins.`,
		Example: `  vethwayd
  vethwayd --instance test --uplink 'eth*' --nat-ports 20000-29999
  vethwayd --config /etc/vethway/vethwayd.yaml --check`,
		Args: cobra.NoArgs, Version: Version(), SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			*started = true
			if file != "" {
				if err := applyFile(file, cmd.Flags()); err != nil {
					return err
				}
			}
			if check {
				return Check(cmd.Context(), cfg, out)
			}
			return serve(cmd.Context(), cfg, file, errs)
		},
	}
	cfg.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&file, "config", "", "YAML file whose keys are these flags' names")
	cmd.Flags().BoolVar(&check, "check", false, "check machine and configuration, and exit")
	cmd.SetOut(out)
	cmd.SetErr(errs)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return exit.Errorf(exit.Usage, "%w", err).WithHint("vethwayd --help")
	})
	cmd.AddCommand(uninstallCommand(started), exitCodes(out))
	cmd.CompletionOptions.DisableDefaultCmd = true
	return cmd
}

func uninstallCommand(started *bool) *cobra.Command {
	var cfg Config
	cmd := &cobra.Command{
		Use:     "uninstall [flags]",
		Short:   "Remove everything of an instance from this host; its daemon must not run",
		Example: "  vethwayd uninstall",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			*started = true
			return Uninstall(cmd.Context(), cfg)
		},
	}
	cfg.addFlags(cmd.Flags())
	return cmd
}

func exitCodes(out io.Writer) *cobra.Command {
	cmd := &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean"}
	cmd.SetHelpFunc(func(*cobra.Command, []string) {
		// Help functions cannot fail; a closed pipe is the reader's own doing.
		_ = exit.Print(out, func(e exit.Entry) bool { return e.Daemon })
	})
	return cmd
}

// serve runs the daemon until a signal or ctx ends it.
func serve(ctx context.Context, cfg Config, file string, errs io.Writer) error {
	if err := cfg.Complete(); err != nil {
		return err
	}
	log, level, err := newLogger(errs, &cfg)
	if err != nil {
		return err
	}
	cfg.Logger = log
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	defer signal.Stop(signals)

	d, err := Start(ctx, cfg)
	if err != nil {
		return err
	}
	manager := os.Getenv("NOTIFY_SOCKET")
	if err := notify(manager, "READY=1"); err != nil {
		log.Warn("the service manager was not told", "error", err)
	}
	for {
		select {
		case s := <-signals:
			if s == unix.SIGHUP {
				reloadLevel(file, level, log)
				continue
			}
			log.Info("stopping; packets keep flowing", "signal", s)
		case <-d.Done():
		case <-ctx.Done():
		}
		break
	}
	if err := notify(manager, "STOPPING=1"); err != nil {
		log.Warn("the service manager was not told", "error", err)
	}
	return d.Close()
}

// reloadLevel takes log-level from the configuration file; every other option needs a restart, which disturbs nobody.
func reloadLevel(file string, level *slog.LevelVar, log *slog.Logger) {
	if file == "" {
		log.Info("SIGHUP without --config: nothing to read")
		return
	}
	values, err := readFile(file)
	if err != nil {
		log.Error("reload", "error", err)
		return
	}
	text := fmt.Sprint(values["log-level"])
	if values["log-level"] == nil {
		text = "info"
	}
	l, err := parseLevel(text)
	if err != nil {
		log.Error("reload", "file", file, "error", err)
		return
	}
	// Said while the laxer of the two levels holds, or it might not be heard. The attribute is not called level, which
	// the line has already.
	level.Set(min(l, level.Level()))
	log.Info("reloaded", "file", file, "log-level", l)
	level.Set(l)
}
