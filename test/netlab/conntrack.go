// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
)

// FlushConntrack has the kernel forget every connection that it tracks in the
// namespace. Where it tracks none, there is nothing to do.
func (n *Namespace) FlushConntrack() error {
	count, err := n.Sysctl("net.netfilter.nf_conntrack_count")
	if errors.Is(err, os.ErrNotExist) || err == nil && count == "0" {
		return nil
	}
	if err != nil {
		return err
	}
	// The netlink package's handles of a namespace do not speak netfilter.
	return n.Do(func() error {
		if err := netlink.ConntrackTableFlush(netlink.ConntrackTable); err != nil {
			return fmt.Errorf("flush the connection tracking of %s: %w", n.name, err)
		}
		return nil
	})
}
