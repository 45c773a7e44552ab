// SPDX-License-Identifier: Apache-2.0

// Package deny holds `vethway deny` and its verbs, one a file.
package deny

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/control/api"
)

// New returns the command.
func New(a *app.App) *cobra.Command {
	return app.Group("deny", "Deny sources: nothing from them comes in by an uplink", newAdd(a), newRemove(a), newList(a))
}

// parse reads prefixes; an address stands for itself alone.
func parse(args []string) (api.Deny, error) {
	var req api.Deny
	for _, arg := range args {
		p, err := netip.ParsePrefix(arg)
		if err != nil {
			addr, addrErr := netip.ParseAddr(arg)
			if addrErr != nil || addr.Zone() != "" {
				return req, exit.Errorf(exit.Usage, "%q is neither a prefix nor an address", arg).WithHint("192.0.2.0/24, 2001:db8::/48, 192.0.2.7")
			}
			p = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		}
		req.Prefixes = append(req.Prefixes, p)
	}
	return req, nil
}

func table(list []api.Denial) *output.Table {
	t := output.NewTable("PREFIX", "DENIED")
	for _, d := range list {
		t.Row(d.Prefix.String(), fmt.Sprintf("%s ago", app.Duration(time.Since(d.Since))))
	}
	return t
}
