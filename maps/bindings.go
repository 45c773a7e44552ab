// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vethway/vethway/bpf"
)

// Bindings gives each internal endpoint of an endpoint-independent protocol one external port. There are two entries
// for each: inside to outside, and back.
type Bindings = Table[BindingKey, Binding]

// BindingKey is an internal endpoint, together with the external address that it is bound on, or an external endpoint.
// The port of an ICMP endpoint is its identifier.
type BindingKey struct {
	Addr     netip.AddrPort
	External netip.Addr // invalid in the key of an external endpoint
	Proto    uint8
	Inside   bool
}

// Binding is the other side's endpoint.
type Binding struct {
	Addr             netip.AddrPort
	Network          uint16
	Slot, Generation uint32
	Seen             uint32 // CLOCK_MONOTONIC seconds when a flow was last made by it
	Rests            uint32 // since when no flow hangs on it; 0: some do
}

// BindingOf is the key of the binding that a flow would hang on, if its protocol has bindings.
func BindingOf(key FlowKey, flow Flow) BindingKey {
	return BindingKey{Addr: key.Src, External: flow.Src.Addr(), Proto: key.Proto, Inside: true}
}

func toBindingKey(k BindingKey) bpf.VethwayBindingKey {
	wire := bpf.VethwayBindingKey{
		Addr: toAddr(k.Addr.Addr()), Ext: toAddr(k.External), Port: toPort(k.Addr.Port()), Proto: k.Proto,
	}
	if k.Inside {
		wire.Inside = 1
	}
	return wire
}

func bindingsWire() wire[BindingKey, Binding] {
	return codec[BindingKey, Binding, bpf.VethwayBindingKey, bpf.VethwayBindingValue]{
		key: toBindingKey,
		unkey: func(k bpf.VethwayBindingKey) BindingKey {
			return BindingKey{
				Addr: fromAddrPort(k.Addr, k.Port), External: fromOptional(k.Ext), Proto: k.Proto, Inside: k.Inside != 0,
			}
		},
		value: func(v Binding) bpf.VethwayBindingValue {
			return bpf.VethwayBindingValue{
				Addr: toAddr(v.Addr.Addr()), Port: toPort(v.Addr.Port()), Network: v.Network,
				Slot: v.Slot, Generation: v.Generation, Seen: v.Seen, Rests: v.Rests,
			}
		},
		unvalue: func(v bpf.VethwayBindingValue) Binding {
			return Binding{
				Addr: fromAddrPort(v.Addr, v.Port), Network: v.Network,
				Slot: v.Slot, Generation: v.Generation, Seen: v.Seen, Rests: v.Rests,
			}
		},
	}
}

// CollectBindingArgs is what vw_gc_binding is run with: delete the binding unless a flow was made by it since.
func CollectBindingArgs(key BindingKey, seen uint32) any {
	return &bpf.VethwayGcBindingArgs{Key: toBindingKey(key), Seen: seen}
}

// RestBindingArgs is what vw_gc_binding is run with to let the binding rest since a time, unless a flow was made by it; 0: to wake it.
func RestBindingArgs(key BindingKey, seen, since uint32) any {
	return &bpf.VethwayGcBindingArgs{Key: toBindingKey(key), Seen: seen, Keep: 1, Rests: since}
}

func bindingRow(now uint32) func(BindingKey, Binding) Row {
	return func(k BindingKey, v Binding) Row {
		internal, external, from := k.Addr, v.Addr, "inside"
		if !k.Inside {
			internal, external, from = v.Addr, k.Addr, "outside"
		}
		return Row{
			{"proto", ProtocolName(k.Proto)},
			{"from", from},
			{"internal", internal},
			{"external", external},
			{"network", v.Network},
			{"slot", v.Slot},
			{"generation", v.Generation},
			{"idle_seconds", Age(now, v.Seen)},
			{"rests", v.Rests != 0},
		}
	}
}

// parseBindingKey reads PROTOCOL INTERNAL:PORT EXTERNAL, or PROTOCOL EXTERNAL:PORT.
func parseBindingKey(s string) (BindingKey, error) {
	f := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
	if len(f) != 2 && len(f) != 3 {
		return BindingKey{}, fmt.Errorf("%q: want PROTOCOL INTERNAL:PORT EXTERNAL, or PROTOCOL EXTERNAL:PORT", s)
	}
	proto, err := parseProtocol(f[0])
	if err != nil {
		return BindingKey{}, err
	}
	at, err := netip.ParseAddrPort(f[1])
	if err != nil {
		return BindingKey{}, fmt.Errorf("%q: want ADDRESS:PORT", f[1])
	}
	key := BindingKey{Addr: at, Proto: proto, Inside: len(f) == 3}
	if !key.Inside {
		return key, nil
	}
	if key.External, err = netip.ParseAddr(f[2]); err != nil {
		return BindingKey{}, fmt.Errorf("%q: want an address", f[2])
	}
	return key, nil
}
