// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/link"
	"github.com/vethway/vethway/control/store"
)

// stateFile is the database's name inside the state directory.
const stateFile = "state.db"

// detourFile is where the network namespace is mounted in which fragments are put in order.
func detourFile(c Config) string { return filepath.Join(c.RunDir, "detour") }

// cutterFile is where the network namespace is mounted in which datagrams are cut up.
func cutterFile(c Config) string { return filepath.Join(c.RunDir, "cutter") }

func linkConfig(c Config, log *slog.Logger) link.Config {
	return link.Config{Namespace: c.Namespace, StateDir: c.StateDir, DetourFile: detourFile(c), CutterFile: cutterFile(c), Logger: log}
}

// engine is a control.Engine with all that it stands on.
type engine struct {
	*control.Engine
	closers []io.Closer // in the order in which they were opened
	stop    context.CancelFunc
	ended   chan error
}

// newEngine opens the state and the kernel, adopts what is there, and has the engine run.
func newEngine(ctx context.Context, c Config, log *slog.Logger) (*engine, error) {
	e := &engine{}
	if err := e.open(ctx, c, log); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (e *engine) open(ctx context.Context, c Config, log *slog.Logger) error {
	db, err := store.Open(store.Config{Path: filepath.Join(c.StateDir, stateFile)})
	if err != nil {
		return fmt.Errorf("open the state: %w", err)
	}
	e.closers = append(e.closers, db)
	links, err := link.New(linkConfig(c, log))
	if err != nil {
		return err
	}
	e.closers = append(e.closers, links)
	nat, err := c.natPorts()
	if err != nil {
		return err
	}
	if err := control.CheckNATPorts(ctx, db, nat); err != nil {
		return badNATPorts(err)
	}
	plane, err := openPackets(ctx, c, links, log)
	if err != nil {
		return err
	}
	e.closers = append(e.closers, plane)
	bases, err := c.bases()
	if err != nil {
		return err
	}
	cfg := control.Config{
		Links: links, Dataplane: plane, Store: db, Log: log, MTU: c.MTU, Uplinks: c.Uplinks,
		Version: Version(), Netns: fmt.Sprint(links.Cookie()), StateFile: db.Path(),
		FlowTable: flowCapacity(plane.loader), AttachMode: string(plane.loader.Mode()), Features: plane.loader.Features().Names(),
	}
	cfg.Splice = plane.loader.Features().Splice
	if cfg.Detour = plane.loader.Features().Defragment; !cfg.Detour {
		log.Warn("fragments out of order will be dropped: the kernel puts none together for programs, which takes 6.6 or newer")
	}
	cfg.Bases, cfg.Base6 = split(bases)
	cfg.MaxFlows, cfg.MaxFlowRate = uint32(c.Flows.MaxFlows), uint32(c.Flows.MaxFlowRate)
	cfg.BindTCP = c.Flows.TCPMapping == tcpIndependent
	cfg.NATPorts, cfg.AllowShortTimeouts = nat, c.Flows.AllowShort
	if cfg.Timeouts, err = c.Flows.timeouts(); err != nil {
		return err
	}
	if cfg.Guard, err = c.Guard.guard(); err != nil {
		return err
	}
	if e.Engine, err = control.New(ctx, cfg); err != nil {
		return fmt.Errorf("load the state: %w", err)
	}
	return e.begin(ctx, log)
}

// begin compares the host with the state once, so that a start that cannot work says so, and then keeps doing it.
func (e *engine) begin(ctx context.Context, log *slog.Logger) error {
	if err := e.Reconcile(ctx); err != nil {
		// What cannot be put right now is reported by status and tried again: the rest works, and must go on working.
		log.Warn("not all is as it should be", "error", err)
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop, e.ended = stop, make(chan error, 1)
	go func() { e.ended <- e.Run(run) }()
	return nil
}

func (e *engine) backend() api.Backend { return e.Engine }

// close stops the engine and closes what it stands on; nothing in the kernel changes.
func (e *engine) close() error {
	var errs []error
	if e.stop != nil {
		e.stop()
		if err := <-e.ended; err != nil && !errors.Is(err, context.Canceled) {
			errs = append(errs, fmt.Errorf("stop the engine: %w", err))
		}
	}
	for i := len(e.closers) - 1; i >= 0; i-- {
		errs = append(errs, e.closers[i].Close())
	}
	e.closers = nil
	return errors.Join(errs...)
}
