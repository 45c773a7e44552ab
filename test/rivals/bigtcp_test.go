// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"testing"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// TestBigTCP: the size is everywhere, and without the wrapper nowhere: a rival is compared as its users have it.
func TestBigTCP(t *testing.T) {
	behaviour.NeedRoot(t)
	for _, c := range []struct {
		name string
		make func() Target
	}{
		{"routing", func() Target { return NewRouting() }},
		{"direct", func() Target { return NewDirect() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			plain := setUp(t, c.make())
			plain.sizes(netlab.PacketSize{IPv4: 65536, IPv6: 65536})
			big := setUp(t, NewBigTCP(c.make()))
			big.sizes(bigPackets())
			if name := big.target.Name(); name != c.name+"-bigtcp" {
				t.Errorf("its name is %s", name)
			}
			at, err := big.target.Reach("c1", Port{HostPort: 8080, ContainerPort: 80, Proto: "tcp"}, IPv4)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := netlab.WhoAmI(t.Context(), big.topo.Remote, "tcp", at, netlab.WhoAmIOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func (l lab) sizes(want netlab.PacketSize) {
	l.Helper()
	seen := 0
	for _, ns := range []*netlab.Namespace{l.topo.Host, l.topo.Remote, l.target.Container("c1"), l.target.Container("d1")} {
		links, err := ns.Links()
		if err != nil {
			l.Fatal(err)
		}
		for _, link := range links {
			if link.Kind != "veth" && link.Kind != "bridge" {
				continue
			}
			seen++
			if link.GSO != want || link.GRO != want {
				l.Errorf("%s of %s builds packets of %v and takes %v together, want %v", link.Name, ns, link.GSO, link.GRO, want)
			}
		}
	}
	if seen < 4 {
		l.Errorf("only %d interfaces were looked at", seen)
	}
}
