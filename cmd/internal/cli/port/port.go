// SPDX-License-Identifier: Apache-2.0

// Package port holds `vethway port` and its verbs, one a file.
package port

import (
	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/ports"
)

// New returns the command.
func New(a *app.App) *cobra.Command {
	return app.Group("port", "Publish and unpublish ports of running containers, and list them",
		newPublish(a), newUnpublish(a), newList(a))
}

// Syntax is for the help of every command that takes ports.
const Syntax = `A port is [[IP:]HOST-PORT:]CONTAINER-PORT[/tcp|udp|sctp]. Without a host port a free one is chosen, the same for IPv4
and IPv6; without an IP the port is published on every address of the host. Ranges: 8000-8005:80-85 one to one,
8000-8010:80 the first that is free. An IPv6 address goes in brackets: [::1]:8080:80.
SCTP cannot be given another port: 9899:9899/sctp works, what comes for 9898:9899/sctp is dropped.`

// Parse parses -p arguments; the error carries exit.BadPublish.
func Parse(args []string) ([]api.PublishSpec, error) {
	specs := make([]api.PublishSpec, 0, len(args))
	for _, arg := range args {
		spec, err := ports.Parse(arg)
		if err != nil {
			return nil, exit.Errorf(exit.BadPublish, "%w", err).WithHint("-p 8080:80, -p 127.0.0.1:8080:80/udp, -p 8000-8005:80-85")
		}
		specs = append(specs, spec)
	}
	return specs, nil
}
