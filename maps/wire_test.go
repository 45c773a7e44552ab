// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"encoding/binary"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"pgregory.net/rapid"

	"github.com/vethway/vethway/bpf"
)

func drawAddr(t *rapid.T) netip.Addr {
	if rapid.Bool().Draw(t, "v6") {
		// A v4-mapped address is the IPv4 address.
		return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "addr6"))).Unmap()
	}
	return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "addr4")))
}

// drawOptional leaves out ::, which stands for no address in optional fields.
func drawOptional(t *rapid.T) netip.Addr {
	if a := drawAddr(t); rapid.Bool().Draw(t, "present") && a != netip.IPv6Unspecified() {
		return a
	}
	return netip.Addr{}
}

func drawAddrPort(t *rapid.T) netip.AddrPort {
	return netip.AddrPortFrom(drawAddr(t), rapid.Uint16().Draw(t, "port"))
}

func drawMAC(t *rapid.T) MAC { return MAC(rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, "mac")) }

func TestAddressesSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if a := drawAddr(t); fromAddr(toAddr(a)) != a {
			t.Fatalf("%s came back as %s", a, fromAddr(toAddr(a)))
		}
		if a := drawOptional(t); fromOptional(toAddr(a)) != a {
			t.Fatalf("%s came back as %s", a, fromOptional(toAddr(a)))
		}
		if p := rapid.Uint16().Draw(t, "port"); fromPort(toPort(p)) != p {
			t.Fatalf("port %d came back as %d", p, fromPort(toPort(p)))
		}
		a := drawAddr(t)
		prefix := netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")).Masked()
		back := fromPrefix(toPrefix(prefix))
		// An IPv6 prefix inside ::ffff:0:0/96 is an IPv4 one.
		if prefix.Addr().Is4In6() && prefix.Bits() >= mappedBits {
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mappedBits)
		}
		if back != prefix {
			t.Fatalf("%s came back as %s", prefix, back)
		}
	})
}

func TestEntriesSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u32, u16 := rapid.Uint32(), rapid.Uint16()
		// FLOW_CARRY bits of an entry's 64 bits of bytes are those of its packets.
		flow := Flow{
			Iif: u32.Draw(t, "iif"), Slot: u32.Draw(t, "slot"), Generation: u32.Draw(t, "generation"), Way: u32.Draw(t, "way"),
			Kind: FlowKind(rapid.Uint8().Draw(t, "kind")), Action: rapid.Uint8().Draw(t, "action"),
			Flags: FlowFlags(rapid.Uint8().Draw(t, "flags")), TCPFlags: rapid.Uint8().Draw(t, "flags"), Seen: u32.Draw(t, "seen"),
			Packets: rapid.Uint64Max(1<<40-1).Draw(t, "packets"), Bytes: rapid.Uint64Max(1<<56-1).Draw(t, "bytes"),
		}
		four := func() netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "addr4"))), u16.Draw(t, "port"))
		}
		flow.Src, flow.Dst = four(), four()
		roundTrip(t, flows4Wire(), FlowKey{Src: four(), Dst: four(), Proto: rapid.Uint8().Draw(t, "proto")}, flow)
		flow.Src, flow.Dst, flow.AddrDiff = drawAddrPort(t), drawAddrPort(t), u32.Draw(t, "diff")
		roundTrip(t, flows6Wire(), FlowKey{Src: drawAddrPort(t), Dst: drawAddrPort(t), Proto: rapid.Uint8().Draw(t, "proto")}, flow)
		roundTrip(t, waysWire(), u32.Draw(t, "index"), Way{
			Generation: u32.Draw(t, "generation"), Routes: u32.Draw(t, "routes"), Oif: u32.Draw(t, "oif"), MTU: u32.Draw(t, "mtu"),
			NextHop: drawOptional(t), DMAC: drawMAC(t), SMAC: drawMAC(t), Seen: u32.Draw(t, "seen"),
		})
		// What a shortcut is of, its fields tell: kind is written by them.
		roundTrip(t, shortcutsWire(), u32.Draw(t, "index"), Shortcut{
			Addr: drawOptional(t), Index: u32.Draw(t, "index"), Slot: u32.Draw(t, "slot"), Generation: u32.Draw(t, "generation"),
			Network: u16.Draw(t, "network"), MAC: drawMAC(t), BridgeMAC: drawMAC(t), MTU: u16.Draw(t, "mtu"), Flags: NetworkFlags(u32.Draw(t, "flags")),
		})
		roundTrip(t, publishedWire(), PublishedKey{Addr: drawAddrPort(t), Proto: rapid.Uint8().Draw(t, "proto")},
			PublishedPort{Target: drawAddrPort(t), Slot: u32.Draw(t, "slot"), Generation: u32.Draw(t, "generation")})
		roundTrip(t, endpointsWire(), drawAddr(t), Endpoint{
			Index: u32.Draw(t, "index"), Slot: u32.Draw(t, "slot"), Generation: u32.Draw(t, "generation"),
			Network: u16.Draw(t, "network"), MTU: u16.Draw(t, "mtu"), MAC: drawMAC(t), BridgeMAC: drawMAC(t), AlsoOn: u32.Draw(t, "flags"),
		})
		roundTrip(t, vethsWire(), u32.Draw(t, "index"), Veth{
			Addr4: drawOptional(t), Addr6: drawOptional(t), Slot: u32.Draw(t, "slot"), Generation: u32.Draw(t, "generation"),
			Bridge: u32.Draw(t, "bridge"), Network: u16.Draw(t, "network"), MTU: u16.Draw(t, "mtu"), MAC: drawMAC(t),
			BridgeMAC: drawMAC(t), Flags: NetworkFlags(u32.Draw(t, "flags")),
		})
		roundTrip(t, networksWire(), u32.Draw(t, "network"), Network{
			Gateway4: drawOptional(t), Gateway6: drawOptional(t), SNAT4: drawOptional(t), SNAT6: drawOptional(t),
			Bridge: u32.Draw(t, "bridge"), Flags: NetworkFlags(u32.Draw(t, "flags")), MTU: u16.Draw(t, "mtu"), BridgeMAC: drawMAC(t),
		})
		roundTrip(t, uplinksWire(), u32.Draw(t, "index"), Uplink{
			Addr4: drawOptional(t), Addr6: drawOptional(t), Flags: u32.Draw(t, "flags"), MTU: u32.Draw(t, "mtu"),
		})
		roundTrip(t, guardsWire(), u32.Draw(t, "index"), Guard{
			Flags: GuardFlags(u32.Draw(t, "flags")), ClosedFirst: u16.Draw(t, "first"), ClosedLast: u16.Draw(t, "last"),
			Interval: time.Duration(u32.Draw(t, "interval")), Burst: time.Duration(u32.Draw(t, "burst")),
		})
		roundTrip(t, sourcesWire(), drawAddr(t), Source{Due: time.Duration(u32.Draw(t, "due"))})
		spliced := SplicedAddress{
			Namespace: rapid.Int32().Draw(t, "namespace"), Index: u32.Draw(t, "index"), Slot: u32.Draw(t, "slot"),
			Generation: u32.Draw(t, "generation"), Network: u32.Draw(t, "network"),
		}
		for i := range spliced.Ports {
			spliced.Ports[i] = u16.Draw(t, "port")
		}
		roundTrip(t, splicedWire(), drawAddr(t), spliced)
		roundTrip(t, splicesWire(), SpliceKey{Local: drawAddrPort(t), Remote: drawAddrPort(t)}, Splice{
			Messages: rapid.Uint64().Draw(t, "messages"), Bytes: rapid.Uint64().Draw(t, "bytes"), Queued: u32.Draw(t, "queued"),
			Room: u32.Draw(t, "room"), Slot: u32.Draw(t, "slot"), Generation: u32.Draw(t, "generation"), Started: u32.Draw(t, "time"),
			Seen: u32.Draw(t, "time"), Network: u32.Draw(t, "network"), Flags: SpliceFlags(u32.Draw(t, "flags")),
			Tries: u32.Draw(t, "tries"), Bounded: u32.Draw(t, "bounded"), Sock: rapid.Uint64().Draw(t, "sock"),
		})
		roundTrip(t, bindingsWire(), BindingKey{
			Addr: drawAddrPort(t), External: drawOptional(t), Proto: rapid.Uint8().Draw(t, "proto"), Inside: rapid.Bool().Draw(t, "inside"),
		}, Binding{
			Addr: drawAddrPort(t), Network: u16.Draw(t, "network"), Slot: u32.Draw(t, "slot"),
			Generation: u32.Draw(t, "generation"), Seen: u32.Draw(t, "seen"),
		})
	})
}

