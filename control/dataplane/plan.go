// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"net/netip"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/maps"
)

// plan is what everything in the kernel should be.
type plan struct {
	networks   map[uint32]maps.Network
	addresses  map[netip.Prefix]maps.Address
	uplinks    map[uint32]maps.Uplink
	endpoints  map[netip.Addr]maps.Endpoint
	veths      map[uint32]maps.Veth
	shortcuts  map[uint32]maps.Shortcut
	published  publishedPlan
	slots      slotPlan
	hostPorts  map[uint32]bool // those that sockets of the host are bound to
	settings   map[uint32]maps.Settings
	guards     map[uint32]maps.Guard
	denied     map[netip.Prefix]maps.Denial
	splice     map[uint32]maps.SplicedAddress // by network: what its addresses have in common
	spliced    map[netip.Addr]maps.SplicedAddress
	detour     control.DetourInfo
	cutter     control.CutterInfo
	interfaces []loader.Interface
}

// plan works out what the maps should hold. Endpoints and published ports that are still the same ones keep their slots;
// nothing is written yet.
func (d *Dataplane) plan(want *control.DataplaneState) (*plan, error) {
	p := &plan{
		networks:  make(map[uint32]maps.Network, len(want.Networks)),
		addresses: make(map[netip.Prefix]maps.Address, len(want.Locals)+len(want.Networks)),
		uplinks:   make(map[uint32]maps.Uplink, len(want.Uplinks)),
		endpoints: make(map[netip.Addr]maps.Endpoint, len(want.Endpoints)),
		veths:     make(map[uint32]maps.Veth, len(want.Endpoints)),
		slots:     slotPlan{all: newSlotSet(d.slots.taken.len())},
		hostPorts: make(map[uint32]bool, len(want.HostPorts)),
		splice:    make(map[uint32]maps.SplicedAddress),
		spliced:   make(map[netip.Addr]maps.SplicedAddress),
	}
	gateways := make(map[netip.Addr]uint32)
	for _, n := range want.Networks {
		if err := d.planNetwork(p, n, gateways); err != nil {
			return nil, fmt.Errorf("network %d: %w", n.ID, err)
		}
	}
	for _, prefix := range want.Locals {
		p.planLocal(prefix, gateways)
	}
	if err := p.planGuard(want); err != nil {
		return nil, err
	}
	for _, u := range want.Uplinks {
		d.planUplink(p, u)
	}
	for _, e := range want.Endpoints {
		if err := d.planEndpoint(p, e); err != nil {
			return nil, fmt.Errorf("endpoint on interface %d: %w", e.HostIndex, err)
		}
	}
	p.planShortcuts()
	if err := d.planPublished(p, want.Published); err != nil {
		return nil, err
	}
	for _, port := range want.HostPorts {
		p.hostPorts[maps.PortIndex(port.Proto, port.Port)] = true
	}
	p.planSettings(want)
	if err := d.planDetour(p, want.Detour); err != nil {
		return nil, fmt.Errorf("detour for fragments: %w", err)
	}
	if err := d.planCutter(p, want.Cutter); err != nil {
		return nil, fmt.Errorf("namespace that cuts datagrams up: %w", err)
	}
	return p, nil
}

// planSettings comes after the networks.
func (p *plan) planSettings(want *control.DataplaneState) {
	s := maps.Settings{MaxFlows: want.MaxFlows, MaxRate: want.MaxFlowRate}
	if want.BindTCP {
		s.Flags |= maps.SettingBindTCP
	}
	for _, n := range p.networks {
		if n.Flags&maps.NetworkAnyRemote != 0 {
			s.Flags |= maps.SettingAnyRemote
		}
	}
	if policyOf(want).anyPortRests() {
		s.Flags |= maps.SettingPortsRest
	}
	p.settings = map[uint32]maps.Settings{0: s}
}

func (d *Dataplane) planNetwork(p *plan, n control.DataplaneNetwork, gateways map[netip.Addr]uint32) error {
	mac, err := maps.MACOf(n.BridgeMAC)
	if err != nil {
		return err
	}
	if n.ID == 0 || n.ID > math.MaxUint16 || n.MTU < 0 || n.MTU > math.MaxUint16 || n.BridgeIndex <= 0 {
		return fmt.Errorf("bridge %d with MTU %d cannot be", n.BridgeIndex, n.MTU)
	}
	if _, twice := p.networks[n.ID]; twice {
		return errors.New("there are two of that number")
	}
	v := maps.Network{
		Bridge: uint32(n.BridgeIndex), Flags: networkFlags(n), MTU: uint16(n.MTU), BridgeMAC: mac, SNAT4: n.SNAT4, SNAT6: n.SNAT6,
	}
	for _, gateway := range n.Gateways {
		gateways[gateway] = n.ID
		if gateway.Is4() {
			v.Gateway4 = gateway
		} else {
			v.Gateway6 = gateway
		}
	}
	for _, subnet := range n.Subnets {
		p.addresses[subnet.Masked()] = maps.Address{Kind: maps.AddressSubnet, Network: n.ID}
	}
	p.networks[n.ID] = v
	if err := p.planSplice(n); err != nil {
		return err
	}
	have, same := d.networks.have[n.ID]
	p.attach(n.BridgeIndex, loader.Bridge, !same || have != v)
	return nil
}

