// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vethway/vethway/test/netlab"
)

// containerDev is the interface inside every container.
const containerDev = "eth0"

// fewContainers is how many can be taken down one by one.
const fewContainers = 16

// site is what all targets with bridges have in common: the bridges of the
// spec on the host, and a namespace behind a veth for each container.
type site struct {
	topo       *netlab.Topology
	spec       Spec
	containers map[string]*netlab.Namespace
	closers    []func() error
}

// bridgeName is Docker's way of naming, with the network's name for its id.
func bridgeName(n Network) string { return "br-" + n.Name }

func vethName(container string) string { return "veth-" + container }

// Container returns the namespace of a container of the spec, or nil.
func (s *site) Container(name string) *netlab.Namespace { return s.containers[name] }

// Helpers is empty for whatever forwards in the kernel.
func (s *site) Helpers() []int { return nil }

// Close takes down what was made, last first.
func (s *site) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

func (s *site) onClose(f func() error) { s.closers = append(s.closers, f) }

// setup makes bridges and containers.
func (s *site) setup(topo *netlab.Topology, spec Spec) error {
	s.topo, s.spec, s.containers = topo, spec, map[string]*netlab.Namespace{}
	for _, n := range spec.Networks {
		if err := s.addNetwork(n); err != nil {
			return fmt.Errorf("network %s: %w", n.Name, err)
		}
		for _, c := range n.Containers {
			if err := s.addContainer(n, c); err != nil {
				return fmt.Errorf("container %s: %w", c.Name, err)
			}
		}
	}
	return nil
}

func (s *site) addNetwork(n Network) error {
	host, br := s.topo.Host, bridgeName(n)
	if err := host.AddBridge(br); err != nil {
		return err
	}
	s.onClose(func() error { return host.DeleteLink(br) })
	for _, p := range addrs(n.Gateway4, n.Subnet4, n.Gateway6, n.Subnet6) {
		if err := host.AddAddr(br, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) addContainer(n Network, c Container) error {
	ns, err := s.newContainer(c.Name)
	if err != nil {
		return err
	}
	host, veth := s.topo.Host, vethName(c.Name)
	if err := host.AddVeth(veth, ns, containerDev); err != nil {
		return err
	}
	// The kernel waits a while for each link that is deleted by name, and takes
	// all at once that go with their namespaces, if somewhat later.
	if s.spec.containers() <= fewContainers {
		s.onClose(func() error { return host.DeleteLink(veth) })
	}
	if err := host.SetMaster(veth, bridgeName(n)); err != nil {
		return err
	}
	if err := host.WaitUp(bridgeName(n)); err != nil {
		return err
	}
	for _, p := range addrs(c.IP4, n.Subnet4, c.IP6, n.Subnet6) {
		if err := ns.AddAddr(containerDev, p); err != nil {
			return err
		}
	}
	return ns.AddDefaultRoutes(n.Gateway4, n.Gateway6)
}

func (s *site) newContainer(name string) (*netlab.Namespace, error) {
	if s.containers[name] != nil {
		return nil, errors.New("the name is taken")
	}
	ns, err := s.topo.AddContainer(name)
	if err != nil {
		return nil, err
	}
	s.containers[name] = ns
	s.onClose(ns.Close)
	return ns, nil
}

// setHost sets a sysctl on the host and puts the old value back on Close.
func (s *site) setHost(key, value string) error {
	host := s.topo.Host
	old, err := host.Sysctl(key)
	if err != nil || old == value {
		return err
	}
	s.onClose(func() error { return host.SetSysctl(key, old) })
	return host.SetSysctl(key, value)
}

// forward has the host forward in both families.
func (s *site) forward() error {
	return errors.Join(
		s.setHost("net.ipv4.ip_forward", "1"),
		s.setHost("net.ipv6.conf.all.forwarding", "1"),
	)
}

// bridgeNetfilter has bridged packets go through netfilter, or not.
func (s *site) bridgeNetfilter(value string) error {
	return errors.Join(
		s.setHost("net.bridge.bridge-nf-call-iptables", value),
		s.setHost("net.bridge.bridge-nf-call-ip6tables", value),
	)
}

// allowHairpin is what Docker sets without the userland proxy: frames may go
// back out of the port that they came in by (a container's own published
// port), and 127.0.0.1 may be routed to a bridge.
func (s *site) allowHairpin() error {
	for _, n := range s.spec.Networks {
		if err := s.setHost("net.ipv4.conf."+bridgeName(n)+".route_localnet", "1"); err != nil {
			return err
		}
		for _, c := range n.Containers {
			if err := s.topo.Host.SetHairpin(vethName(c.Name), true); err != nil {
				return err
			}
		}
	}
	return nil
}

// hostReach is Reach for targets that translate.
func (s *site) hostReach(p Port, f Family) (netip.AddrPort, error) {
	addr := s.topo.Host4
	if f == IPv6 {
		addr = s.topo.Host6
	}
	if p.HostIP.IsValid() && !p.HostIP.IsUnspecified() {
		if addr = p.HostIP; addr.Is6() != (f == IPv6) {
			return netip.AddrPort{}, fmt.Errorf("port %s is not published over %s", p, f)
		}
	}
	return netip.AddrPortFrom(addr, p.HostPort), nil
}

// containerReach is Reach for targets that do not.
func (s *site) containerReach(container string, p Port, f Family) (netip.AddrPort, error) {
	_, c, err := s.spec.Container(container)
	if err != nil {
		return netip.AddrPort{}, err
	}
	addr := c.addr(f)
	if !addr.IsValid() {
		return netip.AddrPort{}, fmt.Errorf("container %s has no %s address", container, f)
	}
	return netip.AddrPortFrom(addr, p.ContainerPort), nil
}

// addr is the container's address in one family; it may be invalid.
func (c Container) addr(f Family) netip.Addr {
	if f == IPv6 {
		return c.IP6
	}
	return c.IP4
}

// subnet is the network's subnet in one family; it may be invalid.
func (n Network) subnet(f Family) netip.Prefix {
	if f == IPv6 {
		return n.Subnet6
	}
	return n.Subnet4
}

// in tells whether the port is published in a family.
func (p Port) in(f Family) bool {
	return !p.HostIP.IsValid() || p.HostIP.Is6() == (f == IPv6)
}

// addrs lists the addresses that exist, each with its subnet's length.
func addrs(a4 netip.Addr, s4 netip.Prefix, a6 netip.Addr, s6 netip.Prefix) []netip.Prefix {
	var all []netip.Prefix
	if a4.IsValid() {
		all = append(all, netip.PrefixFrom(a4, s4.Bits()))
	}
	if a6.IsValid() {
		all = append(all, netip.PrefixFrom(a6, s6.Bits()))
	}
	return all
}
