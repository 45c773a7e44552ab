// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/cmd/internal/cli/sandbox"
	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/dataplane"
	"github.com/vethway/vethway/control/link"
	"github.com/vethway/vethway/loader"
)

// packets are the packet programs: what the engine fills, and what it stands on.
type packets struct {
	*dataplane.Dataplane
	loader    *loader.Loader
	namespace string
}

// Sync attaches programs to interfaces by number, which the kernel looks for in the caller's namespace.
func (p *packets) Sync(ctx context.Context, want *control.DataplaneState) error {
	return sandbox.Within(p.namespace, func() error { return p.Dataplane.Sync(ctx, want) })
}

// openPackets loads or adopts the programs.
func openPackets(ctx context.Context, c Config, links *link.Links, log *slog.Logger) (*packets, error) {
	facts, err := links.Host(ctx)
	if err != nil {
		return nil, err
	}
	nat, err := c.natPorts()
	if err != nil {
		return nil, err
	}
	if err := control.CheckHostRange(facts, nat); err != nil {
		return nil, badNATPorts(err)
	}
	var l *loader.Loader
	err = sandbox.Within(c.Namespace, func() (err error) {
		l, err = loader.Open(ctx, loader.Config{
			PinDir: c.BPFFS, CgroupPath: c.Cgroup, NetnsCookie: links.Cookie(),
			AttachMode: loader.AttachMode(c.Attach), Clsact: loader.AdaptClsact(links),
			PoolFirst: nat.First, PoolLast: nat.Last, LocalFirst: facts.PortRange[0], LocalLast: facts.PortRange[1],
			FlowEntries: c.Flows.entries(), Logger: log,
		})
		return err
	})
	if err != nil {
		return nil, explainLoader(fmt.Errorf("load the packet programs: %w", err))
	}
	if err := c.Flows.checkRoom(flowCapacity(l)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	d, err := dataplane.New(dataplane.Config{Loader: l, Logger: log})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &packets{Dataplane: d, loader: l, namespace: c.Namespace}, nil
}

// flowCapacity is how many flows of each family the tables hold, which may be older than what is wanted of them.
func flowCapacity(l *loader.Loader) int {
	flows := l.Maps().Flows
	return min(flows.IPv4.Capacity(), flows.IPv6.Capacity()) / entriesOfFlow
}

// badNATPorts gives a conflict about NAT ports its exit code.
func badNATPorts(err error) error {
	if errors.Is(err, api.Conflict) {
		return exit.Errorf(exit.BadConfig, "nat-ports: %w", err)
	}
	return err
}

// Close lets go of the programs; they run on.
func (p *packets) Close() error { return p.loader.Close() }

// removePackets takes the programs off, and their pins away.
func removePackets(c Config, links *link.Links) error {
	err := loader.Uninstall(loader.UninstallConfig{PinDir: c.BPFFS, Clsact: loader.AdaptClsact(links)})
	return explainLoader(err)
}

// explainLoader gives the loader's errors their exit codes.
func explainLoader(err error) error {
	for _, known := range []struct {
		is   error
		code exit.Code
		hint string
	}{
		{loader.ErrForeignPin, exit.ForeignPins, "move it away, or choose another directory with --bpffs"},
		{loader.ErrKernelTooOld, exit.OldKernel, "uname -r"},
		{loader.ErrNoBTF, exit.NoBTF, "a kernel built with CONFIG_DEBUG_INFO_BTF=y"},
		{loader.ErrMissingCapability, exit.Capability, "sudo vethwayd"},
		{loader.ErrNoTCX, exit.Of(api.Unsupported), "--attach clsact, or a kernel of 6.6 or newer"},
	} {
		if errors.Is(err, known.is) {
			return &exit.Error{Code: known.code, Err: err, Hint: known.hint}
		}
	}
	return err
}