func networkFlags(n control.DataplaneNetwork) maps.NetworkFlags {
	var flags maps.NetworkFlags
	for flag, on := range map[maps.NetworkFlags]bool{
		maps.NetworkInternal: n.Internal, maps.NetworkNoICC: n.NoICC,
		maps.NetworkMasquerade4: n.Masquerade4, maps.NetworkMasquerade6: n.Masquerade6, maps.NetworkAnyRemote: n.AnyRemote,
	} {
		if on {
			flags |= flag
		}
	}
	return flags
}

func (p *plan) planLocal(prefix netip.Prefix, gateways map[netip.Addr]uint32) {
	v := maps.Address{Kind: maps.AddressLocal}
	if prefix.IsSingleIP() {
		v.Network = gateways[prefix.Addr()]
	}
	p.addresses[prefix.Masked()] = v
}

func (d *Dataplane) planUplink(p *plan, u control.DataplaneUplink) {
	v := maps.Uplink{MTU: uint32(u.MTU)}
	for _, a := range u.Addrs {
		switch {
		case a.Is4() && !v.Addr4.IsValid():
			v.Addr4 = a
		case a.Is6() && !v.Addr6.IsValid():
			v.Addr6 = a
		}
	}
	p.uplinks[uint32(u.Index)] = v
	kind := loader.Tun
	if u.Ethernet {
		kind = loader.Ethernet
	}
	_, same := d.uplinks.have[uint32(u.Index)]
	p.interfaces = append(p.interfaces, loader.Interface{
		Index: u.Index, Kind: kind, Guard: p.guardOf(u), New: !same, Optional: true,
	})
}

func (d *Dataplane) planEndpoint(p *plan, e control.DataplaneEndpoint) error {
	mac, err := maps.MACOf(e.MAC)
	if err != nil {
		return err
	}
	network, ok := p.networks[e.Network]
	if !ok {
		return fmt.Errorf("its network %d is unknown", e.Network)
	}
	index := uint32(e.HostIndex)
	if _, twice := p.veths[index]; twice || e.HostIndex <= 0 {
		return fmt.Errorf("interface %d cannot be its own", e.HostIndex)
	}
	have := d.veths.have[index]
	slot, generation, err := d.slot(&p.slots, have.Slot, have.Generation, endpointDigest(e))
	if err != nil {
		return err
	}
	veth := maps.Veth{
		Slot: slot, Generation: generation, Bridge: network.Bridge, Network: uint16(e.Network), MTU: network.MTU,
		MAC: mac, BridgeMAC: network.BridgeMAC, Flags: network.Flags,
	}
	for _, a := range e.Addrs {
		if !plain(a) {
			return fmt.Errorf("%s cannot be its address", a)
		}
		if owner, twice := p.endpoints[a]; twice {
			return fmt.Errorf("%s is also on interface %d", a, owner.Index)
		}
		if a.Is4() {
			veth.Addr4 = a
		} else {
			veth.Addr6 = a
		}
		p.endpoints[a] = maps.Endpoint{
			Index: index, Slot: slot, Generation: generation, Network: uint16(e.Network), MTU: network.MTU,
			MAC: mac, BridgeMAC: network.BridgeMAC, AlsoOn: maps.AlsoOn(e.AlsoOn),
		}
	}
	p.veths[index] = veth
	p.attach(e.HostIndex, p.spliceEndpoint(e, slot, generation), have.Slot != slot)
	return nil
}

// attach asks for programs on an interface of ours. One that was there before may have gone with its container, which
// the engine is about to hear of; that is no reason to fail whatever else this Sync is for.
func (p *plan) attach(index int, kind loader.Kind, isNew bool) {
	p.interfaces = append(p.interfaces, loader.Interface{Index: index, Kind: kind, New: isNew, Optional: !isNew})
}

// plain reports whether an address is one as control.DataplaneState has them.
func plain(a netip.Addr) bool { return a.IsValid() && !a.Is4In6() && a.Zone() == "" }

// endpointDigest stands for an incarnation of an endpoint, and for the facts that its flows rely on.
func endpointDigest(e control.DataplaneEndpoint) uint64 {
	b := make([]byte, 0, 128)
	b = append(append(b, e.Incarnation...), 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(e.HostIndex))
	b = binary.LittleEndian.AppendUint32(b, e.Network)
	b = append(b, e.MAC...)
	for _, a := range e.Addrs {
		b = append(a.AppendTo(b), 0)
	}
	return digest(b)
}

// digest is never 0, which stands for a slot that is free.
func digest(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b) // never fails
	return max(h.Sum64(), 1)
}