// tripper is what every codec can do, whatever the kernel's types are.
type tripper[K, V any] interface {
	roundTrip(K, V) (K, V)
}

func (c codec[K, V, WK, WV]) roundTrip(k K, v V) (K, V) {
	return c.unkey(c.key(k)), c.unvalue(c.value(v))
}

func roundTrip[K, V comparable](t *rapid.T, w wire[K, V], k K, v V) {
	t.Helper()
	c, ok := w.(tripper[K, V])
	if !ok {
		t.Fatalf("%T has no round trip", w)
	}
	if k2, v2 := c.roundTrip(k, v); k2 != k || v2 != v {
		t.Fatalf("%+v %+v\ncame back as\n%+v %+v", k, v, k2, v2)
	}
}

// Bytes on the wire, once, by hand: the property above would not notice an order that is wrong both ways.
func TestWireFormat(t *testing.T) {
	k := toFlowKey(FlowKey{Src: netip.MustParseAddrPort("10.1.2.3:258"), Dst: netip.MustParseAddrPort("[2001:db8::1]:80"), Proto: 6})
	got := unsafe.Slice((*byte)(unsafe.Pointer(&k)), unsafe.Sizeof(k))
	want := []byte{
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3,
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		1, 2, 0, 80, 6, 0, 0, 0,
	}
	if string(got) != string(want) {
		t.Errorf("flow key:\n%x\n%x", got, want)
	}
	k4 := toFlow4Key(FlowKey{Src: netip.MustParseAddrPort("10.1.2.3:258"), Dst: netip.MustParseAddrPort("192.0.2.1:80"), Proto: 6})
	got = unsafe.Slice((*byte)(unsafe.Pointer(&k4)), unsafe.Sizeof(k4))
	if want := []byte{10, 1, 2, 3, 192, 0, 2, 1, 1, 2, 0, 80, 6, 0, 0, 0}; string(got) != string(want) {
		t.Errorf("flow key of IPv4:\n%x\n%x", got, want)
	}
	if p := toPrefix(netip.MustParsePrefix("10.1.0.0/16")); p.Prefixlen != 112 || p.Addr != [16]byte{10: 0xff, 11: 0xff, 12: 10, 13: 1} {
		t.Errorf("prefix: %+v", p)
	}
	if p := toPort(80); binary.NativeEndian.AppendUint16(nil, p)[1] != 80 {
		t.Errorf("port: %x", p)
	}
}

