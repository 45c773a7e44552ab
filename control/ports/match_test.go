// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/vethway/vethway/control/api"
	"pgregory.net/rapid"
)

// TestIndexFindsWhatMatches: looking at a few bindings finds the same as looking at all.
func TestIndexFindsWhatMatches(t *testing.T) {
	port := rapid.OneOf(rapid.Uint16Range(0, 12), rapid.Just(uint16(65535)))
	addr := rapid.SampledFrom([]netip.Addr{any4, any6, netip.MustParseAddr("192.0.2.1")})
	protocol := rapid.SampledFrom([]string{api.TCP, api.UDP})
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Binding {
			return Binding{
				HostIP: addr.Draw(t, "address"), HostPort: port.Draw(t, "host port"),
				Protocol: protocol.Draw(t, "protocol"), ContainerPort: port.Draw(t, "container port"),
			}
		}), 0, 30).Draw(t, "bindings")
		s := api.PublishSpec{
			HostPort: port.Draw(t, "host first"), HostPortEnd: port.Draw(t, "host last"),
			ContainerPort: port.Draw(t, "container first"), ContainerPortEnd: port.Draw(t, "container last"),
			Protocol: rapid.SampledFrom([]string{"", api.TCP, api.UDP}).Draw(t, "spec's protocol"),
		}
		if rapid.Bool().Draw(t, "with an address") {
			s.HostIP = addr.Draw(t, "spec's address")
		}
		var want []Binding
		for _, b := range all {
			if Match(s, b) {
				want = append(want, b)
			}
		}
		got := NewIndex(all).Match(s)
		if !sameBindings(got, want) {
			t.Fatalf("%+v of %v:\ngot  %v\nwant %v", s, all, got, want)
		}
	})
}

func sameBindings(a, b []Binding) bool {
	count := map[Binding]int{}
	for _, x := range a {
		count[x]++
	}
	for _, x := range b {
		count[x]--
	}
	return len(a) == len(b) && !slices.ContainsFunc(b, func(x Binding) bool { return count[x] != 0 })
}

// BenchmarkIndex withdraws every port there is, one spec each.
func BenchmarkIndex(b *testing.B) {
	const n = 65535
	all := make([]Binding, n)
	for i := range all {
		all[i] = Binding{HostIP: any4, HostPort: uint16(i + 1), Protocol: api.TCP, ContainerPort: uint16(i + 1)}
	}
	for b.Loop() {
		x := NewIndex(all)
		for i := range all {
			if len(x.Match(api.PublishSpec{HostPort: uint16(i + 1), ContainerPort: uint16(i + 1)})) != 1 {
				b.Fatal("not found")
			}
		}
	}
}
