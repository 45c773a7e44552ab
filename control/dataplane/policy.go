// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
)

// policy is what the last Sync said of flows, for who judges them while another Sync runs. It is never changed. Before the
// first Sync, nobody has said how long flows live.
type policy struct {
	told     bool // by a Sync
	common   control.Timeouts
	networks map[uint16]control.Timeouts // those that have their own
	maxFlows uint32
	bindsTCP bool // TCP is bound, too
	places   places
}

func policyOf(want *control.DataplaneState) *policy {
	p := &policy{
		told: true, common: want.Timeouts, networks: make(map[uint16]control.Timeouts), maxFlows: want.MaxFlows, bindsTCP: want.BindTCP,
		places: placesOf(want),
	}
	if p.common == (control.Timeouts{}) {
		p.common = control.DefaultTimeouts()
	}
	for _, n := range want.Networks {
		if n.Timeouts != nil {
			p.networks[uint16(n.ID)] = *n.Timeouts
		}
	}
	return p
}

// timeouts of a network, or of the host's own flows.
func (p *policy) timeouts(network uint16) control.Timeouts {
	if own, ok := p.networks[network]; ok {
		return own
	}
	return p.common
}

// networkToJudge is the network of an entry, as far as that makes a difference to how long it lives: a scan asks hundreds of thousands
// of times.
func (p *policy) networkToJudge(key *maps.FlowKey, f *maps.Flow) uint16 {
	if len(p.networks) == 0 {
		return 0
	}
	return p.places.network(key, f)
}

// timeout of a session as it is now.
func (p *policy) timeout(s *session) time.Duration {
	t := p.timeouts(s.network)
	switch s.key.Proto {
	case unix.IPPROTO_TCP:
		if s.established() {
			return t.TCPEstablished
		}
		return t.TCPTransitory
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		return t.ICMP
	}
	if s.twoWay() {
		return t.UDPStream
	}
	return t.UDP
}

// keeps reports whether a packet of this entry's direction keeps its session. What arrives from outside does not keep what
// a container began: otherwise anybody could hold its mapping open (RFC 4787 REQ-6, RFC 7857 section 7).
func (p *policy) keeps(key *maps.FlowKey, f *maps.Flow) bool {
	return f.Kind != maps.FlowMasquerade || outbound(f) || p.timeouts(p.networkToJudge(key, f)).InboundRefresh
}

// rests reports whether the port of a session that is over by time is not to be given to anybody else yet: that of TCP which
// nobody saw being closed (RFC 6888 REQ-8). Where ports are bound, bindings rest instead.
func (p *policy) rests(s *session) bool {
	return s.key.Proto == unix.IPPROTO_TCP && !p.bindsTCP && s.holdsPort && !s.closed() && p.timeouts(s.network).PortRest > 0
}

// anyPortRests reports whether some network's ports do.
func (p *policy) anyPortRests() bool {
	for _, t := range p.networks {
		if t.PortRest > 0 {
			return true
		}
	}
	return p.common.PortRest > 0
}

// holdsPort reports whether an entry is the original one of a masqueraded session: its reply's tuple is a NAT port.
func holdsPort(f *maps.Flow) bool {
	return f.Kind == maps.FlowMasquerade && f.Flags&(maps.FlowNATSource|maps.FlowReply) == maps.FlowNATSource
}

// outbound tells the two entries of a masqueraded session apart: either side may have begun it, where a mapping lets
// everybody in.
func outbound(f *maps.Flow) bool {
	if f.Flags&maps.FlowReply != 0 {
		return f.Action == maps.FlowToUplink
	}
	return f.Flags&maps.FlowNATSource != 0
}

// holdsBinding reports whether an entry sends by a binding of its source's. Of those that somebody else began, only one
// that was answered does.
func (p *policy) holdsBinding(key *maps.FlowKey, f *maps.Flow) bool {
	switch {
	case f.Flags&maps.FlowRetired != 0 || key.Proto == unix.IPPROTO_TCP && !p.bindsTCP:
		return false
	case f.Flags&maps.FlowReply == 0:
		return f.Flags&maps.FlowNATSource != 0
	case f.Kind == maps.FlowHairpin:
		return f.Packets > 0
	}
	return f.Kind == maps.FlowMasquerade && f.Action == maps.FlowToUplink && f.Packets > 0
}
