// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"testing"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// TestPortsOfTheGoneRest: nobody else gets the external port of a container that is gone until it is collected (RFC 6888
// REQ-8), whatever arrives for it meanwhile; who has its address may have it.
func TestPortsOfTheGoneRest(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N16")
		defer func() { check(t, f.Settings.Put(uint32(0), bpf.VethwaySettingsValue{})) }()
		for name, tc := range map[string]struct {
			proto    byte
			settings maps.SettingsFlags
			seen     byte // TCP flags of the last packet
			rests    bool
		}{
			"udp":                {udp, maps.SettingPortsRest, 0, true},
			"tcp":                {tcp, maps.SettingPortsRest, ack, true},
			"bound tcp":          {tcp, maps.SettingPortsRest | maps.SettingBindTCP, ack, true},
			"tcp that was reset": {tcp, maps.SettingPortsRest, rst, false},
			"udp, without rest":  {udp, 0, 0, false},
			"tcp, without rest":  {tcp, 0, ack, false},
		} {
			f.clear(t)
			check(t, f.Settings.Put(uint32(0), bpf.VethwaySettingsValue{Flags: uint32(tc.settings)}))
			from := func(container string) packet {
				p := f.from(container, f.remote(), 5000, 80)
				p.proto = tc.proto
				return p
			}
			gone := from("c1")
			if got := f.external(t, "c1", gone); got != 5000 {
				t.Fatalf("%s: port 5000 became %d", name, got)
			}
			if tc.seen != 0 {
				last := gone
				last.flags = tc.seen
				_, err := run(f.FromContainer, last.bytes(), f.at("c1"))
				check(t, err)
			}
			f.setGeneration(t, f.containers["c1"].slot, generation+1)
			late := f.inbound("eth0", f.remote(), f.host(), 80, 5000)
			late.proto, late.flags = tc.proto, ack
			if r, err := run(f.FromUplink, late.bytes(), f.atUplink("eth0")); err != nil || r.verdict == redirect {
				t.Errorf("%s: what arrives for the one that is gone: %s, %v", name, verdictName(r.verdict), err)
			}
			if kept := f.external(t, "c2", from("c2")) == 5000; kept == tc.rests {
				t.Errorf("%s: another container gets the port: %v", name, kept)
			}
			check(t, f.renew("c1", generation+1))
			got := f.external(t, "c1", gone)
			if back := got == 5000; back != tc.rests {
				t.Errorf("%s: who has the address now gets port %d", name, got)
			}
			f.setGeneration(t, f.containers["c1"].slot, generation)
			check(t, f.renew("c1", generation))
		}
	})
}
