// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"fmt"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
)

// TestPacketSizes: what goes to containers is as large as pays, what comes from them no larger than uplinks take, and a network's own
// size counts for both.
func TestPacketSizes(t *testing.T) {
	const plain, big = 65536, 196608
	size := func(v4, v6 int) control.PacketSize { return control.PacketSize{IPv4: v4, IPv6: v6} }
	internal := func(r *api.NetworkCreate) { r.Internal = true }
	option := func(value string) func(*api.NetworkCreate) {
		return func(r *api.NetworkCreate) { r.Options = map[string]string{api.OptionPacketSize: value} }
	}
	for _, c := range []struct {
		name     string
		change   func(*api.NetworkCreate)
		uplinks  []control.PacketSize
		routes6  bool
		to, from control.PacketSize
	}{
		{"an uplink that takes 64 KiB", option("auto"), []control.PacketSize{size(plain, plain)}, true, size(big, big), size(plain, plain)},
		{"an uplink that says nothing", option("auto"), []control.PacketSize{{}}, true, size(big, big), size(plain, plain)},
		{"an uplink that takes more", option("auto"), []control.PacketSize{size(100000, big)}, true, size(big, big), size(100000, big)},
		{"the least of all", option("auto"), []control.PacketSize{size(2*big, 90000), size(80000, 2*big)}, true, size(big, big), size(80000, 90000)},
		{"no uplink", option("auto"), nil, true, size(big, big), size(big, big)},
		{"internal", internal, []control.PacketSize{size(plain, plain)}, true, size(big, big), size(big, big)},
		{"IPv6 cannot be routed", option("auto"), nil, false, size(big, plain), size(big, plain)},
		{"a size of its own", option("131072"), []control.PacketSize{size(plain, plain)}, false, size(131072, 131072), size(131072, 131072)},
		{"off", option("65536"), []control.PacketSize{size(big, big)}, true, size(plain, plain), size(plain, plain)},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.links.ChangeHost(func(f *control.HostFacts) {
				f.Uplinks, f.RoutesBig6 = nil, c.routes6
				for i, s := range c.uplinks {
					f.Uplinks = append(f.Uplinks, control.UplinkFacts{Name: "up", Index: 2 + i, PacketSize: s})
				}
			})
			w.network("web", c.change)
			w.mustAttach("c1", "web")
			expect(t, "sizes", w.links.PacketSizes(), fmt.Sprintf("bridge %v, container %v %v", c.to, c.to, c.from))
		})
	}

	// A change of an uplink reaches containers that are there already, also those of a network made before there was such an option.
	w := newWorld(t)
	w.network("web")
	w.mustAttach("c1", "web")
	w.links.ChangeHost(func(f *control.HostFacts) { f.Uplinks[0].PacketSize = size(90000, 90000) })
	w.reconcile()
	want := fmt.Sprintf("bridge %v, container %v %v", size(big, plain), size(big, plain), size(90000, plain))
	expect(t, "after the uplink changed", w.links.PacketSizes(), want)
	w.restart()
	w.reconcile()
	expect(t, "after a restart", w.links.PacketSizes(), want)
}
