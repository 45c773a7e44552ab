// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/control/api"
)

// Daemon is a running vethwayd.
type Daemon struct {
	Config Config // complete

	log     *slog.Logger
	locks   []*lock
	sockets []net.Listener // not served yet
	engine  *engine
	servers []*http.Server
	failed  chan struct{} // closed when a server ended that should not have
	fail    sync.Once
	wg      sync.WaitGroup
}

// Start checks the machine, adopts what an earlier run left in the kernel, and serves the API. It works on the network
// namespace cfg.Namespace, or on the calling thread's. ctx bounds the start only; Close ends the daemon.
func Start(ctx context.Context, cfg Config) (*Daemon, error) {
	if err := cfg.Complete(); err != nil {
		return nil, err
	}
	d := &Daemon{Config: cfg, log: cfg.Logger, failed: make(chan struct{})}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if err := d.start(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Daemon) start(ctx context.Context) error {
	m := system()
	if err := m.check(); err != nil {
		return err
	}
	if err := d.Config.locate(m); err != nil {
		return err
	}
	if err := os.MkdirAll(d.Config.StateDir, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	if err := d.claim(); err != nil {
		return err
	}
	var err error
	if d.engine, err = newEngine(ctx, d.Config, d.log); err != nil {
		return err
	}
	for i, l := range d.sockets {
		if err := d.serve(l, i > 0); err != nil {
			return err
		}
	}
	d.sockets = nil
	d.log.Info("ready", "version", Version(), "instance", d.Config.Instance, "socket", d.Config.Socket)
	return nil
}

// locate finds what the configuration leaves to be found.
func (c *Config) locate(m machine) error {
	if c.Cgroup != "" {
		return nil
	}
	var err error
	c.Cgroup, err = m.cgroupRoot()
	return err
}

// claim takes what can belong to one daemon only: state, sockets, pins. Nothing in the kernel is touched before.
func (d *Daemon) claim() error {
	l, err := acquire(d.Config.StateDir)
	if err != nil {
		return err
	}
	d.locks = append(d.locks, l)
	for _, path := range []string{d.Config.Socket, d.Config.ReadOnlySocket()} {
		l, err := api.Listen(path)
		if err != nil {
			if errors.Is(err, api.Locked) || errors.Is(err, api.Conflict) {
				_, hint := exit.Classify(err)
				return exit.Errorf(exit.SocketBusy, "open the API socket: %w", err).WithHint("%s", hint)
			}
			return fmt.Errorf("open the API socket: %w", err)
		}
		d.sockets = append(d.sockets, l)
	}
	if err := ensureBPFFS(d.Config.BPFFS, d.log); err != nil {
		return err
	}
	if l, err = acquirePins(d.Config.BPFFS); err != nil {
		return err
	}
	d.locks = append(d.locks, l)
	return nil
}

// serve answers requests on one of the sockets.
func (d *Daemon) serve(l net.Listener, readOnly bool) error {
	handler, err := api.NewHandler(api.HandlerConfig{Backend: d.engine.backend(), ReadOnly: readOnly, Log: d.log})
	if err != nil {
		return fmt.Errorf("serve the API: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	d.servers = append(d.servers, server)
	d.wg.Add(1)
	go d.answer(server, l)
	return nil
}

func (d *Daemon) answer(server *http.Server, l net.Listener) {
	defer d.wg.Done()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		d.log.Error("the API socket failed", "socket", l.Addr(), "error", err)
		d.fail.Do(func() { close(d.failed) })
	}
}

// Done is closed when the daemon cannot go on; Close it then.
func (d *Daemon) Done() <-chan struct{} { return d.failed }

// closeTimeout bounds how long requests under way may take to end.
const closeTimeout = 10 * time.Second

// Close stops serving and leaves everything in the kernel as it is.
func (d *Daemon) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var errs []error
	for _, s := range d.servers {
		if err := s.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop serving: %w", err), s.Close())
		}
	}
	d.servers = nil
	d.wg.Wait()
	for _, l := range d.sockets {
		errs = append(errs, l.Close())
	}
	d.sockets = nil
	if d.engine != nil {
		errs = append(errs, d.engine.close())
		d.engine = nil
	}
	for _, l := range d.locks {
		errs = append(errs, l.release())
	}
	d.locks = nil
	return errors.Join(errs...)
}
