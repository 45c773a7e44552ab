// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"errors"
	"fmt"
	"net"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// shot is a packet of a fuzz target: what arrives where, and how. A byte each
// says where, and what is done to the packet.
type shot struct {
	prog string
	from byte // counts sources
	how  byte // see below
	gso  uint16
	ip   []byte
}

const (
	howARP     = 1    // the EtherType is ARP's
	howOther   = 2    // the EtherType is that of the other family
	howRaw     = 3    // the packet brings its own link-layer header
	howMask    = 3    // which of these; none: the EtherType is right
	howMended  = 4    // all checksums are made right
	howFlooded = 8    // to all
	howDetour  = 16   // there is a detour for fragments out of order and for what is too big
	howMarked  = 32   // it comes from there
	howOwnHead = 64   // without link-layer header: its first bytes stay as they are
	howDenied  = 16   // at a guard, in place of the above: some sources are denied
	howClosed  = 32   // ports that nobody has are closed
	howPaced   = 128  // sources may begin so many flows
	shotMax    = 1900 // bytes
)

var containerNames = []string{"c1", "c2", "d1", "i1", "p1", "f1", "q1", "v1"}

// sources are from where packets come to a program.
func sources(prog string) []string {
	switch prog {
	case "from container", "from spliced":
		return containerNames
	case "from uplink", "guard":
		return []string{"eth0", "eth1"}
	case "from tun", "guard tun":
		return []string{"tun0"}
	case "from detour", "from cutter":
		return []string{"eth1"}
	case "to bridge":
		return []string{"eth0", "d1", "", "tun0"}
	}
	return append([]string{""}, containerNames...) // the host, or a container by way of the stack
}

func (s shot) place() place {
	all := sources(s.prog)
	return place{prog: s.prog, from: all[int(s.from)%len(all)]}
}

// frame puts the packet into what it travels in.
func (a *arena) frame(s shot) ([]byte, error) {
	p, ip := s.place(), append([]byte(nil), s.ip...)
	if s.how&howMask == howRaw && !p.bare() {
		return ip, nil
	}
	etherType := uint16(etherIPv4)
	if len(ip) > 0 && (ip[0]>>4 == 6) != (s.how&howMask == howOther) {
		etherType = etherIPv6
	}
	if s.how&howMask == howARP {
		etherType = etherARP
	}
	switch {
	case p.prog == "guard tun": // who the packet is for is no matter there
		setEtherType(ip)
	case p.bare():
		if s.how&howOwnHead == 0 {
			ip = fit(ip)
		}
		if err := a.tunnel(ip); err != nil {
			return nil, err
		}
	}
	if s.how&howMended != 0 {
		mend(ip)
	}
	var dst, src mac
	if c := a.containers[p.from]; c != nil {
		dst, src = c.network.mac, c.mac
	}
	if u := a.uplinks[p.from]; u != nil {
		dst, src = u.mac, remoteMAC
	}
	if s.how&howFlooded != 0 {
		dst = broadcast
	}
	return append(ethernet(dst, src, etherType), ip...), nil
}

// fit gives a packet the first six bytes that most others have, so that the
// interface's address, which they must be, can stay: setting it takes longer
// than everything else.
func fit(ip []byte) []byte {
	length, head := 76, []byte{0x46, 0, 0, 76, 0, 0}
	if len(ip) > 0 && ip[0]>>4 == 6 {
		length, head = 116, []byte{0x60, 0, 0, 0, 0, 76}
	}
	ip = append(ip, make([]byte, length)...)[:length]
	copy(ip, head)
	return ip
}

// tunnel makes a packet without link-layer header pass for one that has one;
// see tunnel_test.go.
func (a *arena) tunnel(ip []byte) error {
	if !setEtherType(ip) {
		return nil
	}
	ip[0] &^= 1
	own := mac(ip[:6])
	if own == a.tunMAC || own == (mac{}) {
		return nil
	}
	a.tunMAC = own
	return a.lab.host.SetMAC("tun0", net.HardwareAddr(own[:]))
}

// setEtherType has the packet's own bytes say what it is.
func setEtherType(ip []byte) bool {
	if len(ip) < ethLen {
		return false
	}
	if ip[0]>>4 == 6 {
		put(ip[12:], etherIPv6)
	} else {
		put(ip[12:], etherIPv4)
	}
	return true
}

