// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/rivals"
)

// clock makes sessions older than they are, so that nobody has to wait for their timers: their time stamps are turned
// back in the target's own table.
type clock interface {
	// age turns back the sessions that match.
	age(ctx context.Context, match func(src, dst netip.AddrPort) bool, by time.Duration) error
	// remaining is how long a session has left; false: it is gone.
	remaining(ctx context.Context, src, dst netip.AddrPort, proto uint8) (time.Duration, bool, error)
}

func (t *T) clock() clock {
	switch target := t.Target.(type) {
	case *rivals.Vethway:
		return vethwayClock{target}
	case *rivals.Iptables:
		return conntrackClock{t.Lab}
	}
	t.NotApplicable("it keeps no sessions")
	return nil
}

// Age makes sessions older.
func (t *T) Age(by time.Duration, sessions ...*Session) {
	t.must(t.clock().age(t.ctx, func(src, dst netip.AddrPort) bool {
		return slices.ContainsFunc(sessions, func(s *Session) bool {
			return src == s.Peer && (dst == s.In || dst == s.Ext) || dst == s.Peer && (src == s.In || src == s.Ext)
		})
	}, by))
}

// Remaining is how long a session has left.
func (t *T) Remaining(s *Session) (time.Duration, bool) {
	c := t.clock()
	for _, tuple := range [][2]netip.AddrPort{{s.In, s.Peer}, {s.Peer, s.Ext}} {
		left, known, err := c.remaining(t.ctx, tuple[0], tuple[1], proto(s.Kind, t.V4()))
		t.must(err)
		if known {
			return left, true
		}
	}
	return 0, false
}

// tick is what time stamps in whole seconds, and the time that a case takes, may make of a time.
const tick = 4 * time.Second

// LeftAbout wants a session to have about so long left.
func (t *T) LeftAbout(s *Session, want time.Duration, when string) {
	left, known := t.Remaining(s)
	if !known {
		t.Errorf("%s: the %s session is gone, want it to last %v more", when, s.Kind, want)
	} else if left < want-tick || left > want+tick {
		t.Errorf("%s: the %s session has %v left, want %v", when, s.Kind, left, want)
	}
}

// vethwayClock reads the times by the API, and turns them back in the pinned map.
type vethwayClock struct{ target *rivals.Vethway }

func (c vethwayClock) remaining(ctx context.Context, src, dst netip.AddrPort, proto uint8) (time.Duration, bool, error) {
	flows, err := c.target.Lab().Client.Flows(ctx, api.FlowFilter{Address: src.Addr(), Port: src.Port()})
	if err != nil {
		return 0, false, err
	}
	for _, f := range flows {
		if f.Original.Src == src && f.Original.Dst == dst && f.Protocol == maps.ProtocolName(proto) && !f.Stale {
			return time.Duration((f.TimeoutSeconds - f.IdleSeconds) * float64(time.Second)), true, nil
		}
	}
	return 0, false, nil
}

// entry is one of bpftool's.
type entry struct {
	Key   hexBytes `json:"key"`
	Value hexBytes `json:"value"`
}

// hexBytes are written as a list of strings, as bpftool does.
type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(text []byte) error {
	var list []string
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	for _, s := range list {
		v, err := strconv.ParseUint(s, 0, 8)
		if err != nil {
			return err
		}
		*h = append(*h, byte(v))
	}
	return nil
}

func (h hexBytes) String() string { return fmt.Sprintf("% x", []byte(h)) }

// table is one of the flow tables, as bpftool shows it: how long the addresses in front of a key are, and where the rest begins.
type table struct {
	name        string
	addr, ports uintptr
	seen        uintptr // in the value
}

func tables() []table {
	return []table{
		{bpf.VethwayMapFlows4, unsafe.Sizeof(bpf.VethwayFlow4Key{}.Src), unsafe.Offsetof(bpf.VethwayFlow4Key{}.Sport), unsafe.Offsetof(bpf.VethwayFlow4Value{}.Seen)},
		{bpf.VethwayMapFlows6, unsafe.Sizeof(bpf.VethwayFlowKey{}.Src), unsafe.Offsetof(bpf.VethwayFlowKey{}.Sport), unsafe.Offsetof(bpf.VethwayFlow6Value{}.Seen)},
	}
}

func (c vethwayClock) age(ctx context.Context, match func(src, dst netip.AddrPort) bool, by time.Duration) error {
	for _, t := range tables() {
		if err := c.ageTable(ctx, t, match, by); err != nil {
			return err
		}
	}
	return nil
}

