// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
)

// readyFlag tells a vethway run that -d started where to say that it is connected.
const readyFlag = "ready-fd"

// background starts this program again as the foreground run in a session of its own, and waits until it says that it
// is ready or ends. Until then its errors are ours.
func (o *runOptions) background(ctx context.Context, a *app.App, argv []string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("run in the background: %w", err)
	}
	defer r.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		w.Close()
		return fmt.Errorf("run in the background: %w", err)
	}
	defer null.Close()
	// Not /proc/self/exe: a test binary finds out by its name which program it is meant to be.
	self, err := os.Executable()
	if err != nil {
		w.Close()
		return fmt.Errorf("run in the background: %w", err)
	}
	cmd := exec.Command(self, o.again(argv)...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), "VETHWAY_SOCKET="+a.SocketPath())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = null, null, null
	cmd.ExtraFiles = []*os.File{w} // descriptor 3
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		w.Close()
		return fmt.Errorf("run in the background: %w", err)
	}
	w.Close()
	return o.await(ctx, a, r, cmd)
}

// again is the command line of the foreground run: every flag as it was given, but for -d, and the chosen name.
func (o *runOptions) again(argv []string) []string {
	args := []string{"run", "--" + readyFlag + "=3", "--name=" + o.name}
	for _, n := range o.networks {
		args = append(args, "--network="+n)
	}
	for _, p := range o.publish {
		args = append(args, "--publish="+p)
	}
	for _, l := range o.labels {
		args = append(args, "--label="+l)
	}
	args = append(args, o.endpoint.Args()...)
	return append(append(args, "--"), argv...)
}

// await reads the runner's one message: a name, or an exit code and what went wrong.
func (o *runOptions) await(ctx context.Context, a *app.App, r io.Reader, cmd *exec.Cmd) error {
	type message struct {
		text []byte
		err  error
	}
	got := make(chan message, 1)
	go func() {
		text, err := io.ReadAll(r)
		got <- message{text, err}
	}()
	select {
	case <-ctx.Done():
		// It cleans up after itself; should it be gone already, there is nothing to tell.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		return fmt.Errorf("run in the background: %w", ctx.Err())
	case m := <-got:
		if m.err != nil {
			return fmt.Errorf("run in the background: %w", m.err)
		}
		return o.verdict(a, strings.TrimSuffix(string(m.text), "\n"))
	}
}

// A message is "ok NAME" or "CODE\x00HINT\x00ERROR".
func (o *runOptions) verdict(a *app.App, text string) error {
	if name, ok := strings.CutPrefix(text, "ok "); ok {
		fmt.Fprintln(a.Streams.Out, name)
		return nil
	}
	parts := strings.SplitN(text, "\x00", 3)
	var code int
	if _, err := fmt.Sscanf(parts[0], "%d", &code); err != nil || len(parts) != 3 {
		return errors.New("run in the background: the container ended before it was ready")
	}
	return &exit.Error{Code: exit.Code(code), Err: errors.New(parts[2]), Hint: parts[1]}
}

// report tells the vethway that waits that the container is connected.
func (o *runOptions) report(name string) error { return o.tell("ok " + name + "\n") }

// fail tells it that the container could not be made.
func (o *runOptions) fail(err error) error {
	code, hint := exit.Classify(err)
	return o.tell(fmt.Sprintf("%d\x00%s\x00%s\n", int(code), hint, err))
}

func (o *runOptions) tell(message string) error {
	if o.ready == 0 {
		return nil
	}
	f := os.NewFile(uintptr(o.ready), "ready")
	o.ready = 0
	defer f.Close()
	if _, err := io.WriteString(f, message); err != nil {
		return fmt.Errorf("report readiness: %w", err)
	}
	return nil
}
