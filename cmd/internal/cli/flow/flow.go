// SPDX-License-Identifier: Apache-2.0

// Package flow holds `vethway flow` and its verbs, one a file.
package flow

import (
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/control/api"
)

// New returns the command.
func New(a *app.App) *cobra.Command {
	return app.Group("flow", "List, count and end NAT sessions", newList(a), newStats(a), newFlush(a))
}

// filterFlags narrow a listing or a flush.
type filterFlags struct {
	filter  api.FlowFilter
	address string
}

func (f *filterFlags) addFlags(a *app.App, cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringVar(&f.filter.Container, "container", "", "of this container")
	s.StringVar(&f.filter.Network, "network", "", "of this network")
	s.StringVar(&f.filter.Protocol, "proto", "", "tcp, udp, sctp, icmp, ipv6-icmp or a number")
	s.StringVar(&f.filter.Kind, "kind", "", strings.Join(api.FlowKinds(), ", "))
	s.StringVar(&f.address, "address", "", "with this address anywhere")
	s.Uint16Var(&f.filter.Port, "port", 0, "with this port anywhere")
	// The flags were added above: registering their completions cannot fail.
	_ = cmd.RegisterFlagCompletionFunc("container", a.CompleteContainers())
	_ = cmd.RegisterFlagCompletionFunc("network", a.CompleteNetworks())
}

func (f *filterFlags) parse() (api.FlowFilter, error) {
	if f.address == "" {
		return f.filter, nil
	}
	addr, err := netip.ParseAddr(f.address)
	if err != nil {
		return f.filter, exit.Errorf(exit.Usage, "--address %q: not an address", f.address)
	}
	f.filter.Address = addr
	return f.filter, nil
}
