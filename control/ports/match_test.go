// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/vethway/vethway/control/api"
	"pgregory.net/rapid"
)

// each spells a binding out, port by port.
func each(b Binding) []Binding {
	var out []Binding
	for i := range b.Len() {
		out = append(out, b.Part(i, 1))
	}
	return out
}

// matches is Match as it reads, for a single port.
func matches(s api.PublishSpec, b Binding) bool {
	if s.Protocol != "" && s.Protocol != b.Protocol || s.Protocol == "" && b.Protocol != api.TCP || s.HostIP.IsValid() && s.HostIP != b.HostIP {
		return false
	}
	in := func(port, first, last uint16) bool { return port == first || port > first && port <= last }
	containers, hosts := span(s.ContainerPort, s.ContainerPortEnd), span(s.HostPort, s.HostPortEnd)
	switch {
	case s.ContainerPort != 0 && (containers < 1 || !in(b.ContainerPort, s.ContainerPort, s.ContainerPortEnd)):
		return false
	case s.HostPort == 0:
		return true
	case s.ContainerPort != 0 && containers == hosts:
		return b.HostPort-s.HostPort == b.ContainerPort-s.ContainerPort
	}
	return hosts >= 1 && in(b.HostPort, s.HostPort, s.HostPortEnd)
}

func TestSelectionIsWhatMatches(t *testing.T) {
	port := rapid.OneOf(rapid.Uint16Range(0, 12), rapid.Just(uint16(65535)))
	addr := rapid.SampledFrom([]netip.Addr{any4, any6, netip.MustParseAddr("192.0.2.1")})
	protocol := rapid.SampledFrom([]string{api.TCP, api.UDP})
	rapid.Check(t, func(t *rapid.T) {
		table := NewTable(nil)
		var all []Binding
		for range rapid.IntRange(0, 20).Draw(t, "bindings") {
			b := Binding{
				HostIP: addr.Draw(t, "address"), HostPort: rapid.Uint16Range(1, 12).Draw(t, "host port"),
				Protocol: protocol.Draw(t, "protocol"), ContainerPort: rapid.Uint16Range(1, 12).Draw(t, "container port"),
				More: rapid.Uint16Range(0, 5).Draw(t, "more"),
			}
			if table.Enter("c", []Binding{b}) == nil {
				all = append(all, b)
			}
		}
		x := Select(all)
		want := map[Binding]bool{}
		for range rapid.IntRange(0, 3).Draw(t, "specs") {
			s := api.PublishSpec{
				HostPort: port.Draw(t, "host first"), HostPortEnd: port.Draw(t, "host last"),
				ContainerPort: port.Draw(t, "container first"), ContainerPortEnd: port.Draw(t, "container last"),
				Protocol: rapid.SampledFrom([]string{"", api.TCP, api.UDP}).Draw(t, "spec's protocol"),
			}
			if rapid.Bool().Draw(t, "with an address") {
				s.HostIP = addr.Draw(t, "spec's address")
			}
			any := false
			for _, b := range all {
				for _, one := range each(b) {
					if matches(s, one) {
						want[one], any = true, true
					}
				}
			}
			if found := x.Add(s); found != any {
				t.Fatalf("%+v of %v: found %v", s, all, found)
			}
		}
		for i, b := range all {
			var again []Binding
			x.Split(i, func(part Binding, chosen bool) {
				for _, one := range each(part) {
					if again = append(again, one); chosen != want[one] {
						t.Fatalf("%v of %v: chosen %v", one, all, chosen)
					}
				}
			})
			if !slices.Equal(again, each(b)) {
				t.Fatalf("%v falls into %v", b, again)
			}
		}
	})
}

func TestJoining(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var joined, single []Binding
		for range rapid.IntRange(0, 12).Draw(t, "bindings") {
			b := Binding{
				HostIP: rapid.SampledFrom([]netip.Addr{any4, any6}).Draw(t, "address"), HostPort: rapid.Uint16Range(1, 5).Draw(t, "host port"),
				Protocol: api.TCP, ContainerPort: rapid.Uint16Range(1, 3).Draw(t, "container port"), More: rapid.Uint16Range(0, 2).Draw(t, "more"),
			}
			joined = appendJoined(joined, b)
			single = append(single, each(b)...)
		}
		var again []Binding
		for _, b := range joined {
			again = append(again, each(b)...)
		}
		count := map[Binding]int{}
		for _, b := range single {
			count[b]++
		}
		for _, b := range again {
			count[b]--
		}
		for b, n := range count {
			if n != 0 {
				t.Fatalf("%v: %d too few of %v in %v", single, n, b, joined)
			}
		}
	})
}

func BenchmarkSelect(b *testing.B) {
	const n = 65535
	for name, step := range map[string]uint16{"one run": 0, "scattered": 1} {
		var all []Binding
		for i := range uint16(n) {
			all = appendJoined(all, Binding{HostIP: any4, HostPort: i + 1, Protocol: api.TCP, ContainerPort: (i + 1) ^ step})
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				x := Select(all)
				for i := range uint16(n) {
					if !x.Add(api.PublishSpec{HostPort: i + 1}) {
						b.Fatal("not found")
					}
				}
			}
		})
	}
}
