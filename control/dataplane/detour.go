// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/maps"
)

// planDetour comes after the settings. The programs are told of the detour by useDetour, when it is complete.
func (d *Dataplane) planDetour(p *plan, detour control.DetourInfo) error {
	if detour.Index == 0 {
		return nil
	}
	mac, err := maps.MACOf(detour.MAC)
	if err != nil {
		return err
	}
	p.detour = detour
	have := d.settings.have[0]
	if have.Detour == uint32(detour.Index) && have.DetourMAC == mac {
		s := p.settings[0]
		s.Detour, s.DetourMAC = have.Detour, have.DetourMAC
		p.settings[0] = s
	}
	p.interfaces = append(p.interfaces, loader.Interface{
		Index: detour.Index, Kind: loader.Detour, New: have.Detour != uint32(detour.Index), Optional: true,
	})
	return nil
}

// useDetour has the kernel put fragments together behind the detour, and sends the programs there. Without it what comes out of order is
// dropped, which is no reason to fail whatever else a Sync is for.
func (d *Dataplane) useDetour(p *plan, attached bool) error {
	s, ns := p.settings[0], p.detour.Namespace
	if p.detour.Index == 0 && !d.detoured {
		return nil
	}
	err := d.loader.Defragment(ns.Path, ns.Cookie)
	d.detoured = p.detour.Index != 0
	switch {
	case err != nil:
		if d.detourError != err.Error() {
			d.log.Warn("fragments out of order are dropped", "error", err)
		}
		d.detourError = err.Error()
		s.Detour, s.DetourMAC = 0, maps.MAC{}
	case d.detoured && attached:
		d.detourError = ""
		s.Detour, s.DetourMAC = uint32(p.detour.Index), maps.MAC(p.detour.MAC)
	}
	return d.settings.add(map[uint32]maps.Settings{0: s})
}
