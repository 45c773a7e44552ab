// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vethway/vethway/bpf"
)

// Spliced holds the addresses whose TCP connections may be spliced.
type Spliced = Table[netip.Addr, SplicedAddress]

// SplicedPorts is how many ports a network can name.
const SplicedPorts = len(bpf.VethwaySplicedValue{}.Ports)

// HostNamespace is the number of the host's own network namespace in a SplicedAddress.
const HostNamespace = -1

// SplicedAddress is where sockets have an address, and which of their connections are meant.
type SplicedAddress struct {
	Namespace        int32  // as the host's namespace numbers it; HostNamespace: itself
	Index            uint32 // of the container's host end; 0: the host's own
	Slot, Generation uint32
	Network          uint32
	Ports            [SplicedPorts]uint16 // none: all
}

func splicedWire() wire[netip.Addr, SplicedAddress] {
	return codec[netip.Addr, SplicedAddress, bpf.VethwayAddr, bpf.VethwaySplicedValue]{
		key: toAddr, unkey: fromAddr,
		value: func(v SplicedAddress) bpf.VethwaySplicedValue {
			w := bpf.VethwaySplicedValue{
				Netns: v.Namespace, Ifindex: v.Index, Slot: v.Slot, Generation: v.Generation, Network: v.Network,
			}
			for i, p := range v.Ports {
				w.Ports[i] = toPort(p)
			}
			return w
		},
		unvalue: func(w bpf.VethwaySplicedValue) SplicedAddress {
			v := SplicedAddress{Namespace: w.Netns, Index: w.Ifindex, Slot: w.Slot, Generation: w.Generation, Network: w.Network}
			for i, p := range w.Ports {
				v.Ports[i] = fromPort(p)
			}
			return v
		},
	}
}

func splicedRow(k netip.Addr, v SplicedAddress) Row {
	var ports []string
	for _, p := range v.Ports {
		if p != 0 {
			ports = append(ports, fmt.Sprint(p))
		}
	}
	return Row{
		{"address", k},
		{"namespace", v.Namespace},
		{"ifindex", v.Index},
		{"network", v.Network},
		{"ports", ports},
		{"slot", v.Slot},
		{"generation", v.Generation},
	}
}

// Splices holds both ends of each connection that is, or is not to be, spliced.
type Splices = Table[SpliceKey, Splice]

// SpliceKey is a connection as one of its ends has it.
type SpliceKey struct{ Local, Remote netip.AddrPort }

// Reverse is the other end's key.
func (k SpliceKey) Reverse() SpliceKey { return SpliceKey{Local: k.Remote, Remote: k.Local} }

// SpliceFlags are the SPLICE_* bits of bpf/lib/layout.h.
type SpliceFlags uint32

const (
	// SpliceRefused ends go the ordinary way for as long as they live.
	SpliceRefused SpliceFlags = 1 << iota
	// SpliceRedirect is set while what is sent to the end goes straight into its queue.
	SpliceRedirect
	// SpliceFilled says that its queue was full once.
	SpliceFilled
)

// Splice is one end of a connection, and what was put into its queue.
type Splice struct {
	Messages, Bytes  uint64
	Queued           uint32 // memory that these took since its queue was last seen empty
	Room             uint32 // how much may be taken
	Slot, Generation uint32 // of its endpoint
	Started, Seen    uint32 // CLOCK_MONOTONIC seconds
	Network          uint32
	Flags            SpliceFlags
	Tries            uint32 // to splice it
	Bounded          uint32 // not 0: its window is small
	Sock             uint64 // the kernel's address of it
}

func splicesWire() wire[SpliceKey, Splice] {
	return codec[SpliceKey, Splice, bpf.VethwaySpliceKey, bpf.VethwaySpliceValue]{
		key: func(k SpliceKey) bpf.VethwaySpliceKey {
			return bpf.VethwaySpliceKey{
				Local: toAddr(k.Local.Addr()), Remote: toAddr(k.Remote.Addr()),
				LocalPort: toPort(k.Local.Port()), RemotePort: toPort(k.Remote.Port()),
			}
		},
		unkey: func(k bpf.VethwaySpliceKey) SpliceKey {
			return SpliceKey{Local: fromAddrPort(k.Local, k.LocalPort), Remote: fromAddrPort(k.Remote, k.RemotePort)}
		},
		value: func(v Splice) bpf.VethwaySpliceValue {
			return bpf.VethwaySpliceValue{
				Sock: v.Sock, Messages: v.Messages, Bytes: v.Bytes, Queued: v.Queued, Room: v.Room,
				Slot: v.Slot, Generation: v.Generation, Started: v.Started, Seen: v.Seen, Network: v.Network, Flags: uint32(v.Flags),
				Tries: v.Tries, Bounded: v.Bounded,
			}
		},
		unvalue: func(v bpf.VethwaySpliceValue) Splice {
			return Splice{
				Sock: v.Sock, Messages: v.Messages, Bytes: v.Bytes, Queued: v.Queued, Room: v.Room,
				Slot: v.Slot, Generation: v.Generation, Started: v.Started, Seen: v.Seen, Network: v.Network, Flags: SpliceFlags(v.Flags),
				Tries: v.Tries, Bounded: v.Bounded,
			}
		},
	}
}

func spliceRow(now uint32) func(SpliceKey, Splice) Row {
	return func(k SpliceKey, v Splice) Row {
		return Row{
			{"local", k.Local},
			{"remote", k.Remote},
			{"flags", bitNames(uint32(v.Flags), "refused", "redirect", "filled")},
			{"messages", v.Messages},
			{"bytes", v.Bytes},
			{"queued", v.Queued},
			{"room", v.Room},
			{"bounded", v.Bounded != 0},
			{"network", v.Network},
			{"age_s", Age(now, v.Started)},
			{"slot", v.Slot},
			{"generation", v.Generation},
		}
	}
}

// parseSpliceKey reads 10.0.0.2:80-10.0.0.3:40000.
func parseSpliceKey(s string) (SpliceKey, error) {
	local, remote, _ := strings.Cut(s, "-")
	l, err := netip.ParseAddrPort(local)
	if err == nil {
		var r netip.AddrPort
		if r, err = netip.ParseAddrPort(remote); err == nil {
			return SpliceKey{Local: l, Remote: r}, nil
		}
	}
	return SpliceKey{}, fmt.Errorf("%q: want ADDRESS:PORT-ADDRESS:PORT, the end's own first", s)
}
