// SPDX-License-Identifier: Apache-2.0

package link

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Both ways to list sockets say the same, but for what the older one does not know.
func TestProcSocketsAreThoseOfDiag(t *testing.T) {
	l := newLab(t)
	listen(t, l.host, "127.0.0.1:8443")
	listen(t, l.host, "[::1]:8444")
	for _, at := range []string{"127.0.0.1:5353", "[::]:5354"} {
		udp, err := l.host.ListenPacket(t.Context(), netip.MustParseAddrPort(at))
		if err != nil {
			t.Fatal(err)
		}
		defer udp.Close()
	}
	for _, to := range []string{"127.0.0.1:8443", "[::1]:8444"} {
		c, err := l.host.Dial(t.Context(), "tcp", netip.MustParseAddrPort(to))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	total := 0
	for name, r := range map[string]diagRequest{
		"all tcp":           {query{proto: unix.IPPROTO_TCP, states: ^uint32(0)}, unix.AF_INET},
		"all tcp6":          {query{proto: unix.IPPROTO_TCP, states: ^uint32(0)}, unix.AF_INET6},
		"all udp":           {query{proto: unix.IPPROTO_UDP, states: ^uint32(0)}, unix.AF_INET},
		"all udp6":          {query{proto: unix.IPPROTO_UDP, states: ^uint32(0)}, unix.AF_INET6},
		"listening":         {query{proto: unix.IPPROTO_TCP, states: unconnected}, unix.AF_INET},
		"connected":         {query{proto: unix.IPPROTO_TCP, states: ^unconnected}, unix.AF_INET6},
		"one port":          {query{proto: unix.IPPROTO_TCP, states: ^uint32(0), ports: portIs(8443)}, unix.AF_INET},
		"outside of a span": {query{proto: unix.IPPROTO_TCP, states: ^uint32(0), ports: portOutside([2]uint16{8443, 8443})}, unix.AF_INET},
	} {
		want, err := l.diag(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := l.procSockets(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if text := describe(got); text != describe(want) {
			t.Errorf("%s:\n%s, want\n%s", name, text, describe(want))
		}
		total += len(want)
	}
	if total < 12 {
		t.Errorf("%d sockets were compared", total)
	}
	if got, err := l.procSockets(diagRequest{query{proto: unix.IPPROTO_SCTP, states: ^uint32(0)}, unix.AF_INET}); err != nil || got != nil {
		t.Errorf("of SCTP %v, %v", got, err)
	}
}

func describe(list []socket) string {
	slices.SortFunc(list, func(a, b socket) int {
		return cmp.Or(cmp.Compare(a.inode, b.inode), a.local.Compare(b.local))
	})
	var b strings.Builder
	for _, s := range list {
		fmt.Fprintf(&b, "%s %s %d %d\n", s.local, s.remote, s.state, s.inode)
	}
	return b.String()
}

func TestParseProcSockets(t *testing.T) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	for name, bad := range map[string]string{
		"few fields": "   0: 0100007F:20FB 00000000:0000 0A\n",
		"address":    "   0: 0100007:20FB 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1\n",
		"port":       "   0: 0100007F:120FB 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1\n",
		"state":      "   0: 0100007F:20FB 00000000:0000 FF 00000000:00000000 00:00000000 00000000 0 0 1\n",
		"inode":      "   0: 0100007F:20FB 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 x\n",
		"short":      "   0: 7F:20FB 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1\n",
	} {
		if list, err := parseProcSockets(strings.NewReader(head + bad)); err == nil {
			t.Errorf("%s: %+v", name, list)
		}
	}
	if list, err := parseProcSockets(strings.NewReader(head)); err != nil || len(list) != 0 {
		t.Errorf("of none: %+v, %v", list, err)
	}
}