func (c vethwayClock) ageTable(ctx context.Context, t table, match func(src, dst netip.AddrPort) bool, by time.Duration) error {
	path := maps.Paths{Root: c.target.Lab().Pins()}.Map(t.name)
	text, err := bpftool(ctx, "", "-j", "map", "dump", "pinned", path)
	if err != nil {
		return err
	}
	var entries []entry
	if err := json.Unmarshal([]byte(text), &entries); err != nil {
		return fmt.Errorf("read %s: %w", t.name, err)
	}
	var batch strings.Builder
	for _, e := range entries {
		if !match(t.tuple(e.Key)) {
			continue
		}
		seen := binary.NativeEndian.Uint32(e.Value[t.seen:]) - uint32(by/time.Second)
		binary.NativeEndian.PutUint32(e.Value[t.seen:], seen)
		fmt.Fprintf(&batch, "map update pinned %s key hex %s value hex %s exist\n", path, e.Key, e.Value)
	}
	if batch.Len() == 0 {
		return nil
	}
	_, err = bpftool(ctx, batch.String(), "batch", "file", "-")
	return err
}

// tuple reads a flow's key: two addresses, two ports.
func (t table) tuple(key []byte) (src, dst netip.AddrPort) {
	at := func(addr, port uintptr) netip.AddrPort {
		// The length is that of an address: it is one.
		a, _ := netip.AddrFromSlice(key[addr : addr+t.addr])
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(key[port:]))
	}
	return at(0, t.ports), at(t.addr, t.ports+2)
}

// conntrackClock asks the kernel's connection tracking.
type conntrackClock struct{ lab *Lab }

// tracked is a line of conntrack -L.
type tracked struct {
	family, proto string
	left          time.Duration
	src, dst      netip.AddrPort
}

// selector picks this one entry.
func (e tracked) selector() []string {
	s := []string{"-f", e.family, "-p", e.proto, "-s", e.src.Addr().String(), "-d", e.dst.Addr().String()}
	if strings.HasPrefix(e.proto, "icmp") {
		return append(s, "--"+e.proto+"-id", fmt.Sprint(e.src.Port()))
	}
	return append(s, "--sport", fmt.Sprint(e.src.Port()), "--dport", fmt.Sprint(e.dst.Port()))
}

func (c conntrackClock) list(ctx context.Context) ([]tracked, error) {
	var all []tracked
	for _, family := range []string{"ipv4", "ipv6"} {
		out, err := c.lab.Topology.Host.Run(ctx, "conntrack", "-L", "-f", family)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(out) {
			if e, ok := parseTracked(family, strings.Fields(line)); ok {
				all = append(all, e)
			}
		}
	}
	return all, nil
}

// parseTracked reads the protocol, the time left, and the original direction's tuple.
func parseTracked(family string, f []string) (tracked, bool) {
	if len(f) < 6 {
		return tracked{}, false
	}
	left, err := strconv.Atoi(f[2])
	if err != nil {
		return tracked{}, false
	}
	first := map[string]string{}
	for _, word := range f[3:] {
		if k, v, ok := strings.Cut(word, "="); ok && first[k] == "" {
			first[k] = v
		}
	}
	src, err1 := netip.ParseAddr(first["src"])
	dst, err2 := netip.ParseAddr(first["dst"])
	sport, _ := strconv.ParseUint(first["sport"]+first["id"], 10, 16)
	dport, _ := strconv.ParseUint("0"+first["dport"], 10, 16)
	return tracked{
		family: family, proto: f[0], left: time.Duration(left) * time.Second,
		src: netip.AddrPortFrom(src, uint16(sport)), dst: netip.AddrPortFrom(dst, uint16(dport)),
	}, err1 == nil && err2 == nil
}

func (c conntrackClock) remaining(ctx context.Context, src, dst netip.AddrPort, proto uint8) (time.Duration, bool, error) {
	all, err := c.list(ctx)
	for _, e := range all {
		if e.src == src && e.dst == dst && protoNumber(e.proto) == proto {
			return e.left, true, err
		}
	}
	return 0, false, err
}

func protoNumber(name string) uint8 {
	return map[string]uint8{"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}[name]
}

// age shortens what is left, and deletes what then has nothing left.
func (c conntrackClock) age(ctx context.Context, match func(src, dst netip.AddrPort) bool, by time.Duration) error {
	all, err := c.list(ctx)
	if err != nil {
		return err
	}
	for _, e := range all {
		if !match(e.src, e.dst) {
			continue
		}
		args := append([]string{"-D"}, e.selector()...)
		if left := e.left - by; left > 0 {
			args = append([]string{"-U", "-t", fmt.Sprint(int(left.Seconds()))}, e.selector()...)
		}
		if _, err := c.lab.Topology.Host.Run(ctx, "conntrack", args...); err != nil {
			return err
		}
	}
	return nil
}
