// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/cli/sandbox"
	"github.com/vethway/vethway/control/link"
)

// Uninstall removes everything of an instance: attachments, pins and maps, interfaces, what `vethway run` started,
// sockets and state. It goes on past errors and returns them all; nothing there is no error. While a daemon runs on the
// state it fails with api.Locked. Only files that vethway makes are removed, and directories only when they are empty then.
func Uninstall(ctx context.Context, cfg Config) error {
	if err := cfg.Complete(); err != nil {
		return err
	}
	if err := system().checkCapabilities(); err != nil {
		return err
	}
	unlock, err := lockForRemoval(cfg)
	if err != nil {
		return err
	}
	defer unlock()
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	errs := []error{
		removeKernelObjects(ctx, cfg, log),
		removeSandboxes(ctx, sandbox.In(cfg.RunDir)),
		removeFiles(cfg.Socket, cfg.ReadOnlySocket()),
		removeEmpty(string(sandbox.In(cfg.RunDir)), cfg.RunDir),
	}
	if err := errors.Join(errs...); err != nil {
		// The state stays, so that the next attempt, or a daemon, still knows what there is.
		return fmt.Errorf("uninstall: %w", err)
	}
	var files []string
	for _, base := range []string{stateFile, link.QdiscFile, lockFile} {
		files = append(files, filepath.Join(cfg.StateDir, base))
	}
	return errors.Join(removeFiles(files...), removeEmpty(cfg.StateDir))
}

func lockForRemoval(cfg Config) (unlock func(), err error) {
	var state *lock
	if _, err := os.Stat(cfg.StateDir); err == nil {
		if state, err = acquire(cfg.StateDir); err != nil {
			return nil, err
		}
	}
	pins, err := acquirePins(cfg.BPFFS)
	if err != nil {
		return nil, errors.Join(err, state.release())
	}
	// The files that were locked are gone by then: there is nothing left to go wrong.
	return func() { _, _ = state.release(), pins.release() }, nil
}

// removeKernelObjects removes interfaces, together with the programs at them: each program that is taken off by itself costs the kernel a
// grace period, and until its interface is gone a container would reach whatever the host's stack lets it. Then programs go from what stays,
// then what they need there, and pins last.
func removeKernelObjects(ctx context.Context, cfg Config, log *slog.Logger) error {
	links, err := link.New(linkConfig(cfg, log))
	if err != nil {
		return err
	}
	defer links.Close()
	return errors.Join(links.RemoveInterfaces(ctx), removePackets(cfg, links), links.RemoveTraces(), removeBPFFS(cfg.BPFFS))
}

// stopGrace is how long a command that `vethway run` started may take to end when its network goes for good.
const stopGrace = 2 * time.Second

// removeSandboxes ends what `vethway run` started, and removes its namespaces.
func removeSandboxes(ctx context.Context, dir sandbox.Dir) error {
	names, err := dir.Names()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if r, err := dir.Read(name); err == nil && r.Running() {
			errs = append(errs, dir.End(ctx, r, stopGrace))
		}
		errs = append(errs, dir.Remove(name))
	}
	return errors.Join(errs...)
}

func removeFiles(paths ...string) error {
	var errs []error
	for _, p := range paths {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove: %w", err))
		}
	}
	return errors.Join(errs...)
}

// removeEmpty removes directories; one that holds somebody else's files stays.
func removeEmpty(dirs ...string) error {
	var errs []error
	for _, d := range dirs {
		err := os.Remove(d)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
			errs = append(errs, fmt.Errorf("remove: %w", err))
		}
	}
	return errors.Join(errs...)
}
