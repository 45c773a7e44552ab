// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"testing"

	"github.com/vethway/vethway/bpf"
)

// bothWays runs f with shortcuts and without.
func bothWays(t *testing.T, f func(t *testing.T, w family)) {
	t.Helper()
	t.Run("by shortcuts", func(t *testing.T) { eachFamily(t, knobs{}, f) })
	t.Run("the long way", func(t *testing.T) { eachFamily(t, knobs{longWay: true}, f) })
}

// Nothing but shortcuts is asked where they are enough, and they are not
// trusted where something else has to be asked.
func TestShortcuts(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		c1, c2 := f.containers["c1"], f.containers["c2"]
		in := f.from("c1", f.container("c2"), 5000, 80)
		in.dstMAC = c2.mac
		long := step{prog: f.FromContainer, in: in, ctx: f.at("c1"), verdict: drop, hook: atContainer,
			reason: bpf.VethwayDropReasonDROP_UNKNOWN_ENDPOINT}
		// Who goes the long way now is found out.
		check(t, f.Veths.Delete(c1.ifindex))
		f.run(t, "by shortcuts alone", step{prog: f.FromContainer, in: in, ctx: f.at("c1"), verdict: redirect, out: &in})

		to, from := f.endpointShortcut("c2"), f.endpointShortcut("c1")
		with := func(v bpf.VethwayShortcutValue, change func(*bpf.VethwayShortcutValue)) bpf.VethwayShortcutValue {
			change(&v)
			return v
		}
		for name, v := range map[string]bpf.VethwayShortcutValue{
			"the receiver has none":          {},
			"somebody else's place":          with(to, func(v *bpf.VethwayShortcutValue) { v.Addr.B[15]++ }),
			"the host's":                     with(to, func(v *bpf.VethwayShortcutValue) { v.Kind = shortcutHost }),
			"of another network":             with(to, func(v *bpf.VethwayShortcutValue) { v.Network++ }),
			"the receiver is another by now": with(to, func(v *bpf.VethwayShortcutValue) { v.Generation-- }),
		} {
			f.shortcut(t, f.container("c2"), v)
			f.run(t, name, long)
		}
		f.shortcut(t, f.container("c2"), to)
		for name, v := range map[string]bpf.VethwayShortcutValue{
			"the sender has none":              {},
			"the sender is somewhere else":     with(from, func(v *bpf.VethwayShortcutValue) { v.Ifindex++ }),
			"the sender's MAC is another":      with(from, func(v *bpf.VethwayShortcutValue) { v.Mac[5]++ }),
			"the network keeps them apart":     with(from, func(v *bpf.VethwayShortcutValue) { v.Flags |= noICC }),
			"the sender is of another network": with(from, func(v *bpf.VethwayShortcutValue) { v.Network++ }),
		} {
			f.shortcut(t, f.container("c1"), v)
			f.run(t, name, long)
		}
		f.shortcut(t, f.container("c1"), from)
		check(t, f.Hairpins.Put(uint32(c1.network.id), uint32(1)))
		f.run(t, "the network has hairpins", long)
		check(t, f.Hairpins.Put(uint32(c1.network.id), uint32(0)))
		all := in
		all.dstMAC = broadcast
		flooded := long
		flooded.in = all
		f.run(t, "to everybody's MAC", flooded)
		f.run(t, "and again", step{prog: f.FromContainer, in: in, ctx: f.at("c1"), verdict: redirect, out: &in})
	})
}

func (f family) endpointShortcut(name string) bpf.VethwayShortcutValue {
	c := f.containers[name]
	return bpf.VethwayShortcutValue{
		Addr: toAddr(f.container(name)), Kind: shortcutEndpoint, Ifindex: c.ifindex, Slot: c.slot, Generation: generation,
		Network: c.network.id, Mac: c.mac, Flags: c.network.flags,
	}
}