// shoot sends one packet, and judges what became of it and of the tables.
func (a *arena) shoot(s shot) (result, error) {
	if len(s.ip) > shotMax {
		return result{verdict: drop}, nil
	}
	frame, err := a.frame(s)
	if err != nil || len(frame) < ethLen {
		return result{verdict: drop}, err
	}
	if err := a.settings(s.how&howDetour != 0); err != nil {
		return result{}, err
	}
	ctx := skBuff{GSOSize: uint32(s.gso)}
	if s.how&howMarked != 0 {
		ctx.Mark = markInOrder
	}
	p, r := s.place(), result{verdict: drop}
	switch p.prog {
	case "guard", "guard tun":
		err = a.challenge(s, frame, ctx)
	case "from spliced":
		r, err = a.notice(p, frame, ctx)
	default:
		r, err = a.runAt(p, frame, ctx)
	}
	if err == nil {
		err = a.judgeResult(p, frame, r)
	}
	if err != nil {
		err = fmt.Errorf("%s from %q: %w\n in  %x\n out %x", p.prog, p.from, err, frame, r.out)
	}
	return r, err
}

// judgeTables judges what so many packets may have left in the tables.
func (a *arena) judgeTables(packets int) error {
	if err := a.read(); err != nil {
		return err
	}
	for _, c := range []struct {
		name      string
		more, may int
	}{
		{"flows", a.flows.more(), 2 * packets}, {"bindings", a.bindings.more(), 2 * packets},
		{"fragments", a.fragments.more(), packets}, {"origins", a.origins.more(), packets},
		{"sources", a.sources.more(), packets},
	} {
		if c.more > c.may {
			return fmt.Errorf("%d packets make %d more %s", packets, c.more, c.name)
		}
	}
	generations := map[uint32]uint32{}
	live := func(v flowValue) bool {
		now, ok := generations[v.Slot]
		if !ok && v.Slot < a.Generations.MaxEntries() && a.Generations.Lookup(v.Slot, &now) == nil {
			generations[v.Slot] = now
		}
		return v.Slot < a.Generations.MaxEntries() && now == v.Generation
	}
	for k, v := range a.flows.now {
		pair, ok := a.flows.now[pairKey(k, v)]
		if live(v) && (!ok || pairKey(pairKey(k, v), pair) != k) {
			return fmt.Errorf("half a session: %s", describeFlow(k, v))
		}
	}
	return a.judgeCounts()
}

// counts are what the programs count besides the sessions themselves.
type counts struct {
	ports  map[uint32]uint32 // by index of port_flows
	owners map[uint32]uint32 // by slot
}

func (w *world) countsOf(flows map[flowKey]flowValue) counts {
	c := counts{map[uint32]uint32{}, map[uint32]uint32{}}
	for k, v := range flows {
		if v.Flags&(flowReply|flowNATSource) == flowNATSource {
			c.ports[maps.PortIndex(k.Proto, wire(v.N_sport))]++
		}
		if owner := w.owner(k, v); owner != 0 {
			c.owners[owner]++
		}
	}
	return c
}

// judgeCounts checks that the sessions of each port and container are counted,
// and that no container has more than it may.
func (a *arena) judgeCounts() error {
	want, base := a.countsOf(a.flows.now), a.countsOf(a.flows.base)
	for index := range union(want.ports, base.ports) {
		var got uint32
		if err := a.PortFlows.Lookup(index, &got); err != nil {
			return err
		}
		if got != want.ports[index] {
			return fmt.Errorf("port %d of table %d counts %d sessions, but has %d", index&0xffff, index>>16, got, want.ports[index])
		}
	}
	for slot := range union(want.owners, base.owners) {
		q, err := a.quota(slot)
		if err != nil {
			return err
		}
		if q.Flows != want.owners[slot] || q.Flows > arenaQuota {
			return fmt.Errorf("slot %d counts %d sessions, but has %d, and may have %d", slot, q.Flows, want.owners[slot], arenaQuota)
		}
	}
	return nil
}

// recount sets what is counted to what was there before.
func (a *arena) recount() error {
	now, base := a.countsOf(a.flows.now), a.countsOf(a.flows.base)
	var err error
	for index := range union(now.ports, base.ports) {
		if now.ports[index] != base.ports[index] {
			err = errors.Join(err, a.PortFlows.Put(index, base.ports[index]))
		}
	}
	for slot := range union(now.owners, base.owners) {
		q, e := a.quota(slot)
		q.Flows, q.Told, q.Second = base.owners[slot], 0, 0
		err = errors.Join(err, e, a.Quotas.Put(slot, q))
	}
	return err
}

func (a *arena) quota(slot uint32) (bpf.VethwayQuotaValue, error) {
	var q bpf.VethwayQuotaValue
	err := a.Quotas.Lookup(slot, &q)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		err = nil
	}
	return q, err
}

// union holds the keys of both.
func union[K comparable, V any](a, b map[K]V) map[K]bool {
	all := map[K]bool{}
	for k := range a {
		all[k] = true
	}
	for k := range b {
		all[k] = true
	}
	return all
}
