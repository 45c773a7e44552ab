// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/netlab"
)

// proxyPatience is how long a proxy may take to start, and to end.
const proxyPatience = 10 * time.Second

// proxyProcess is one run of a ProxyProgram: one port in one family, as Docker
// runs them.
type proxyProcess struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// proxyProcesses are those of one published port.
type proxyProcesses []*proxyProcess

func startProxies(ctx context.Context, host *netlab.Namespace, program ProxyProgram, c Container, p Port) (proxyProcesses, error) {
	var all proxyProcesses
	for _, way := range proxyWays(c, p) {
		x, err := startProxy(ctx, host, program, p.Proto, way.at, way.target)
		if err != nil {
			all.close()
			return nil, fmt.Errorf("hold port %s: %w", p, err)
		}
		all = append(all, x)
	}
	return all, nil
}

func startProxy(ctx context.Context, host *netlab.Namespace, program ProxyProgram, proto string, at, target netip.AddrPort) (*proxyProcess, error) {
	args := append(program.Command[1:len(program.Command):len(program.Command)],
		"-proto", proto, "-host-ip", at.Addr().String(), "-host-port", strconv.Itoa(int(at.Port())),
		"-container-ip", target.Addr().String(), "-container-port", strconv.Itoa(int(target.Port())))
	status, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer status.Close()
	x := &proxyProcess{done: make(chan struct{})}
	x.cmd = host.Command(context.WithoutCancel(ctx), program.Command[0], args...)
	x.cmd.ExtraFiles = []*os.File{theirs}
	// A session of its own keeps the terminal's Ctrl-C away.
	x.cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL}
	err = x.start()
	theirs.Close()
	if err != nil {
		return nil, err
	}
	if err := readStatus(status); err != nil {
		x.close()
		return nil, fmt.Errorf("start %s %s: %w", program.Command[0], strings.Join(args, " "), err)
	}
	return x, nil
}

func (x *proxyProcess) start() error {
	started := make(chan error)
	go func() {
		// The parent that PDEATHSIG speaks of is the thread: it must last as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(x.done)
		err := x.cmd.Start()
		started <- err
		if err == nil {
			_ = x.cmd.Wait() // it was told to end
		}
	}()
	return <-started
}

// readStatus reads what docker-proxy says of its start: 0, or 1 and why not.
func readStatus(status *os.File) error {
	if err := status.SetReadDeadline(time.Now().Add(proxyPatience)); err != nil {
		return err
	}
	said, err := io.ReadAll(status)
	switch {
	case err != nil:
		return fmt.Errorf("wait for it: %w", err)
	case strings.TrimSpace(string(said)) == "0":
		return nil
	case len(said) == 0:
		return errors.New("it ended at once")
	}
	return errors.New(strings.TrimSpace(strings.TrimPrefix(string(said), "1\n")))
}

func (x *proxyProcess) close() {
	// An error means that it has ended already.
	_ = x.cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-x.done:
	case <-time.After(proxyPatience):
		_ = x.cmd.Process.Kill()
		<-x.done
	}
}

func (all proxyProcesses) close() {
	for _, x := range all {
		x.close()
	}
}

func (all proxyProcesses) processes() (pids []int) {
	for _, x := range all {
		pids = append(pids, x.cmd.Process.Pid)
	}
	return pids
}

// PinHelpers has all threads of a target's helpers run on certain CPUs, and
// with them those that they start.
func PinHelpers(t Target, cpus []int) error {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	for _, pid := range t.Helpers() {
		if err := eachThread(pid, func(thread int) error { return unix.SchedSetaffinity(thread, &set) }); err != nil {
			return fmt.Errorf("pin helpers of %s to CPUs %v: %w", t.Name(), cpus, err)
		}
	}
	return nil
}

// cpuTime is what the threads of a process have run.
func cpuTime(pid int) (total time.Duration, err error) {
	err = eachThread(pid, func(thread int) error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/schedstat", pid, thread))
		if err != nil {
			return err
		}
		spent, _, _ := strings.Cut(string(stat), " ")
		n, err := strconv.ParseInt(spent, 10, 64)
		total += time.Duration(n)
		return err
	})
	return total, err
}

// helperTime is what several processes have run.
func helperTime(pids []int) (total time.Duration, err error) {
	for _, pid := range pids {
		spent, err := cpuTime(pid)
		if err != nil {
			return 0, err
		}
		total += spent
	}
	return total, nil
}

// eachThread passes over threads that end meanwhile.
func eachThread(pid int, do func(thread int) error) error {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", pid))
	if err != nil {
		return err
	}
	if len(threads) == 0 {
		return fmt.Errorf("process %d: %w", pid, unix.ESRCH)
	}
	for _, path := range threads {
		thread, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			return err
		}
		if err := do(thread); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("process %d: %w", pid, err)
		}
	}
	return nil
}
