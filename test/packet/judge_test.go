// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
)

// place is where a packet arrives: at which program, and from whom: a
// container or an uplink.
type place struct{ prog, from string }

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
	case "from tun":
		return w.FromTun, skBuff{Ifindex: from}
	case "from detour":
		return w.FromDetour, skBuff{Ifindex: from}
	case "from cutter":
		return w.FromCutter, skBuff{Ifindex: from}
	case "from spliced":
		return cmp.Or(w.FromSpliced, w.FromContainer), skBuff{Ifindex: from}
	case "to bridge":
		return w.ToBridge, skBuff{Ifindex: w.containers["c1"].network.ifindex, IngressIfindex: from}
	}
	prog, ctx := w.ToUplink, skBuff{Ifindex: w.uplinks["eth0"].ifindex}
	if p.bare() {
		prog, ctx = w.ToTun, skBuff{Ifindex: w.uplinks["tun0"].ifindex}
	}
	if c := w.containers[p.from]; c != nil {
		ctx.IngressIfindex = c.network.ifindex
	}
	return prog, ctx
}

// bare tells whether frames have no link-layer header there. Those that are
// judged have one nevertheless, which nobody is shown.
func (p place) bare() bool { return strings.HasSuffix(p.prog, " tun") }

// kind is the program of which that of the place is a variant.
func (p place) kind() string {
	return strings.NewReplacer("tun", "uplink", "spliced", "container").Replace(p.prog)
}

// runAt sends a frame through the program of a place.
func (w *world) runAt(p place, frame []byte, ctx skBuff) (result, error) {
	prog, at := w.at(p)
	ctx.Ifindex, ctx.IngressIfindex = at.Ifindex, at.IngressIfindex
	in := frame
	if p.bare() {
		in = frame[min(ethLen, len(frame)):]
	}
	r, err := run(prog, in, ctx)
	if tooShort(err, in) {
		return result{verdict: drop}, nil
	}
	if err == nil && p.bare() && len(r.out) <= len(in) {
		r.out = slices.Concat(frame[:ethLen], r.out)
	}
	return r, err
}

// judge sends any packet at all, and says what must not have happened.
func (w *world) judge(p place, frame []byte, gso uint32) error {
	r, err := w.runAt(p, frame, skBuff{GSOSize: gso})
	if err != nil {
		return err
	}
	return w.judgeResult(p, frame, r)
}

func (w *world) judgeResult(p place, frame []byte, r result) error {
	switch r.verdict {
	case drop:
		return nil
	case next, redirect:
	default:
		return fmt.Errorf("verdict %d", r.verdict)
	}
	// A test run makes room behind the first 14 bytes, which a tun interface's packet has no header in: what is quoted there is seen by
	// the conformance suite only.
	if r.verdict == redirect && p.bare() && len(r.out) != len(frame) && !w.isDetour(r) {
		return nil
	}
	if r.verdict == redirect && isAnswer(frame, r.out) {
		return verifyAnswer(frame, r.out)
	}
	if w.isDetour(r) {
		// Without a link-layer header there was nothing of it.
		if from := either(p.bare(), 6, ethLen); !bytes.Equal(r.out[from:], frame[from:]) {
			return fmt.Errorf("takes the detour as %x", r.out)
		}
		return nil
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

// verifyAnswer checks an error's checksums. What it quotes is as right as it came.
func verifyAnswer(frame, out []byte) error {
	if verify(frame[ethLen:]) == nil {
		return verify(out[ethLen:])
	}
	l, err := dissect(out[ethLen:])
	return errors.Join(err, l.verify())
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
	switch p.kind() {
	case "from container":
		own := w.containers[p.from].network
		switch {
		case r.verdict == next && to == nil:
			return w.judgeStack(place{"to uplink", p.from}, r.out)
		case r.verdict == next && r.out[0]&1 != 0:
			return nil // flooded within its own network; the stack routes nothing that came by a frame to all
		case to == nil && w.isPrivate(src):
			return fmt.Errorf("leaves with the address %s", src)
		case to != nil && to != own && !w.isHairpin(r.out):
			return fmt.Errorf("gets from %s to %s in %x", own.bridge, dst, r.out)
		}
	case "from uplink":
		if r.verdict == redirect && (to == nil || to.flags&internal != 0) {
			return fmt.Errorf("gets to %s", dst)
		}
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
	r, err := w.runAt(p, frame, skBuff{})
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

// isAnswer tells whether a packet has become an ICMP error about itself, to its
// sender.
func isAnswer(frame, out []byte) bool {
	if len(out) < ethLen+28 || len(frame) < ethLen+28 {
		return false
	}
	// Any protocol may carry what looks like a quoted packet.
	head, proto := ethLen+20+8, out[ethLen+9] == icmp
	if out[ethLen]>>4 == 6 {
		head, proto = ethLen+40+8, out[ethLen+6] == icm6
	}
	return proto && len(out) > head && bytes.HasPrefix(frame[ethLen:], out[head:])
}

// isDetour tells whether a fragment is sent to where the kernel puts it
// together.
func (w *world) isDetour(r result) bool {
	var s bpf.VethwaySettingsValue
	return r.verdict == redirect && len(r.out) >= ethLen && w.Settings.Lookup(uint32(0), &s) == nil &&
		s.Detour != 0 && mac(r.out[:6]) == s.DetourMac
}

// isRefused tells whether the stack answers a packet rather than forward it.
func (w *world) isRefused(r result) bool {
	ttl := r.out[ethLen+8]
	if r.out[ethLen]>>4 == 6 {
		ttl = r.out[ethLen+7]
	}
	return ttl <= 1 || len(r.out) > ethLen+1500 || r.ctx.GSOSize > 0
}
