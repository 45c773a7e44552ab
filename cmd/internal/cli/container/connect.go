// SPDX-License-Identifier: Apache-2.0

// Package container holds the verbs about containers, which have no noun before them, as in Docker: run, exec, ps,
// inspect, stop, attach, detach.
package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/cmd/internal/cli/port"
	"github.com/vethway/vethway/control/api"
)

// connectFlags are the flags of run and attach.
type connectFlags struct {
	name                      string
	networks, publish, labels []string
	endpoint                  app.EndpointFlags
}

func (o *connectFlags) addFlags(a *app.App, cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&o.networks, "network", nil, "network to connect to (also --net); with several, --ip and the like are for the first")
	f.StringVar(&o.name, "name", "", "name of the container (default: chosen)")
	f.StringArrayVarP(&o.publish, "publish", "p", nil, "[[IP:]HOST-PORT:]PORT[/tcp|udp|sctp]; ranges as 8000-8005:80-85")
	f.StringArrayVar(&o.labels, "label", nil, "KEY=VALUE")
	o.endpoint.AddFlags(cmd)
	app.Alias(cmd, "net", "network")
	// The flag was added above: registering its completion cannot fail.
	_ = cmd.RegisterFlagCompletionFunc("network", a.CompleteNetworks())
}

// request is what the flags ask for, for the namespace ref.
func (o *connectFlags) request(ref string) (api.ContainerAttach, error) {
	req := api.ContainerAttach{Name: o.name, Namespace: ref}
	if len(o.networks) == 0 || slices.Contains(o.networks, "") {
		return req, exit.Errorf(exit.Usage, "--network is missing").WithHint("vethway network ls; --network NAME")
	}
	ep, err := o.endpoint.Config()
	if err != nil {
		return req, err
	}
	for i, n := range o.networks {
		conn := api.NetworkConnection{Network: n}
		if i == 0 {
			conn.EndpointConfig = ep
		}
		req.Networks = append(req.Networks, conn)
	}
	if req.Publish, err = port.Parse(o.publish); err != nil {
		return req, err
	}
	req.Labels, err = app.KeyValues("--label", o.labels)
	return req, err
}

// netnsDir is where ip-netns(8) keeps its names.
const netnsDir = "/run/netns"

// checkNamespace tells a namespace that does not exist from all else that is not found.
func checkNamespace(ref string) error {
	path := ref
	if !strings.Contains(ref, "/") {
		path = filepath.Join(netnsDir, ref)
		if _, err := strconv.Atoi(ref); err == nil {
			path = filepath.Join("/proc", ref, "ns/net")
		}
	}
	var st unix.Statfs_t
	err := unix.Statfs(path, &st)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return exit.Errorf(exit.NoNamespace, "no network namespace %s: %s does not exist", ref, path).WithHint("ip netns list; lsns -t net")
	case err == nil && st.Type != unix.NSFS_MAGIC && st.Type != unix.PROC_SUPER_MAGIC:
		return exit.Errorf(exit.NoNamespace, "%s is no network namespace", path).WithHint("ip netns list; lsns -t net")
	}
	// Anything else, permissions included, is for the daemon to judge: it may see more than we do.
	return nil
}

// explain recognises a namespace that vanished while the daemon was at work.
func explain(err error, ref string) error {
	if !errors.Is(err, api.NotFound) {
		return err
	}
	if gone := checkNamespace(ref); gone != nil {
		return &exit.Error{Code: exit.NoNamespace, Err: fmt.Errorf("the namespace vanished: %w", err), Hint: "lsns -t net"}
	}
	return exit.Hint(err, "vethway network ls")
}

// exists reports whether a file is there; it is for choosing between paths, not for safety.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
