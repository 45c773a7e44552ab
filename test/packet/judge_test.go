// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
)

// place is where a packet arrives: at which program, and from whom: a
// container or an uplink.
type place struct{ prog, from string }

func allPlaces() []place {
	all := []place{{"from uplink", "eth0"}, {"from uplink", "eth1"}, {"to uplink", "eth0"}, {"to bridge", "eth0"}, {"to bridge", "d1"}}
	for _, c := range []string{"c1", "c2", "d1", "i1", "p1", "f1", "q1"} {
		all = append(all, place{"from container", c}, place{"to uplink", c})
	}
	return all
}

func (w *world) at(p place) (*ebpf.Program, skBuff) {
	from := uint32(0)
	if c := w.containers[p.from]; c != nil {
		from = c.ifindex
	}
	if u := w.uplinks[p.from]; u != nil {
		from = u.ifindex
	}
	switch p.prog {
	case "from container":
		return w.FromContainer, skBuff{Ifindex: from}
	case "from uplink":
		return w.FromUplink, skBuff{Ifindex: from}
	case "to bridge":
		return w.ToBridge, skBuff{Ifindex: w.containers["c1"].network.ifindex, IngressIfindex: from}
	}
	ctx := skBuff{Ifindex: w.uplinks["eth0"].ifindex}
	if c := w.containers[p.from]; c != nil {
		ctx.IngressIfindex = c.network.ifindex
	}
	return w.ToUplink, ctx
}

// judge sends any packet at all, and says what must not have happened.
func (w *world) judge(p place, frame []byte, gso uint32) error {
	prog, ctx := w.at(p)
	ctx.GSOSize = gso
	r, err := run(prog, frame, ctx)
	if tooShort(err, frame) {
		return nil
	}
	if err != nil {
		return err
	}
	switch r.verdict {
	case drop:
		return nil
	case next, redirect:
	default:
		return fmt.Errorf("verdict %d", r.verdict)
	}
	if r.verdict == redirect && isAnswer(frame, r.out) {
		return verify(r.out[ethLen:])
	}
	if len(r.out) != len(frame) {
		return fmt.Errorf("%d bytes became %d", len(frame), len(r.out))
	}
	if isIP(frame) && verify(frame[ethLen:]) == nil {
		if err := verify(r.out[ethLen:]); err != nil {
			return fmt.Errorf("checksums were right: %w in %x", err, r.out)
		}
	}
	return w.judgePath(p, frame, r)
}

// judgePath judges where a packet gets to.
func (w *world) judgePath(p place, frame []byte, r result) error {
	src, dst, ok := addresses(r.out)
	if !ok {
		return nil
	}
	to := w.networkOf(dst)
	if to != nil && (dst == to.gateway4 || dst == to.gateway6) {
		return nil // the host's own
	}
	switch p.prog {
	case "from container":
		own := w.containers[p.from].network
		switch {
		case r.verdict == next && to == nil:
			return w.judgeStack(place{"to uplink", p.from}, r.out)
		case to == nil && w.isPrivate(src):
			return fmt.Errorf("leaves with the address %s", src)
		case to != nil && to != own && !w.isHairpin(r.out):
			return fmt.Errorf("gets from %s to %s in %x", own.bridge, dst, r.out)
		}
	case "from uplink":
		if r.verdict == next && to != nil && !w.isRefused(r) {
			return w.judgeStack(place{"to bridge", p.from}, r.out)
		}
	case "to uplink":
		if w.isPrivate(src) {
			return fmt.Errorf("leaves with the address %s", src)
		}
	case "to bridge":
		if string(frame) != string(r.out) {
			return errors.New("was changed")
		}
	}
	return nil
}

// judgeStack judges what the stack makes of a packet that was left to it.
func (w *world) judgeStack(p place, frame []byte) error {
	prog, ctx := w.at(p)
	r, err := run(prog, frame, ctx)
	if err != nil {
		return err
	}
	if r.verdict == drop {
		return nil
	}
	src, dst, _ := addresses(r.out)
	if p.prog == "to uplink" && w.isPrivate(src) {
		return fmt.Errorf("leaves by way of the stack with the address %s", src)
	}
	if p.prog == "to bridge" && w.networkOf(dst) != nil && !w.hasStackFlow(r.out) {
		return fmt.Errorf("gets to %s by way of the stack", dst)
	}
	return nil
}

