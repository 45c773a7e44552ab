// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/maps"
)

// planCutter comes after the settings. The programs are told of the cutter by useCutter, when what it sends back is taken in.
func (d *Dataplane) planCutter(p *plan, cutter control.CutterInfo) error {
	if cutter.Index == 0 {
		return nil
	}
	mac, err := maps.MACOf(cutter.MAC)
	if err != nil {
		return err
	}
	p.cutter = cutter
	have := d.settings.have[0]
	same := have.Cutter == uint32(cutter.Index) && have.CutterMAC == mac
	if same {
		s := p.settings[0]
		s.Cutter, s.CutterMAC = have.Cutter, have.CutterMAC
		p.settings[0] = s
	}
	p.interfaces = append(p.interfaces, loader.Interface{Index: cutter.Index, Kind: loader.Cutter, New: !same, Optional: true})
	return nil
}

// useCutter sends the programs there.
func (d *Dataplane) useCutter(p *plan, attached bool) error {
	if p.cutter.Index == 0 || !attached {
		return nil
	}
	s := p.settings[0]
	s.Cutter, s.CutterMAC = uint32(p.cutter.Index), maps.MAC(p.cutter.MAC)
	p.settings[0] = s
	return d.settings.add(p.settings)
}
