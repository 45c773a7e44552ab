// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"

	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals/leastsplice"
)

// LeastSplice is Redirect whose TCP within the host, between containers and from
// the host to them, goes from socket to socket. What that takes at the least is
// said in package leastsplice.
//
// It is a limit, not a network: programs that wait in the kernel for what they
// are sent may be disturbed, and nothing makes a writer wait for its reader.
type LeastSplice struct {
	Redirect
	cgroup string
}

// NewLeastSplice makes the target for sockets of the cgroup in that directory;
// empty: for all. Nothing happens before Setup.
func NewLeastSplice(cgroup string) *LeastSplice { return &LeastSplice{cgroup: cgroup} }

// Name is "least-splice".
func (t *LeastSplice) Name() string { return "least-splice" }

// Setup makes what Redirect has, and has sockets spliced.
func (t *LeastSplice) Setup(ctx context.Context, topo *netlab.Topology, spec Spec) error {
	err := t.Redirect.Setup(ctx, topo, spec)
	if err == nil {
		err = t.splice()
	}
	if err != nil {
		return fmt.Errorf("set up %s: %w", t.Name(), err)
	}
	return nil
}

// splice is for all sockets of the host and the containers that are ends of
// connections between them.
func (t *LeastSplice) splice() error {
	cgroup := t.cgroup
	if cgroup == "" {
		root, err := netlab.CgroupRoot()
		if errors.Is(err, netlab.ErrNoCgroup) {
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if err != nil {
			return err
		}
		cgroup = root
	}
	rules := leastsplice.Rules{Cgroup: cgroup, Namespaces: []uint64{t.topo.Host.Cookie()}}
	for _, n := range t.spec.Networks {
		for _, p := range addrs(n.Gateway4, n.Subnet4, n.Gateway6, n.Subnet6) {
			rules.Addresses = append(rules.Addresses, p.Addr())
		}
		for _, c := range n.Containers {
			rules.Namespaces = append(rules.Namespaces, t.containers[c.Name].Cookie())
			for _, p := range addrs(c.IP4, n.Subnet4, c.IP6, n.Subnet6) {
				rules.Addresses = append(rules.Addresses, p.Addr())
			}
		}
	}
	s, err := leastsplice.New(rules)
	if err != nil {
		return err
	}
	t.onClose(s.Close)
	return nil
}
