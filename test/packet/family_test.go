// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"net/netip"
	"testing"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// The hooks and what they are to the tests.
const (
	atContainer = bpf.VethwayHookHOOK_FROM_CONTAINER
	atUplink    = bpf.VethwayHookHOOK_FROM_UPLINK
	toUplink    = bpf.VethwayHookHOOK_TO_UPLINK
	toBridge    = bpf.VethwayHookHOOK_TO_BRIDGE
	fromCutter  = bpf.VethwayHookHOOK_FROM_CUTTER
)

// remoteMAC is the next hop's, gone with the first rewrite of the frame.
var remoteMAC = mac{2, 0, 0, 0, 0, 3}

// family is one of the two, with the lab seen in it.
type family struct {
	*world
	name string // as package behaviour has it
	six  bool
}

// eachFamily runs f for IPv4 and for IPv6, each with a fresh world.
func eachFamily(t *testing.T, k knobs, f func(t *testing.T, w family)) {
	t.Helper()
	for _, name := range []string{behaviour.IPv4, behaviour.IPv6} {
		inLab(t, name, func(t *testing.T, l *lab) {
			f(t, family{world: newWorld(t, l, k), name: name, six: name == behaviour.IPv6})
		})
	}
}

// covers declares that the test proves behaviours in this family.
func (f family) covers(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		behaviour.Covers(t, id, f.name)
	}
}

// either is no, or, if so, yes.
func either[T any](so bool, no, yes T) T {
	if so {
		return yes
	}
	return no
}

func (f family) pick(v4, v6 netip.Addr) netip.Addr {
	return either(f.six, v4, v6)
}

func (f family) parse(v4, v6 string) netip.Addr {
	return f.pick(netip.MustParseAddr(v4), netip.MustParseAddr(v6))
}

func (f family) container(name string) netip.Addr {
	return f.pick(f.containers[name].addr4, f.containers[name].addr6)
}

func (f family) gateway(container string) netip.Addr {
	n := f.containers[container].network
	return f.pick(n.gateway4, n.gateway6)
}

func (f family) hostAddr(dev string) netip.Addr {
	return f.pick(f.uplinks[dev].host4, f.uplinks[dev].host6)
}

func (f family) host() netip.Addr   { return f.hostAddr("eth0") }
func (f family) remote() netip.Addr { return f.pick(f.topo.Remote4, f.topo.Remote6) }

// icmpProto is the ICMP of the family.
func (f family) icmpProto() byte {
	if f.six {
		return icm6
	}
	return icmp
}

// ping makes p an echo request with an identifier.
func (f family) ping(p packet, id uint16) packet {
	p.proto, p.kind, p.sport, p.dport, p.flags = icmp, 8, id, 0, 0
	if f.six {
		p.proto, p.kind = icm6, 128
	}
	return p
}

// from is a TCP SYN that a container sends to its gateway's MAC.
func (f family) from(name string, dst netip.Addr, sport, dport uint16) packet {
	c := f.containers[name]
	return packet{
		srcMAC: c.mac, dstMAC: c.network.mac, src: f.container(name), dst: dst, ttl: 64, id: 0x4321,
		proto: tcp, sport: sport, dport: dport, flags: syn, payload: []byte("hello"),
	}
}

// inbound is a TCP SYN that arrives at an uplink.
func (f family) inbound(dev string, src, dst netip.Addr, sport, dport uint16) packet {
	return packet{
		srcMAC: remoteMAC, dstMAC: f.uplinks[dev].mac, src: src, dst: dst, ttl: 60, id: 0x1234,
		proto: tcp, sport: sport, dport: dport, flags: syn, payload: []byte("hello"),
	}
}

// arriving is p as an uplink gets it.
func (f family) arriving(dev string, p packet) packet {
	p.srcMAC, p.dstMAC = remoteMAC, f.uplinks[dev].mac
	return p
}

// at is the context of a packet that comes from a container.
func (f family) at(name string) skBuff { return skBuff{Ifindex: f.containers[name].ifindex} }

// atUplink is the context of a packet at an uplink.
func (f family) atUplink(dev string) skBuff { return skBuff{Ifindex: f.uplinks[dev].ifindex} }

// outOf is p after it was sent to the outside: only the TTL has changed.
func outOf(p packet) *packet {
	p.ttl--
	return &p
}

// into is p after it was delivered to a container from elsewhere.
func (f family) into(name string, p packet) *packet {
	c := f.containers[name]
	p.srcMAC, p.dstMAC = c.network.mac, c.mac
	p.ttl--
	return &p
}

// routed runs do while dst is reached by a route of its own; src: from which
// address, if not the interface's.
func (f family) routed(t *testing.T, dst netip.Addr, dev string, via, src netip.Addr, do func()) {
	t.Helper()
	r := netlab.Route{Dst: netip.PrefixFrom(dst, dst.BitLen()), Via: via, Dev: dev, Src: src}
	check(t, f.lab.host.ReplaceRoute(r))
	defer func() { check(t, f.lab.host.DelRoute(r)) }()
	do()
}

// atBridge is the context of a packet that the stack sends to a container's
// network; from: the uplink or bridge that it came from, empty: the host.
func (f family) atBridge(container, from string) skBuff {
	ctx := skBuff{Ifindex: f.containers[container].network.ifindex}
	if u := f.uplinks[from]; u != nil {
		ctx.IngressIfindex = u.ifindex
	}
	if c := f.containers[from]; c != nil {
		ctx.IngressIfindex = c.network.ifindex
	}
	return ctx
}
