// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/vethway/vethway/control/api"
	"pgregory.net/rapid"
)

func TestChoose(t *testing.T) {
	bases := []Base{{prefix("172.30.0.0/16"), 24}, {prefix("10.0.0.0/30"), 31}}
	for _, c := range []struct{ name, taken, want string }{
		{"first", "", "172.30.0.0/24"},
		{"beside", "172.30.0.0/24 172.30.2.0/24", "172.30.1.0/24"},
		{"a wider one", "172.30.0.0/22", "172.30.4.0/24"},
		{"a narrower one", "172.30.0.128/25 172.30.1.7/32", "172.30.2.0/24"},
		{"a host route with host bits", "172.30.0.9/23", "172.30.2.0/24"},
		{"the other family", "fd00::/8", "172.30.0.0/24"},
		{"next base", "172.0.0.0/8", "10.0.0.0/31"},
		{"last", "172.0.0.0/8 10.0.0.0/31", "10.0.0.2/31"},
	} {
		var taken []netip.Prefix
		for _, s := range strings.Fields(c.taken) {
			taken = append(taken, prefix(s))
		}
		got, err := Choose(bases, taken)
		if err != nil || got != prefix(c.want) {
			t.Errorf("%s: %v, %v, want %s", c.name, got, err, c.want)
		}
	}
	_, err := Choose(bases, []netip.Prefix{prefix("172.0.0.0/8"), prefix("10.0.0.0/8")})
	if !errors.Is(err, api.ResourceExhausted) {
		t.Errorf("nothing left: %v", err)
	}
	// The end of the address space must not wrap round.
	if _, err := Choose([]Base{{prefix("255.255.255.0/24"), 24}}, []netip.Prefix{prefix("255.0.0.0/8")}); err == nil {
		t.Error("found a subnet beyond the end")
	}
}

func TestChooseNeverOverlaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := Base{prefix("10.1.0.0/20"), rapid.IntRange(21, 28).Draw(t, "size")}
		var taken []netip.Prefix
		room := 1 << (base.Size - 20)
		for i := range room {
			got, err := Choose([]Base{base}, taken)
			if err != nil {
				t.Fatalf("subnet %d of %d: %v", i, room, err)
			}
			if got != got.Masked() || !base.Prefix.Contains(got.Addr()) || got.Bits() != base.Size {
				t.Fatalf("got %s from %v", got, base)
			}
			for _, other := range taken {
				if got.Overlaps(other) {
					t.Fatalf("%s overlaps %s", got, other)
				}
			}
			taken = append(taken, got)
		}
	})
}

func TestLast(t *testing.T) {
	for in, want := range map[string]string{
		"172.30.1.0/24": "172.30.1.255", "10.0.0.0/9": "10.127.255.255", "10.0.0.4/31": "10.0.0.5", "10.0.0.4/32": "10.0.0.4",
		"fd00::/64": "fd00::ffff:ffff:ffff:ffff", "fd00::/127": "fd00::1", "0.0.0.0/0": "255.255.255.255",
	} {
		if got := Last(prefix(in)); got != addr(want) {
			t.Errorf("last of %s is %s, want %s", in, got, want)
		}
	}
}

func TestULA(t *testing.T) {
	got, err := ULA(bytes.NewReader([]byte{1, 2, 3, 4, 5}))
	if err != nil || got != prefix("fd01:203:405::/48") {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := ULA(bytes.NewReader(nil)); err == nil {
		t.Error("made a prefix of nothing")
	}
}

func TestMAC(t *testing.T) {
	mac, err := MAC(addr("172.30.1.2"), nil)
	if err != nil || mac.String() != "02:42:ac:1e:01:02" {
		t.Errorf("got %v, %v", mac, err)
	}
	for _, raw := range [][]byte{{0xff, 0xff, 1, 2, 3, 4}, {0, 0x42, 1, 2, 3, 4}, {2, 0x42, 1, 2, 3, 4}} {
		mac, err := MAC(addr("fd00::2"), bytes.NewReader(raw))
		if err != nil || mac[0]&3 != 2 || bytes.HasPrefix(mac, []byte{2, 0x42}) {
			t.Errorf("from % x: got %v, %v", raw, mac, err)
		}
	}
	for in, ok := range map[string]bool{
		"02:42:ac:1e:01:02": true, "aa-bb-cc-dd-ee-fe": true,
		"": false, "01:00:5e:00:00:01": false, "00:00:00:00:00:00": false, "02:42": false, "02:42:ac:1e:01:02:03:04": false,
	} {
		mac, err := ParseMAC(in)
		if (err == nil) != ok {
			t.Errorf("%q: %v, %v", in, mac, err)
		}
	}
	if _, err := ParseMAC("01:42:ac:1e:01:02"); err == nil || !strings.Contains(err.(*api.Error).Hint, net.HardwareAddr{0, 0x42, 0xac, 0x1e, 1, 2}.String()) {
		t.Errorf("multicast: %v", err)
	}
}
