// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vethway/vethway/bpf"
)

// Published holds the published ports.
type Published = Table[PublishedKey, PublishedPort]

// PublishedKey is an address and port of the host; the unspecified address stands for all of its family.
type PublishedKey struct {
	Addr  netip.AddrPort
	Proto uint8
}

// PublishedPort is where a published port leads.
type PublishedPort struct {
	Target           netip.AddrPort
	Slot, Generation uint32
}

func publishedWire() wire[PublishedKey, PublishedPort] {
	return codec[PublishedKey, PublishedPort, bpf.VethwayPublishedKey, bpf.VethwayPublishedValue]{
		key: func(k PublishedKey) bpf.VethwayPublishedKey {
			return bpf.VethwayPublishedKey{Addr: toAddr(k.Addr.Addr()), Port: toPort(k.Addr.Port()), Proto: k.Proto}
		},
		unkey: func(k bpf.VethwayPublishedKey) PublishedKey {
			return PublishedKey{Addr: fromAddrPort(k.Addr, k.Port), Proto: k.Proto}
		},
		value: func(v PublishedPort) bpf.VethwayPublishedValue {
			return bpf.VethwayPublishedValue{
				Target: toAddr(v.Target.Addr()), Port: toPort(v.Target.Port()), Slot: v.Slot, Generation: v.Generation,
			}
		},
		unvalue: func(v bpf.VethwayPublishedValue) PublishedPort {
			return PublishedPort{Target: fromAddrPort(v.Target, v.Port), Slot: v.Slot, Generation: v.Generation}
		},
	}
}

func publishedRow(k PublishedKey, v PublishedPort) Row {
	return Row{
		{"host_ip", k.Addr.Addr()},
		{"host_port", k.Addr.Port()},
		{"proto", ProtocolName(k.Proto)},
		{"target", v.Target},
		{"slot", v.Slot},
		{"generation", v.Generation},
	}
}

// parsePublishedKey reads 8080/tcp, 192.0.2.2:8080/tcp or [::]:8080/udp.
func parsePublishedKey(s string) (PublishedKey, error) {
	at, name, _ := strings.Cut(s, "/")
	proto, err := parseProtocol(name)
	if err != nil {
		return PublishedKey{}, err
	}
	if !strings.Contains(at, ":") {
		at = "0.0.0.0:" + at
	}
	addr, err := netip.ParseAddrPort(at)
	if err != nil {
		return PublishedKey{}, fmt.Errorf("%q: want [ADDRESS:]PORT/PROTOCOL, such as 8080/tcp", s)
	}
	return PublishedKey{Addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), Proto: proto}, nil
}
