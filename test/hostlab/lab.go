// SPDX-License-Identifier: Apache-2.0

package hostlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/vethway/vethway/control/client"
	"github.com/vethway/vethway/test/netlab"
)

// Config says what to run where.
type Config struct {
	Topology *netlab.Topology
	// Program is vethwayd's path: see Build and Find.
	Program string
	// Flags are more flags for the daemon, such as --attach=clsact.
	Flags []string
}

// Lab is an instance of vethway on a topology's host.
type Lab struct {
	// Client speaks to the daemon, whichever runs at the time.
	Client *client.Client

	cfg     Config
	dir     string // short, as socket paths must be
	process *process
	before  fingerprint
}

// closeTimeout bounds the taking down.
const closeTimeout = 3 * time.Minute

// Start runs the daemon and waits until it answers.
func Start(ctx context.Context, cfg Config) (*Lab, error) {
	l, err := newLab(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("start vethway on %s: %w", cfg.Topology.Host, err)
	}
	if err := l.Restart(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func newLab(ctx context.Context, cfg Config) (*Lab, error) {
	before, err := takeFingerprint(cfg.Topology.Host)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", dirPrefix(os.Getpid())+"*")
	if err != nil {
		return nil, err
	}
	l := &Lab{cfg: cfg, dir: dir, before: before}
	if l.Client, err = client.New(client.Config{Socket: l.Socket()}); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return l, ctx.Err()
}

// Socket is the path of the API's socket.
func (l *Lab) Socket() string { return filepath.Join(l.dir, "run", "vethway.sock") }

// Pins is the directory of the pinned maps, programs and links.
func (l *Lab) Pins() string { return filepath.Join(l.dir, "bpf", "pins") }

// Log is what the daemons have said so far.
func (l *Lab) Log() string {
	text, err := os.ReadFile(l.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (l *Lab) logFile() string { return filepath.Join(l.dir, "vethwayd.log") }

// flags keep everything of the daemon inside the lab.
func (l *Lab) flags() []string {
	return []string{
		"--instance=lab",
		"--state-dir=" + filepath.Join(l.dir, "state"),
		"--run-dir=" + filepath.Join(l.dir, "run"),
		"--bpffs=" + l.Pins(),
	}
}

// Restart starts the daemon, which must not run, and waits until it answers.
func (l *Lab) Restart(ctx context.Context) error {
	if err := l.Launch(ctx); err != nil {
		return err
	}
	if err := l.ready(ctx); err != nil {
		return fmt.Errorf("start vethwayd: %w\n%s", err, l.Log())
	}
	return nil
}

// Launch starts the daemon, which must not run, and waits for nothing.
func (l *Lab) Launch(ctx context.Context) error {
	if l.process != nil {
		return errors.New("start vethwayd: it runs already")
	}
	args := append(l.flags(), l.cfg.Flags...)
	cmd := l.cfg.Topology.Host.Command(context.WithoutCancel(ctx), l.cfg.Program, args...)
	p, err := startProcess(cmd, l.logFile())
	if err != nil {
		return fmt.Errorf("start vethwayd: %w", err)
	}
	l.process = p
	return nil
}

func (l *Lab) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if _, err := l.Client.Status(ctx); err == nil {
			return nil
		}
		select {
		case <-l.process.done:
			err := l.process.err
			l.process = nil
			return errors.Join(errors.New("it ended before it was ready"), err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Kill ends the daemon by SIGKILL.
func (l *Lab) Kill() error { return l.end(os.Kill) }

// Stop ends the daemon by SIGTERM, and wants a clean exit.
func (l *Lab) Stop() error { return l.end(terminate) }

func (l *Lab) end(s os.Signal) error {
	p := l.process
	if p == nil {
		return errors.New("end vethwayd: it does not run")
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("end vethwayd: %w", err)
	}
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		return fmt.Errorf("end vethwayd: it does not end by %v\n%s", s, l.Log())
	}
	l.process = nil
	if s != os.Kill && p.err != nil {
		return fmt.Errorf("end vethwayd: %w\n%s", p.err, l.Log())
	}
	return nil
}

// Uninstall has vethwayd remove everything of the instance. The daemon must not run.
func (l *Lab) Uninstall(ctx context.Context) error {
	_, err := l.cfg.Topology.Host.Run(ctx, l.cfg.Program, append([]string{"uninstall"}, l.flags()...)...)
	return err
}

// Close ends the daemon and uninstalls. What is left on the host that was not there at the start is an error.
func (l *Lab) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var errs []error
	if l.process != nil {
		errs = append(errs, l.Stop())
	}
	l.Client.Close()
	errs = append(errs, l.Uninstall(ctx), l.before.check(l.cfg.Topology.Host), l.checkPins())
	errs = append(errs, removeDir(l.dir))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close vethway on %s: %w", l.cfg.Topology.Host, err)
	}
	return nil
}

// checkPins: what is pinned outlives every process, and nobody else would notice.
func (l *Lab) checkPins() error {
	left, err := filepath.Glob(filepath.Join(l.dir, "bpf", "*"))
	if err != nil || len(left) == 0 {
		return err
	}
	return fmt.Errorf("left in the BPF file system: %v", left)
}