// judgeFlows checks that no session is in two halves.
func (w *world) judgeFlows(t testing.TB) {
	t.Helper()
	flows := w.flows(t)
	for k, v := range flows {
		pair, ok := flows[pairKey(k, v)]
		if !ok || pairKey(pairKey(k, v), pair) != k {
			t.Errorf("half a session: %s", describeFlow(k, v))
		}
	}
}

func isIP(frame []byte) bool {
	if len(frame) < ethLen+1 {
		return false
	}
	etherType, version := binary.BigEndian.Uint16(frame[12:]), frame[ethLen]>>4
	return etherType == etherIPv4 && version == 4 || etherType == etherIPv6 && version == 6
}

func addresses(frame []byte) (src, dst netip.Addr, ok bool) {
	if !isIP(frame) || len(frame) < ethLen+40 && frame[ethLen]>>4 == 6 || len(frame) < ethLen+20 {
		return src, dst, false
	}
	b := frame[ethLen:]
	if b[0]>>4 == 6 {
		return netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), true
	}
	return netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), true
}

// networkOf is the container network that an address is in.
func (w *world) networkOf(a netip.Addr) *network {
	for _, n := range w.networks {
		if n.subnet4.Contains(a) || n.subnet6.Contains(a) {
			return n
		}
	}
	return nil
}

// isPrivate tells whether an address must not be seen outside.
func (w *world) isPrivate(a netip.Addr) bool {
	n := w.networkOf(a)
	return n != nil && n.flags&masquerade != 0
}

// isHairpin tells whether a packet between networks belongs to the one port of
// the one container that is published, or is an error about such a packet.
func (w *world) isHairpin(frame []byte) bool {
	src, dst, _ := addresses(frame)
	l, err := dissect(frame[ethLen:])
	if err == nil && isError(l) {
		return true // judged by what it quotes in TestICMPError
	}
	c1 := w.containers["c1"]
	if err != nil || len(l.body) < 4 {
		return false
	}
	if dst == c1.addr4 || dst == c1.addr6 {
		return binary.BigEndian.Uint16(l.body[2:]) == 80
	}
	return binary.BigEndian.Uint16(l.body) == 8080 && w.networkOf(src) == nil
}

// isAnswer tells whether a packet has become an ICMP error about itself, to its
// sender.
func isAnswer(frame, out []byte) bool {
	if len(out) < ethLen+28 || len(frame) < ethLen+28 {
		return false
	}
	head := ethLen + 20 + 8
	if out[ethLen]>>4 == 6 {
		head = ethLen + 40 + 8
	}
	return len(out) > head && bytes.HasPrefix(frame[ethLen:], out[head:])
}

// isRefused tells whether the stack answers a packet rather than forward it.
func (w *world) isRefused(r result) bool {
	ttl := r.out[ethLen+8]
	if r.out[ethLen]>>4 == 6 {
		ttl = r.out[ethLen+7]
	}
	return ttl <= 1 || len(r.out) > ethLen+1500 || r.ctx.GSOSize > 0
}

// hasStackFlow tells whether the stack carries the session of a packet that it
// forwards to a container.
func (w *world) hasStackFlow(frame []byte) bool {
	l, err := dissect(frame[ethLen:])
	if err != nil || len(l.body) < 8 {
		return false
	}
	k := flowKey{Src: toAddr(l.dst), Dst: toAddr(l.src), Proto: l.proto}
	switch l.proto {
	case tcp, udp:
		k.Sport, k.Dport = binary.NativeEndian.Uint16(l.body[2:]), binary.NativeEndian.Uint16(l.body)
	default:
		k.Sport = binary.NativeEndian.Uint16(l.body[4:])
	}
	var v flowValue
	return w.Flows.Lookup(k, &v) == nil && v.Flags&8 != 0
}
