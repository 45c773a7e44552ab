// SPDX-License-Identifier: Apache-2.0

package netlab

import "net/netip"

// ForeignBridge is a bridge on the host that is not ours, with a guest behind
// it, as libvirt or another Docker would have made it.
type ForeignBridge struct {
	Dev            string
	Guest          *Namespace
	Addr4, Addr6   netip.Addr // of the bridge
	Guest4, Guest6 netip.Addr
}

// AddForeignBridge gives the host the bridge virbr0 with 192.168.122.1/24 and
// fd7a:122::1/64, and a guest at .2 and ::2 whose default routes go through it.
func (t *Topology) AddForeignBridge() (*ForeignBridge, error) {
	guest, err := t.AddContainer("guest")
	if err != nil {
		return nil, err
	}
	b := &ForeignBridge{
		Dev: "virbr0", Guest: guest,
		Addr4: netip.MustParseAddr("192.168.122.1"), Addr6: netip.MustParseAddr("fd7a:122::1"),
		Guest4: netip.MustParseAddr("192.168.122.2"), Guest6: netip.MustParseAddr("fd7a:122::2"),
	}
	steps := []func() error{
		func() error { return t.Host.AddBridge(b.Dev) },
		func() error { return t.Host.AddAddr(b.Dev, netip.PrefixFrom(b.Addr4, 24)) },
		func() error { return t.Host.AddAddr(b.Dev, netip.PrefixFrom(b.Addr6, 64)) },
		func() error { return t.Host.AddVeth("vnet0", guest, "eth0") },
		func() error { return t.Host.SetMaster("vnet0", b.Dev) },
		func() error { return t.Host.WaitUp(b.Dev) },
		func() error { return guest.AddAddr("eth0", netip.PrefixFrom(b.Guest4, 24)) },
		func() error { return guest.AddAddr("eth0", netip.PrefixFrom(b.Guest6, 64)) },
		func() error { return guest.AddDefaultRoutes(b.Addr4, b.Addr6) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return b, nil
}
