// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"errors"
	gomaps "maps"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
)

// Tests know flows of both families as those of IPv6: an IPv4 address as ::ffff:a.b.c.d.
type (
	flowKey    = bpf.VethwayFlowKey
	flowValue  = bpf.VethwayFlow6Value
	flow4Key   = bpf.VethwayFlow4Key
	flow4Value = bpf.VethwayFlow4Value
)

// flowTables are the tables of both families.
type flowTables struct{ four, six *ebpf.Map }

func is4(k flowKey) bool { return fromAddr(k.Src).Is4() }

func toAddr4(a bpf.VethwayAddr) uint32 { return binary.NativeEndian.Uint32(a.B[12:]) }

func fromAddr4(a uint32) bpf.VethwayAddr {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], a)
	return toAddr(netip.AddrFrom4(b))
}

func toKey4(k flowKey) flow4Key {
	return flow4Key{Src: toAddr4(k.Src), Dst: toAddr4(k.Dst), Sport: k.Sport, Dport: k.Dport, Proto: k.Proto}
}

func fromKey4(k flow4Key) flowKey {
	return flowKey{Src: fromAddr4(k.Src), Dst: fromAddr4(k.Dst), Sport: k.Sport, Dport: k.Dport, Proto: k.Proto}
}

func toFlow4(v flowValue) flow4Value {
	return flow4Value{
		Slot: v.Slot, Generation: v.Generation, N_sport: v.N_sport, N_dport: v.N_dport, Kind: v.Kind, Action: v.Action, Flags: v.Flags,
		TcpFlags: v.TcpFlags, Seen: v.Seen, Iif: v.Iif, Way: v.Way, Packets: v.Packets, Bytes: v.Bytes,
		N_src: toAddr4(v.N_src), N_dst: toAddr4(v.N_dst),
	}
}

func fromFlow4(v flow4Value) flowValue {
	return flowValue{
		Slot: v.Slot, Generation: v.Generation, N_sport: v.N_sport, N_dport: v.N_dport, Kind: v.Kind, Action: v.Action, Flags: v.Flags,
		TcpFlags: v.TcpFlags, Seen: v.Seen, Iif: v.Iif, Way: v.Way, Packets: v.Packets, Bytes: v.Bytes,
		N_src: fromAddr4(v.N_src), N_dst: fromAddr4(v.N_dst),
	}
}

func (f flowTables) Lookup(k flowKey, into *flowValue) error {
	if !is4(k) {
		return f.six.Lookup(k, into)
	}
	var v flow4Value
	err := f.four.Lookup(toKey4(k), &v)
	*into = fromFlow4(v)
	return err
}

func (f flowTables) Put(k flowKey, v flowValue) error {
	if !is4(k) {
		return f.six.Put(k, v)
	}
	return f.four.Put(toKey4(k), toFlow4(v))
}

func (f flowTables) Delete(k flowKey) error {
	if !is4(k) {
		return f.six.Delete(k)
	}
	return f.four.Delete(toKey4(k))
}

func (f flowTables) empty(t testing.TB) {
	t.Helper()
	emptyMap(t, f.four)
	emptyMap(t, f.six)
}

// all is what both tables hold.
func (f flowTables) all() (map[flowKey]flowValue, error) {
	all := map[flowKey]flowValue{}
	var k4 flow4Key
	var v4 flow4Value
	four := f.four.Iterate()
	for four.Next(&k4, &v4) {
		all[fromKey4(k4)] = fromFlow4(v4)
	}
	var k flowKey
	var v flowValue
	six := f.six.Iterate()
	for six.Next(&k, &v) {
		all[k] = v
	}
	return all, errors.Join(four.Err(), six.Err())
}

// scanner goes through the table of one family, so many entries at a time, over and over.
func (f flowTables) scanner(six bool, size int) func(func(flowKey, flowValue) error) error {
	same := func(k flowKey) flowKey { return k }
	if six {
		return scanner(f.six, size, same, func(v flowValue) flowValue { return v })
	}
	return scanner(f.four, size, fromKey4, fromFlow4)
}

func scanner[K, V any](m *ebpf.Map, size int, key func(K) flowKey, value func(V) flowValue) func(func(flowKey, flowValue) error) error {
	var cursor ebpf.MapBatchCursor
	keys, values := make([]K, size), make([]V, size)
	return func(visit func(flowKey, flowValue) error) error {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		if err != nil {
			cursor = ebpf.MapBatchCursor{}
			if !errors.Is(err, ebpf.ErrKeyNotExist) {
				return err
			}
		}
		for i := range n {
			if err := visit(key(keys[i]), value(values[i])); err != nil {
				return err
			}
		}
		return nil
	}
}

// flowsTable is table for both.
type flowsTable struct {
	four      *table[flow4Key, flow4Value]
	six       *table[flowKey, flowValue]
	base, now map[flowKey]flowValue
}

func newFlowsTable(f flowTables) (*flowsTable, error) {
	four, err4 := newTable[flow4Key, flow4Value](f.four)
	six, err6 := newTable[flowKey, flowValue](f.six)
	if err := errors.Join(err4, err6); err != nil {
		return nil, err
	}
	t := &flowsTable{four: four, six: six}
	t.base = t.merge()
	t.now = t.base
	return t, nil
}

func (t *flowsTable) merge() map[flowKey]flowValue {
	all := gomaps.Clone(t.six.now)
	for k, v := range t.four.now {
		all[fromKey4(k)] = fromFlow4(v)
	}
	return all
}

func (t *flowsTable) read() error {
	err := errors.Join(t.four.read(), t.six.read())
	t.now = t.merge()
	return err
}

func (t *flowsTable) restore() error { return errors.Join(t.four.restore(), t.six.restore()) }
func (t *flowsTable) touched() bool  { return t.four.touched() || t.six.touched() }
func (t *flowsTable) more() int      { return t.four.more() + t.six.more() }

// owner is the slot of the container whose quota a session counts against; 0: none, as in the reply's entry.
func (w *world) owner(k flowKey, v flowValue) uint32 {
	switch {
	case v.Flags&flowReply != 0 || v.Iif == 0:
		return 0
	case v.Kind != bpf.VethwayFlowKindFLOW_HAIRPIN:
		return v.Slot
	}
	for _, c := range w.containers {
		if src := fromAddr(k.Src); src == c.addr4 || src == c.addr6 {
			return c.slot
		}
	}
	return 0
}
