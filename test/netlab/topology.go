// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"net/netip"
)

// Uplink is one interface of the host and the remote at its other end.
type Uplink struct {
	Remote      *Namespace
	Dev         string // on the host
	RemoteDev   string
	Host4       netip.Prefix
	Host6       netip.Prefix
	RemoteAddr4 netip.Prefix
	RemoteAddr6 netip.Prefix
}

// Topology is a host with its uplinks and whatever was added to it.
type Topology struct {
	Host    *Namespace
	Uplinks []*Uplink // the first is eth0 and carries the default routes

	// Remote is the remote of the first uplink.
	Remote *Namespace

	// The addresses on the first uplink.
	Host4, Host6     netip.Addr
	Remote4, Remote6 netip.Addr

	cfg     Config
	closers []func() error
}

// Config says how a topology is made.
type Config struct {
	// Name begins the names of the namespaces in messages, and in /run/netns
	// when Public is set.
	Name string
	// Public puts the namespaces into /run/netns as Name-host, Name-remote and
	// so on; Name must be unique then.
	Public bool
}

// New makes the host, the remote, and the uplink between them.
func New(cfg Config) (*Topology, error) {
	if cfg.Name == "" && !cfg.Public {
		cfg.Name = "lab"
	}
	t := &Topology{cfg: cfg}
	if err := t.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("make topology %s: %w", cfg.Name, err), t.Close())
	}
	return t, nil
}

func (t *Topology) build() error {
	var err error
	if t.Host, err = t.AddContainer("host"); err != nil {
		return err
	}
	// A new namespace inherits what the machine happens to have; the lab
	// starts from what the kernel has.
	if err := t.Host.SetSysctl("net.ipv4.ip_forward", "0"); err != nil {
		return err
	}
	u, err := t.AddUplink()
	if err != nil {
		return err
	}
	t.Remote = u.Remote
	t.Host4, t.Host6 = u.Host4.Addr(), u.Host6.Addr()
	t.Remote4, t.Remote6 = u.RemoteAddr4.Addr(), u.RemoteAddr6.Addr()
	return errors.Join(
		t.Host.AddRoute(Route{Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: t.Remote4}),
		t.Host.AddRoute(Route{Dst: netip.MustParsePrefix("::/0"), Via: t.Remote6}),
	)
}

// AddContainer makes one more namespace, empty but for lo. It is closed with
// the topology.
func (t *Topology) AddContainer(name string) (*Namespace, error) {
	n, err := NewNamespace(NamespaceConfig{Name: t.cfg.Name + "-" + name, Public: t.cfg.Public})
	if err != nil {
		return nil, err
	}
	t.closers = append(t.closers, n.Close)
	return n, nil
}

// AddUplink gives the host one more uplink with a remote of its own. The first
// is eth0 in 192.0.2.0/24 and 2001:db8:2::/64, the second eth1 in
// 198.51.100.0/24 and 2001:db8:3::/64, the third eth2 in 203.0.113.0/24 and
// 2001:db8:4::/64; the host is .2 and the remote .3 in each.
func (t *Topology) AddUplink() (*Uplink, error) {
	nets4 := []string{"192.0.2.", "198.51.100.", "203.0.113."}
	i := len(t.Uplinks)
	if i >= len(nets4) {
		return nil, fmt.Errorf("add uplink: only %d are laid out", len(nets4))
	}
	suffix := ""
	if i > 0 {
		suffix = fmt.Sprint(i + 1)
	}
	remote, err := t.AddContainer("remote" + suffix)
	if err != nil {
		return nil, err
	}
	net6 := fmt.Sprintf("2001:db8:%d::", i+2)
	u := &Uplink{
		Remote: remote, Dev: fmt.Sprintf("eth%d", i), RemoteDev: "eth0",
		Host4: netip.MustParsePrefix(nets4[i] + "2/24"), Host6: netip.MustParsePrefix(net6 + "2/64"),
		RemoteAddr4: netip.MustParsePrefix(nets4[i] + "3/24"), RemoteAddr6: netip.MustParsePrefix(net6 + "3/64"),
	}
	if err := t.Host.AddVeth(u.Dev, remote, u.RemoteDev); err != nil {
		return nil, err
	}
	err = errors.Join(
		t.Host.AddAddr(u.Dev, u.Host4), t.Host.AddAddr(u.Dev, u.Host6),
		remote.AddAddr(u.RemoteDev, u.RemoteAddr4), remote.AddAddr(u.RemoteDev, u.RemoteAddr6),
	)
	if err != nil {
		return nil, err
	}
	t.Uplinks = append(t.Uplinks, u)
	return u, nil
}

// RouteToContainers gives R a route to a prefix by way of the host, for tests
// of direct access. Without it R knows nothing of containers, like the LAN of
// a Docker host.
func (t *Topology) RouteToContainers(p netip.Prefix) error {
	via := t.Host4
	if p.Addr().Is6() {
		via = t.Host6
	}
	return t.Remote.ReplaceRoute(Route{Dst: p, Via: via})
}

// HostAddr and RemoteAddr return the address on the first uplink in the family
// of like.
func (t *Topology) HostAddr(like netip.Addr) netip.Addr { return pick(like, t.Host4, t.Host6) }

// RemoteAddr is the address of the remote in the family of like.
func (t *Topology) RemoteAddr(like netip.Addr) netip.Addr { return pick(like, t.Remote4, t.Remote6) }

func pick(like, v4, v6 netip.Addr) netip.Addr {
	if is4(like) {
		return v4
	}
	return v6
}

// OnClose has f called when the topology is closed, before what was added
// earlier is taken down.
func (t *Topology) OnClose(f func() error) { t.closers = append(t.closers, f) }

// Close takes down everything, last made first, and goes on past errors.
func (t *Topology) Close() error {
	var errs []error
	for len(t.closers) > 0 {
		last := len(t.closers) - 1
		f := t.closers[last]
		t.closers = t.closers[:last]
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}
