// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/cmd/internal/cli/sandbox"
	"github.com/vethway/vethway/control/api"
)

type runOptions struct {
	connectFlags
	detach bool
	remove bool
	ready  int // descriptor to report to, of the process that -d leaves behind
}

// NewRun returns `vethway run`.
func NewRun(a *app.App) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [flags] [--] COMMAND [ARG...]",
		Short: "Run a command in a network namespace of its own: the smallest container there is",
		Long: `Run a command in a fresh network namespace that is connected to a network, with ports published. Only the network
is the container's own: files and processes are the host's. The standard streams, signals and the exit status are the
command's; when it ends, the container is gone. With -d it runs in the background, and its name is printed once it is connected.`,
		Example: `  vethway run --network web --name c1 -p 8080:80 -d -- sleep 60
  vethway run --network web --ip 172.30.1.9 -- ip addr`,
		Args: cobra.MinimumNArgs(1),
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, args []string) error {
			if err := o.complete(); err != nil {
				return err
			}
			if o.detach {
				return o.background(cmd.Context(), a, args)
			}
			return o.foreground(cmd.Context(), a, c, args)
		}),
	}
	o.addFlags(a, cmd)
	f := cmd.Flags()
	f.BoolVarP(&o.detach, "detach", "d", false, "run in the background and print the name")
	f.BoolVar(&o.remove, "rm", true, "remove the container when the command ends, which is always done")
	f.IntVar(&o.ready, readyFlag, 0, "")
	f.Lookup("rm").Hidden, f.Lookup(readyFlag).Hidden = true, true
	f.SetInterspersed(false)
	return cmd
}

// containerName is what Docker takes; it is a file name here as well.
var containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$`)

func (o *runOptions) complete() error {
	if o.name == "" {
		var id [4]byte
		// crypto/rand.Read never fails.
		_, _ = rand.Read(id[:])
		o.name = "c-" + hex.EncodeToString(id[:])
	}
	if !containerName.MatchString(o.name) {
		return exit.Errorf(exit.Usage, "--name %q: want letters, digits, _ . -, beginning with a letter or digit", o.name)
	}
	_, err := o.request("")
	return err
}

// foreground runs the command, and says so to the vethway that started this one in the background, if one did.
func (o *runOptions) foreground(ctx context.Context, a *app.App, c api.Backend, argv []string) error {
	if o.ready != 0 {
		// The command must not hold the pipe open.
		unix.CloseOnExec(o.ready)
	}
	err := o.run(ctx, a, c, argv)
	if o.ready != 0 && err != nil {
		return errors.Join(err, o.fail(err))
	}
	return err
}

// run makes the namespace, has it attached, runs the command and takes everything down again.
func (o *runOptions) run(ctx context.Context, a *app.App, c api.Backend, argv []string) (err error) {
	dir := a.Sandboxes()
	path, err := o.namespace(dir)
	if err != nil {
		return err
	}
	// The clean-up must work after ctx ended, too.
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	defer func() { err = errors.Join(err, dir.Remove(o.name)) }()
	req, err := o.request(path)
	if err != nil {
		return err
	}
	made, err := c.AttachContainer(ctx, req)
	if err != nil {
		return explain(err, path)
	}
	defer func() {
		// Somebody may have detached it meanwhile. A daemon that is down lets go of the container when it starts.
		if gone := c.DetachContainer(clean, made.ID); gone != nil && !errors.Is(gone, api.NotFound) {
			fmt.Fprintf(a.Streams.Err, "warning: %s was not detached: %v\n", made.Name, gone)
		}
	}()
	warn(a, made)
	p, err := sandbox.Start(path, argv)
	if err != nil {
		return err
	}
	if err := dir.Write(o.name, p.PID(), argv); err != nil {
		fmt.Fprintf(a.Streams.Err, "warning: %v\n", err)
	}
	if err := o.report(made.Name); err != nil {
		fmt.Fprintf(a.Streams.Err, "warning: %v\n", err)
	}
	return p.Wait()
}

// namespace makes the namespace. One that a killed vethway left behind is taken down and made again.
func (o *runOptions) namespace(dir sandbox.Dir) (string, error) {
	path, err := dir.Create(o.name)
	if !errors.Is(err, fs.ErrExist) {
		return path, err
	}
	if r, readErr := dir.Read(o.name); readErr == nil && !r.Running() {
		if err := dir.Remove(o.name); err != nil {
			return "", err
		}
		return dir.Create(o.name)
	}
	return "", exit.Errorf(exit.Of(api.AlreadyExists), "the container name %q is taken", o.name).
		WithHint("vethway stop %s, or another --name", o.name)
}
