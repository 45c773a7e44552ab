// SPDX-License-Identifier: Apache-2.0

package scripts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vethway/vethway/control/client"
	"github.com/vethway/vethway/test/netlab"
)

// lab is what one scenario works in.
type lab struct {
	dir     string // of the instance: short, as socket paths must be
	topo    *netlab.Topology
	extra   map[string]*netlab.Namespace
	servers []*netlab.Server
	streams map[string]*netlab.Stream
	daemon  *exec.Cmd
	exited  chan error
	log     string
	ever    bool // a daemon was started: there is something to uninstall
}

type labKey struct{}

func labOf(ts *testscript.TestScript) *lab { return ts.Value(labKey{}).(*lab) }

func newLab(workDir string) (*lab, error) {
	dir, err := os.MkdirTemp("", "vethway-script-")
	if err != nil {
		return nil, fmt.Errorf("make the instance's directory: %w", err)
	}
	topo, err := netlab.New(netlab.Config{Name: "script"})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &lab{dir: dir, topo: topo, extra: map[string]*netlab.Namespace{}, streams: map[string]*netlab.Stream{}, log: filepath.Join(workDir, "vethwayd.log")}, nil
}

func (l *lab) variables() map[string]string {
	return map[string]string{
		"VETHWAY_SOCKET": l.socket(),
		"VETHWAY_BPFFS":  filepath.Join(l.dir, "bpf", "pins"),
		"STATE":          filepath.Join(l.dir, "state"),
		"RUN":            filepath.Join(l.dir, "run"),
		"HOST4":          l.topo.Host4.String(), "HOST6": l.topo.Host6.String(),
		"REMOTE4": l.topo.Remote4.String(), "REMOTE6": l.topo.Remote6.String(),
		"HOST": l.topo.Host.Path(), "REMOTE": l.topo.Remote.Path(),
	}
}

func (l *lab) socket() string { return filepath.Join(l.dir, "run", "vethway.sock") }

// flags are the daemon's, so that nothing of it lies outside of the lab.
func (l *lab) flags() []string {
	return []string{
		"--instance=script",
		"--state-dir=" + filepath.Join(l.dir, "state"),
		"--run-dir=" + filepath.Join(l.dir, "run"),
		"--bpffs=" + filepath.Join(l.dir, "bpf", "pins"),
	}
}

// namespace finds a namespace by what scenarios call it.
func (l *lab) namespace(where string) (*netlab.Namespace, func(), error) {
	switch where {
	case "host":
		return l.topo.Host, func() {}, nil
	case "remote":
		return l.topo.Remote, func() {}, nil
	}
	if ns, ok := l.extra[where]; ok {
		return ns, func() {}, nil
	}
	path := filepath.Join(l.dir, "run", "containers", where+".net")
	ns, err := netlab.OpenNamespace(where, path)
	if err != nil {
		return nil, nil, fmt.Errorf("no container %s: %w", where, err)
	}
	return ns, func() { ns.Close() }, nil
}

// startDaemon starts vethwayd in the host's namespace and waits until its socket answers.
func (l *lab) startDaemon(env []string, args []string) error {
	if l.daemon != nil {
		return errors.New("the daemon runs already")
	}
	log, err := os.OpenFile(l.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the daemon's log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command("nsenter", append([]string{"--net=" + l.topo.Host.Path(), "--", "vethwayd"}, append(l.flags(), args...)...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	l.daemon, l.ever = cmd, true
	l.exited = make(chan error, 1)
	go func() { l.exited <- cmd.Wait() }()
	return l.ready()
}

func (l *lab) ready() error {
	deadline := time.After(20 * time.Second)
	for {
		select {
		case err := <-l.exited:
			l.daemon = nil
			return fmt.Errorf("the daemon ended: %w\n%s", errors.Join(errors.New("before it was ready"), err), l.logText())
		case <-deadline:
			return fmt.Errorf("the daemon is not ready\n%s", l.logText())
		case <-time.After(20 * time.Millisecond):
		}
		if l.answers() {
			return nil
		}
	}
}

// answers: the socket takes connections before the daemon is ready, so an answer is needed.
func (l *lab) answers() bool {
	c, err := client.New(client.Config{Socket: l.socket(), Timeout: 2 * time.Second})
	if err != nil {
		return false
	}
	defer c.Close()
	_, err = c.Status(context.Background())
	return err == nil
}

func (l *lab) logText() string {
	text, err := os.ReadFile(l.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// endDaemon sends the signal and waits. A clean end is wanted of SIGTERM.
func (l *lab) endDaemon(s unix.Signal) error {
	if l.daemon == nil {
		return errors.New("the daemon does not run")
	}
	if err := l.daemon.Process.Signal(s); err != nil {
		return fmt.Errorf("signal the daemon: %w", err)
	}
	select {
	case err := <-l.exited:
		l.daemon = nil
		if err != nil && s == unix.SIGTERM {
			return fmt.Errorf("the daemon ended: %w\n%s", err, l.logText())
		}
		return nil
	case <-time.After(20 * time.Second):
		return fmt.Errorf("the daemon does not end\n%s", l.logText())
	}
}

// close ends everything and uninstalls, so that a scenario that failed half-way leaves nothing behind either.
func (l *lab) close() error {
	l.closeStreams()
	var errs []error
	errs = append(errs, l.stopContainers())
	if l.daemon != nil {
		errs = append(errs, l.endDaemon(unix.SIGTERM))
	}
	for _, s := range l.servers {
		errs = append(errs, s.Close())
	}
	if l.ever {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err := l.topo.Host.Run(ctx, "vethwayd", append([]string{"uninstall"}, l.flags()...)...)
		errs = append(errs, err)
	}
	for _, ns := range l.extra {
		errs = append(errs, ns.Close())
	}
	errs = append(errs, l.topo.Close(), os.RemoveAll(l.dir))
	return errors.Join(errs...)
}

// stopContainers stops what `vethway run -d` left running, as nobody else would.
func (l *lab) stopContainers() error {
	paths, err := filepath.Glob(filepath.Join(l.dir, "run", "containers", "*.net"))
	if err != nil || len(paths) == 0 {
		return err
	}
	if l.daemon == nil {
		if err := l.startDaemon(os.Environ(), nil); err != nil {
			return err
		}
	}
	args := []string{"stop", "--socket", l.socket(), "-t", "2s"}
	for _, p := range paths {
		args = append(args, strings.TrimSuffix(filepath.Base(p), ".net"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "vethway", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("stop containers: %w: %s", err, out)
	}
	return nil
}