// The mirror's structs must be as long as the maps say: Go adds no padding of its own that the kernel would not have.
func TestSizesAgreeWithTheObject(t *testing.T) {
	spec, err := bpf.LoadVethway()
	if err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string][2]uintptr{
		bpf.VethwayMapFlows4:    {unsafe.Sizeof(bpf.VethwayFlow4Key{}), unsafe.Sizeof(bpf.VethwayFlow4Value{})},
		bpf.VethwayMapFlows6:    {unsafe.Sizeof(bpf.VethwayFlowKey{}), unsafe.Sizeof(bpf.VethwayFlow6Value{})},
		bpf.VethwayMapWays:      {4, unsafe.Sizeof(bpf.VethwayWayValue{})},
		bpf.VethwayMapShortcuts: {4, unsafe.Sizeof(bpf.VethwayShortcutValue{})},
		bpf.VethwayMapBindings:  {unsafe.Sizeof(bpf.VethwayBindingKey{}), unsafe.Sizeof(bpf.VethwayBindingValue{})},
		bpf.VethwayMapPublished: {unsafe.Sizeof(bpf.VethwayPublishedKey{}), unsafe.Sizeof(bpf.VethwayPublishedValue{})},
		bpf.VethwayMapEndpoints: {unsafe.Sizeof(bpf.VethwayAddr{}), unsafe.Sizeof(bpf.VethwayEndpointValue{})},
		bpf.VethwayMapVeths:     {4, unsafe.Sizeof(bpf.VethwayVethValue{})},
		bpf.VethwayMapNetworks:  {4, unsafe.Sizeof(bpf.VethwayNetworkValue{})},
		bpf.VethwayMapAddresses: {unsafe.Sizeof(bpf.VethwayAddressKey{}), unsafe.Sizeof(bpf.VethwayAddressValue{})},
		bpf.VethwayMapUplinks:   {4, unsafe.Sizeof(bpf.VethwayUplinkValue{})},
		bpf.VethwayMapQuotas:    {4, unsafe.Sizeof(bpf.VethwayQuotaValue{})},
		bpf.VethwayMapSettings:  {4, unsafe.Sizeof(bpf.VethwaySettingsValue{})},
		bpf.VethwayMapGuards:    {4, unsafe.Sizeof(bpf.VethwayGuardValue{})},
		bpf.VethwayMapDenied:    {unsafe.Sizeof(bpf.VethwayAddressKey{}), unsafe.Sizeof(bpf.VethwayDeniedValue{})},
		bpf.VethwayMapSources:   {unsafe.Sizeof(bpf.VethwayAddr{}), unsafe.Sizeof(bpf.VethwaySourceValue{})},
		bpf.VethwayMapSpliced:   {unsafe.Sizeof(bpf.VethwayAddr{}), unsafe.Sizeof(bpf.VethwaySplicedValue{})},
		bpf.VethwayMapSplices:   {unsafe.Sizeof(bpf.VethwaySpliceKey{}), unsafe.Sizeof(bpf.VethwaySpliceValue{})},
		bpf.VethwayMapCounters:  {unsafe.Sizeof(bpf.VethwayCounterKey{}), unsafe.Sizeof(bpf.VethwayCounterValue{})},
	} {
		m := spec.Maps[name]
		if m == nil || uintptr(m.KeySize) != size[0] || uintptr(m.ValueSize) != size[1] {
			t.Errorf("map %s: %v, Go has %d bytes to %d", name, m, size[0], size[1])
		}
	}
	for name, m := range spec.Maps {
		scratch := m.Type == ebpf.PerCPUArray && name != bpf.VethwayMapTries
		shared := m.Type != ebpf.ProgramArray && !scratch && name[0] != '.'
		if Pinned(name) != shared {
			t.Errorf("map %s of type %s: pinned by itself: %v", name, m.Type, Pinned(name))
		}
	}
}

// The preprocessor's constants leave no trace in the object.
func TestConstantsAgreeWithTheHeader(t *testing.T) {
	header, err := os.ReadFile("../bpf/lib/layout.h")
	if err != nil {
		t.Fatal(err)
	}
	defined := make(map[string]int)
	for _, m := range regexp.MustCompile(`(?m)^#define\s+(\w+)\s+(\d+)`).FindAllStringSubmatch(string(header), -1) {
		defined[m[1]], _ = strconv.Atoi(m[2])
	}
	known := map[string]int{
		"NETWORK_INTERNAL": int(NetworkInternal), "NETWORK_NO_ICC": int(NetworkNoICC),
		"NETWORK_MASQUERADE4": int(NetworkMasquerade4), "NETWORK_MASQUERADE6": int(NetworkMasquerade6),
		"FLOW_REPLY": int(FlowReply), "FLOW_NAT_SRC": int(FlowNATSource), "FLOW_FIXED_SRC": int(FlowFixedSource),
		"FLOW_BY_STACK": int(FlowByStack), "PORT_PUBLISHED": PortPublished, "PORT_HOST": PortHost,
		"NETWORK_ANY_REMOTE": int(NetworkAnyRemote), "FLOW_PORTS": int(FlowPorts), "FLOW_OPENS": int(FlowOpens), "FLOW_RETIRED": int(FlowRetired),
		"SETTING_ANY_REMOTE": int(SettingAnyRemote), "SETTING_BIND_TCP": int(SettingBindTCP), "SETTING_PORTS_REST": int(SettingPortsRest), "TRIES_FAILED": TriesFailed,
		"GUARD_DENIED": int(GuardDenied), "GUARD_CLOSED": int(GuardClosed),
		"FLOW_CARRY": flowCarry, "WAYS": wayPlaces, "WAY_GENERATION_BITS": wayGenerationBits,
		"SPLICE_REFUSED": int(SpliceRefused), "SPLICE_REDIRECT": int(SpliceRedirect), "SPLICE_FILLED": int(SpliceFilled),
		"SHORTCUT_BITS": shortcutBits, "SHORTCUT_HOST": shortcutHost, "SHORTCUT_ENDPOINT": shortcutEndpoint,
		"SHORTCUT_GATEWAY": shortcutGateway,
		"PORT_USE_TCP":     int(PortIndex(6, 0) >> 16), "PORT_USE_UDP": int(PortIndex(17, 0) >> 16), "PORT_USE_OTHER": int(PortIndex(132, 0) >> 16),
	}
	for name, value := range known {
		if got, ok := defined[name]; !ok || got != value {
			t.Errorf("%s is %d here, %d (%v) in the header", name, value, got, ok)
		}
	}
	for name := range defined {
		if _, ok := known[name]; !ok && regexp.MustCompile(`^(NETWORK|FLOW|PORT|SETTING|GUARD|SPLICE|SHORTCUT|TRIES|WAYS?)(_|$)`).MatchString(name) {
			t.Errorf("%s is in the header, and nobody here knows it", name)
		}
	}
}

