// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParsePorts(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "[]",
		"8080":                "[8080-8080]",
		"8080,9148-9150":      "[8080-8080 9148-9150]",
		"0-65535":             "[0-65535]",
		"9150-9148":           "error",
		"65536":               "error",
		"http":                "error",
		"1-2-3":               "error",
		"32768-60999,1,22-22": "[32768-60999 1-1 22-22]",
	} {
		spans, err := parsePorts(text)
		got := fmt.Sprint(spans)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestClashes(t *testing.T) {
	for _, c := range []struct {
		addr, held string
		v6only     bool
		want       bool
	}{
		{"192.0.2.1", "192.0.2.1", false, true},
		{"192.0.2.1", "192.0.2.2", false, false},
		{"192.0.2.1", "0.0.0.0", false, true},
		{"0.0.0.0", "192.0.2.1", false, true},
		{"0.0.0.0", "::", false, true},
		{"0.0.0.0", "::", true, false},
		{"0.0.0.0", "2001:db8::1", false, false},
		{"192.0.2.1", "::ffff:192.0.2.1", false, true},
		{"0.0.0.0", "::ffff:192.0.2.1", false, true},
		{"::", "0.0.0.0", false, false},
		{"::", "::", true, true},
		{"::", "2001:db8::1", false, true},
		{"2001:db8::1", "::", false, true},
		{"2001:db8::1", "2001:db8::2", false, false},
	} {
		s := socket{local: netip.AddrPortFrom(netip.MustParseAddr(c.held), 80), v6only: c.v6only}
		if got := clashes(netip.MustParseAddr(c.addr), s); got != c.want {
			t.Errorf("bind to %s with %s (v6only %v) bound: clash %v, want %v", c.addr, c.held, c.v6only, got, c.want)
		}
	}
}

// FuzzParse has what the kernel says cut off anywhere.
func FuzzParse(f *testing.F) {
	diag := make([]byte, sizeofDiagMessage)
	diag[0], diag[1] = unix.AF_INET6, stateListen
	binary.BigEndian.PutUint16(diag[4:], 80)
	f.Add(append(diag, 5, 0, diagSKV6Only, 0, 1, 0, 0, 0))
	route := make([]byte, unix.SizeofRtMsg)
	route[0], route[5], route[7] = unix.AF_INET6, unix.RTPROT_RA, unix.RTN_UNICAST
	f.Add(append(route, 8, 0, unix.RTA_OIF, 0, 1, 0, 0, 0))
	f.Fuzz(func(t *testing.T, msg []byte) {
		parseSocket(msg)
		parseLearned(msg)
		_, _ = parsePorts(string(msg))
	})
}
