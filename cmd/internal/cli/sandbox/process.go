// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
)

// Process is a command that runs inside a namespace.
type Process struct {
	cmd      *exec.Cmd
	signals  chan os.Signal
	terminal bool // the standard input is one
}

// Start starts argv inside the namespace at path, with the caller's standard streams. The error is an exit.Error with
// CommandMissing or CannotInvoke if the command itself is at fault.
func Start(path string, argv []string) (*Process, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if cmd.Err != nil {
		return nil, invocation(argv[0], cmd.Err)
	}
	// Signals to us are the command's, and none may end us before the clean-up.
	p := &Process{cmd: cmd, signals: make(chan os.Signal, 8), terminal: isTerminal(os.Stdin)}
	signal.Notify(p.signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	// The child inherits the namespace of the thread that forks it.
	if err := Within(path, cmd.Start); err != nil {
		signal.Stop(p.signals)
		return nil, invocation(argv[0], err)
	}
	return p, nil
}

// PID is the command's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Wait passes signals on until the command ends, and returns nil or an exit.Status.
func (p *Process) Wait() error {
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	defer signal.Stop(p.signals)
	for {
		select {
		case s := <-p.signals:
			if p.terminal && (s == unix.SIGINT || s == unix.SIGQUIT) {
				continue // the terminal sent it to the whole process group
			}
			// It may have ended meanwhile, which done will tell.
			_ = p.cmd.Process.Signal(s)
		case err := <-done:
			return status(err)
		}
	}
}

// status turns the command's end into ours: its exit status, or 128 and the signal's number as a shell has it.
func status(err error) error {
	var end *exec.ExitError
	if !errors.As(err, &end) {
		if err != nil {
			return fmt.Errorf("wait for the command: %w", err)
		}
		return nil
	}
	ws, ok := end.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return exit.Status(128 + int(ws.Signal()))
	}
	return exit.Status(end.ExitCode())
}

func invocation(command string, err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR):
		return exit.Errorf(exit.CommandMissing, "%s: command not found", command)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.ENOEXEC):
		return exit.Errorf(exit.CannotInvoke, "%s: cannot be executed: %w", command, err)
	}
	return fmt.Errorf("start %s: %w", command, err)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
