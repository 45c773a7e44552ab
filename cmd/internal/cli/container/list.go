// SPDX-License-Identifier: Apache-2.0

package container

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/cmd/internal/cli/sandbox"
	"github.com/vethway/vethway/control/api"
)

// item is a container as ps prints it: the daemon's knowledge and the process that `vethway run` started.
type item struct {
	api.Container
	PID     int      `json:"Pid,omitempty"`
	Command []string `json:"Command,omitempty"`
	// Running is false when a killed `vethway run` left the container behind.
	Running bool `json:"Running"`
}

// NewList returns `vethway ps`.
func NewList(a *app.App) *cobra.Command {
	var o output.Options
	var whole bool
	cmd := &cobra.Command{
		Use:   "ps [flags]",
		Short: "List containers",
		Long:  "List containers with their addresses and published ports.\n\n" + output.Help,
		Example: `  vethway ps
  vethway ps -q
  vethway ps -o json
  vethway ps --format '{{.Name}} {{.PID}}'`,
		Args: cobra.NoArgs,
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, _ []string) error {
			list, err := c.Containers(cmd.Context())
			if err != nil {
				return err
			}
			items := make([]item, 0, len(list))
			for _, ct := range list {
				items = append(items, withProcess(a.Sandboxes(), ct))
			}
			name := func(it item) string { return it.Name }
			return output.Print(a.Streams, o, "ContainerList", items, name, func(items []item) *output.Table {
				t := output.NewTable("CONTAINER ID", "NAME", "PID", "COMMAND", "AGE", "NETWORKS", "PORTS")
				for _, it := range items {
					id := it.ID
					if !whole {
						id = app.ShortID(id)
					}
					t.Row(id, it.Name, pid(it), command(it), app.Duration(time.Since(it.Created)), networks(it.Container), ports(it.Container))
				}
				return t
			})
		}),
	}
	o.AddFlags(cmd, true)
	cmd.Flags().BoolVar(&whole, "no-trunc", false, "print whole IDs")
	return cmd
}

// NewInspect returns `vethway inspect`.
func NewInspect(a *app.App) *cobra.Command {
	var o output.Inspection
	cmd := &cobra.Command{
		Use:   "inspect [flags] CONTAINER...",
		Short: "Show all there is to know about containers",
		Long:  "Show containers as a JSON array, the network part in the shape of `docker inspect`.",
		Example: `  vethway inspect c1
  vethway inspect c1 --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'`,
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: app.CompleteInTurn(true, a.CompleteContainers()),
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, args []string) error {
			return output.Inspect(a.Streams, o, args, func(ref string) (item, error) {
				ct, err := c.Container(cmd.Context(), ref)
				return withProcess(a.Sandboxes(), ct), err
			})
		}),
	}
	o.AddFlags(cmd)
	return cmd
}

func withProcess(dir sandbox.Dir, ct api.Container) item {
	it := item{Container: ct, Running: true}
	if ct.Namespace.Path != dir.Namespace(ct.Name) {
		return it // somebody else's namespace: its processes are theirs
	}
	r, err := dir.Read(ct.Name)
	if err == nil {
		it.PID, it.Command, it.Running = r.PID, r.Command, r.Running()
	}
	return it
}

func pid(it item) string {
	switch {
	case !it.Running:
		return "dead"
	case it.PID == 0:
		return ""
	}
	return fmt.Sprint(it.PID)
}

// maxCommand is how much of a command line a table shows, as in Docker.
const maxCommand = 24

func command(it item) string {
	line := strings.Join(it.Command, " ")
	if len([]rune(line)) > maxCommand {
		line = string([]rune(line)[:maxCommand-1]) + "…"
	}
	return line
}

// networks lists a container's networks and its addresses on them.
func networks(ct api.Container) string {
	out := make([]string, 0, len(ct.NetworkSettings.Networks))
	for name, ep := range ct.NetworkSettings.Networks {
		for _, addr := range []netip.Addr{ep.IPAddress, ep.GlobalIPv6Address} {
			if addr.IsValid() {
				name += " " + addr.String()
			}
		}
		out = append(out, name)
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}
