// SPDX-License-Identifier: Apache-2.0

package target

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

// direct is two namespaces and the veth pair that joins them. It stands for every scenario alike.
type direct struct {
	client, server *netlab.Namespace
}

const directDevice = "eth0"

type directEnd struct {
	addr4, addr6 netip.Prefix
}

func directClient() directEnd {
	return directEnd{netip.MustParsePrefix("192.0.2.3/24"), netip.MustParsePrefix("2001:db8:2::3/64")}
}

func directServer() directEnd {
	return directEnd{netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8:2::2/64")}
}

func newDirect(context.Context) (Site, error) {
	d := &direct{}
	if err := d.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("build target %s: %w", d.Name(), err), d.Close())
	}
	return d, nil
}

func (d *direct) build() (err error) {
	if d.client, err = netlab.NewNamespace(netlab.NamespaceConfig{Name: "bench-direct-client"}); err != nil {
		return err
	}
	if d.server, err = netlab.NewNamespace(netlab.NamespaceConfig{Name: "bench-direct-server"}); err != nil {
		return err
	}
	if err := d.client.AddVeth(directDevice, d.server, directDevice); err != nil {
		return err
	}
	from, to := directClient(), directServer()
	return errors.Join(
		d.client.AddAddr(directDevice, from.addr4), d.client.AddAddr(directDevice, from.addr6),
		d.server.AddAddr(directDevice, to.addr4), d.server.AddAddr(directDevice, to.addr6),
	)
}

func (d *direct) Name() string { return "direct" }

func (d *direct) Path(_ Scenario, _ string, f rivals.Family) (Path, error) {
	from, to := directClient().addr4, directServer().addr4
	if f == rivals.IPv6 {
		from, to = directClient().addr6, directServer().addr6
	}
	listen := netip.AddrPortFrom(to.Addr(), port)
	return Path{Client: d.client, Server: d.server, Listen: listen, Dial: listen, Peer: from.Addr()}, nil
}

// Proof needs no counter: there is nothing else in the two namespaces that traffic could go through.
func (d *direct) Proof(context.Context) (string, error) {
	for _, ns := range d.Namespaces() {
		links, err := ns.Links()
		if err != nil {
			return "", err
		}
		for _, link := range links {
			if link.Name != "lo" && link.Name != directDevice {
				return "", fmt.Errorf("prove the path of %s: %s has an interface %s", d.Name(), ns, link.Name)
			}
		}
	}
	return "one veth pair is the only way between client and server", nil
}

func (d *direct) Namespaces() []*netlab.Namespace { return []*netlab.Namespace{d.client, d.server} }

func (d *direct) Close() error {
	var errs []error
	for _, ns := range d.Namespaces() {
		if ns != nil {
			errs = append(errs, ns.Close())
		}
	}
	return errors.Join(errs...)
}
