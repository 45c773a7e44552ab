// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
)

// FlowTable is the flows of one family.
type FlowTable = Table[FlowKey, Flow]

// Flows is the flow tables: two entries a session, one for each direction. Each family has a table of its own, so that an
// address takes no more room than it needs; either may be full while the other is not.
type Flows struct{ IPv4, IPv6 *FlowTable }

func flows(all map[string]*ebpf.Map) *Flows {
	return &Flows{table(all, bpf.VethwayMapFlows4, flows4Wire()), table(all, bpf.VethwayMapFlows6, flows6Wire())}
}

// Of returns the table that a key belongs to. ErrBadKey: its addresses are of different families.
func (f *Flows) Of(k FlowKey) (*FlowTable, error) {
	switch {
	case k.Src.Addr().Is4() && k.Dst.Addr().Is4():
		return f.IPv4, nil
	case k.Src.Addr().Is6() && k.Dst.Addr().Is6():
		return f.IPv6, nil
	}
	return nil, fmt.Errorf("flow of %s to %s: %w: want two addresses of one family", k.Src, k.Dst, ErrBadKey)
}

// Tables lists both, that of IPv4 first.
func (f *Flows) Tables() []*FlowTable { return []*FlowTable{f.IPv4, f.IPv6} }

// Update adds or replaces entries, in their order; see Table.Update. ErrBadKey: the addresses of an entry are of different
// families; then none is written.
func (f *Flows) Update(entries []Entry[FlowKey, Flow]) error {
	of := make(map[*FlowTable][]Entry[FlowKey, Flow])
	for _, e := range entries {
		t, err := f.Of(e.Key)
		if err != nil {
			return err
		}
		// An entry that is not to be followed may say nothing of what it is rewritten to.
		for _, a := range []netip.Addr{e.Value.Src.Addr(), e.Value.Dst.Addr()} {
			if a.IsValid() && a.Is4() != (t == f.IPv4) {
				return fmt.Errorf("flow of %s to %s: %w: rewritten to %s, of another family", e.Key.Src, e.Key.Dst, ErrBadKey, a)
			}
		}
		of[t] = append(of[t], e)
	}
	return errors.Join(f.IPv4.Update(of[f.IPv4]), f.IPv6.Update(of[f.IPv6]))
}

// Delete removes entries; one that does not exist is no error. ErrBadKey, as of Of; then none is removed.
func (f *Flows) Delete(keys []FlowKey) error {
	of := make(map[*FlowTable][]FlowKey)
	for _, k := range keys {
		t, err := f.Of(k)
		if err != nil {
			return err
		}
		of[t] = append(of[t], k)
	}
	return errors.Join(f.IPv4.Delete(of[f.IPv4]), f.IPv6.Delete(of[f.IPv6]))
}

// Lookup returns the entry of a key, and false if there is none. ErrBadKey, as of Of.
func (f *Flows) Lookup(k FlowKey) (Flow, bool, error) {
	t, err := f.Of(k)
	if err != nil {
		return Flow{}, false, err
	}
	return t.Lookup(k)
}

// Each calls yield for every entry, those of IPv4 first, until it returns false; see Table.Each.
func (f *Flows) Each(yield func(FlowKey, Flow) bool) error {
	more := true
	for _, t := range f.Tables() {
		err := t.Each(func(k FlowKey, v Flow) bool {
			more = yield(k, v)
			return more
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// Load returns all entries.
func (f *Flows) Load() (map[FlowKey]Flow, error) {
	all := make(map[FlowKey]Flow)
	err := f.Each(func(k FlowKey, v Flow) bool {
		all[k] = v
		return true
	})
	return all, err
}

// oif is the interface of entries that have one of their own.
func (f Flow) oif() any {
	if f.Action == FlowToPeer {
		return f.Way
	}
	return nil
}

// way is index.generation; nothing where there is none, or where it is to be looked up.
func (f Flow) way() any {
	if f.Action != FlowToUplink || f.Way == 0 {
		return nil
	}
	index, generation := WayOf(f.Way)
	return fmt.Sprintf("%d.%d", index, generation)
}

func (n Names) flowRow(now uint32) func(FlowKey, Flow) Row {
	return func(k FlowKey, v Flow) Row {
		return Row{
			{"proto", ProtocolName(k.Proto)},
			{"src", k.Src},
			{"dst", k.Dst},
			{"new_src", v.Src},
			{"new_dst", v.Dst},
			{"kind", n.FlowKind(v.Kind)},
			{"action", n.flowAction(v.Action)},
			{"flags", v.Flags.Names()},
			{"tcp_flags", bitNames(uint32(v.TCPFlags), "fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr")},
			{"iif", v.Iif},
			{"oif", v.oif()},
			{"way", v.way()},
			{"slot", v.Slot},
			{"generation", v.Generation},
			{"idle_seconds", Age(now, v.Seen)},
			{"packets", v.Packets},
			{"bytes", v.Bytes},
		}
	}
}

// parseFlow4Key and parseFlow6Key read keys of either table.
func parseFlow4Key(s string) (FlowKey, error) { return parseFlowKeyOf(s, netip.Addr.Is4, "IPv4") }
func parseFlow6Key(s string) (FlowKey, error) { return parseFlowKeyOf(s, netip.Addr.Is6, "IPv6") }

func parseFlowKeyOf(s string, is func(netip.Addr) bool, family string) (FlowKey, error) {
	k, err := parseFlowKey(s)
	if err == nil && !(is(k.Src.Addr()) && is(k.Dst.Addr())) {
		err = fmt.Errorf("%q: want two %s addresses", s, family)
	}
	return k, err
}

// parseFlowKey reads PROTOCOL SOURCE DESTINATION, each address with its port.
func parseFlowKey(s string) (FlowKey, error) {
	f := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
	if len(f) != 3 {
		return FlowKey{}, fmt.Errorf("%q: want PROTOCOL SOURCE:PORT DESTINATION:PORT", s)
	}
	proto, err := parseProtocol(f[0])
	if err != nil {
		return FlowKey{}, err
	}
	src, err := netip.ParseAddrPort(f[1])
	if err != nil {
		return FlowKey{}, fmt.Errorf("source %q: want ADDRESS:PORT", f[1])
	}
	dst, err := netip.ParseAddrPort(f[2])
	if err != nil {
		return FlowKey{}, fmt.Errorf("destination %q: want ADDRESS:PORT", f[2])
	}
	return FlowKey{Src: src, Dst: dst, Proto: proto}, nil
}