// TestEventAgreesWithTheHeader compares names, order and sizes of the fields.
func TestEventAgreesWithTheHeader(t *testing.T) {
	header, err := os.ReadFile("../bpf/lib/layout.h")
	if err != nil {
		t.Fatal(err)
	}
	body := regexp.MustCompile(`(?s)\nstruct event \{\n(.*?)\n\};`).FindStringSubmatch(string(header))
	if body == nil {
		t.Fatal("the header has no struct event")
	}
	sizes := map[string]uintptr{"struct flow_key": unsafe.Sizeof(bpf.VethwayFlowKey{}), "enum drop_reason": 4, "__u32": 4, "__u64": 8}
	mirror := reflect.TypeFor[wireEvent]()
	fields := regexp.MustCompile(`(?m)^\t([\w ]+) (\w+);`).FindAllStringSubmatch(body[1], -1)
	if len(fields) != mirror.NumField() {
		t.Fatalf("%d fields here, %d in the header", mirror.NumField(), len(fields))
	}
	for i, f := range fields {
		if ours := mirror.Field(i); !strings.EqualFold(ours.Name, f[2]) || ours.Type.Size() != sizes[f[1]] {
			t.Errorf("field %d is %s of %d bytes here, %s of %s in the header", i, ours.Name, ours.Type.Size(), f[2], f[1])
		}
	}
}

func TestAge(t *testing.T) {
	for _, tc := range [][3]uint32{{10, 7, 3}, {7, 7, 0}, {7, 8, 0}, {2, 0xfffffffe, 4}} {
		if got := Age(tc[0], tc[1]); got != tc[2] {
			t.Errorf("age of %d at %d: %d, want %d", tc[1], tc[0], got, tc[2])
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	for _, s := range []string{"tcp 1.2.3.4:5 [::1]:80", "8080/tcp", "[::]:8080/udp", "from-uplink/malformed", "10.0.0.0/8", "udp 1.2.3.4:5 6.7.8.9", "7"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) {
		// None may panic; what they accept, the codecs take.
		if k, err := parseFlowKey(s); err == nil {
			toFlowKey(k)
		}
		if k, err := parseFlow4Key(s); err == nil {
			toFlow4Key(k)
		}
		if k, err := parseFlow6Key(s); err == nil && k.Src.Addr().Is4() {
			panic("an IPv4 address in a key of IPv6")
		}
		if k, err := parseBindingKey(s); err == nil {
			toBindingKey(k)
		}
		if k, err := parsePublishedKey(s); err == nil {
			toAddr(k.Addr.Addr())
		}
		if k, err := parsePrefixKey(s); err == nil {
			toPrefix(k)
		}
		_, _ = parsePortKey(s)
		_, _ = parseNumber(s)
		_, _ = Names{}.parseCounterKey(s)
		_, _, _ = ParsePin(s)
		_, _, _ = ParseLink(s)
	})
}
