// SPDX-License-Identifier: Apache-2.0

package link

import (
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

func needBigTCP4(t *testing.T) {
	t.Helper()
	behaviour.NeedLinux(t, 6, 3, "IPv4 packets beyond 64 KiB")
}

func (l *lab) wantSize(ns *netlab.Namespace, link string, want netlab.PacketSize) {
	l.Helper()
	got, err := ns.Link(link)
	if err != nil {
		l.Fatal(err)
	}
	if got.GSO != want {
		l.Errorf("%s in %s builds packets of %+v, want %+v", link, ns, got.GSO, want)
	}
}

// TestPacketSizes: what was asked for is set on all interfaces, also on a bridge that could not take it before it had a port, and again
// after somebody changed it.
func TestPacketSizes(t *testing.T) {
	behaviour.Covers(t, "R06", behaviour.Both)
	needBigTCP4(t)
	l := newLab(t)
	bridge := bridgeSpec()
	bridge.Send = control.PacketSize{IPv4: 196608, IPv6: 131072}
	l.bridge(bridge)
	l.wantSize(l.host, bridgeName, netlab.PacketSize{IPv4: 65536, IPv6: 65536})

	ns := newNamespace(t, "c2")
	e := endpointSpec(ns, 2)
	e.Send, e.Receive = control.PacketSize{IPv4: 80000, IPv6: 65536}, bridge.Send
	to, from := netlab.PacketSize{IPv4: 196608, IPv6: 131072}, netlab.PacketSize{IPv4: 80000, IPv6: 65536}
	check := func() {
		t.Helper()
		l.wantSize(l.host, bridgeName, to)
		l.wantSize(l.host, e.HostName, to)
		l.wantSize(ns, "eth0", from)
	}
	l.attach(e)
	check()
	for _, other := range []netlab.PacketSize{{IPv4: 65536, IPv6: 65536}, {IPv4: 524280, IPv6: 524280}} {
		for link, where := range map[string]*netlab.Namespace{bridgeName: l.host, e.HostName: l.host, "eth0": ns} {
			if err := where.SetPacketSize(link, other); err != nil {
				t.Fatal(err)
			}
		}
		l.bridge(bridge)
		l.attach(e)
		check()
	}

	// Down to 64 KiB and below what the kernel would set along.
	e.Send, e.Receive, bridge.Send = plain, plain, plain
	to, from = netlab.PacketSize{IPv4: 65536, IPv6: 65536}, netlab.PacketSize{IPv4: 65536, IPv6: 65536}
	l.bridge(bridge)
	l.attach(e)
	check()
}

var plain = control.PacketSize{IPv4: plainPacketSize, IPv6: plainPacketSize}

// TestUplinkPacketSize: the engine is told what an uplink takes.
func TestUplinkPacketSize(t *testing.T) {
	needBigTCP4(t)
	l := newLab(t)
	l.run(l.host, "ip link add up0 type veth peer name up1")
	if err := l.host.SetPacketSize("up0", netlab.PacketSize{IPv4: 100000, IPv6: 120000}); err != nil {
		t.Fatal(err)
	}
	facts, err := l.Host(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]control.PacketSize{}
	for _, u := range facts.Uplinks {
		got[u.Name] = u.PacketSize
	}
	if got["up0"] != (control.PacketSize{IPv4: 100000, IPv6: 120000}) || got["up1"] != plain {
		t.Errorf("uplinks take %+v", got)
	}
}

func TestSinceLinux7(t *testing.T) {
	for release, want := range map[string]bool{
		"6.1.0-18-amd64": false, "6.19.3": false, "7.0.0-rc1": true, "7.1": true, "10.2.0": true, "": false, "x.y": false,
	} {
		if got := sinceLinux7(release); got != want {
			t.Errorf("%q: %v, want %v", release, got, want)
		}
	}
}
