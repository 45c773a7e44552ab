// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vethway/vethway/test/behaviour"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := CheckLeaks(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func TestWhoAmI(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	topo := Must(t, Config{})
	MustWhoami(t, topo.Host, 8080)
	for _, host := range []netip.Addr{topo.Host4, topo.Host6} {
		for _, tc := range []struct {
			network string
			opts    WhoAmIOptions
		}{
			{"tcp", WhoAmIOptions{}},
			{"tcp", WhoAmIOptions{Source: netip.AddrPortFrom(netip.Addr{}, 40000)}},
			{"udp", WhoAmIOptions{}},
			{"udp", WhoAmIOptions{Unconnected: true}},
			{"udp", WhoAmIOptions{Unconnected: true, Source: netip.AddrPortFrom(netip.Addr{}, 40000)}},
		} {
			addr := netip.AddrPortFrom(host, 8080)
			seen, err := WhoAmI(t.Context(), topo.Remote, tc.network, addr, tc.opts)
			if err != nil {
				t.Fatal(err)
			}
			if seen.Peer.Addr() != topo.RemoteAddr(host) || seen.Local != addr || seen.ClientPeer != addr || seen.Server != "lab-host" {
				t.Errorf("%s to %s: %s", tc.network, addr, seen)
			}
			if want := tc.opts.Source.Port(); want != 0 && seen.Peer.Port() != want {
				t.Errorf("%s to %s: %s, want port %d", tc.network, addr, seen, want)
			}
		}
	}
}

func TestOutcome(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	topo := Must(t, Config{})
	MustWhoami(t, topo.Host, 8080)
	for _, network := range []string{"tcp", "udp"} {
		if got := Try(t.Context(), topo.Remote, network, netip.AddrPortFrom(topo.Host4, 8080), time.Second); got != OK {
			t.Errorf("%s to an open port: %s", network, got)
		}
		if got := Try(t.Context(), topo.Remote, network, netip.AddrPortFrom(topo.Host6, 8081), time.Second); got != Refused {
			t.Errorf("%s to a closed port: %s", network, got)
		}
		if got := Try(t.Context(), topo.Remote, network, netip.MustParseAddrPort("172.30.1.2:80"), time.Second); got != Unreachable {
			t.Errorf("%s to where there is no route: %s", network, got)
		}
		if got := Try(t.Context(), topo.Host, network, netip.MustParseAddrPort("203.0.113.9:80"), 100*time.Millisecond); got != TimesOut && got != Unreachable {
			t.Errorf("%s to silence: %s", network, got)
		}
	}
}

func TestTopologyGrows(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	topo := Must(t, Config{})
	second, err := topo.AddUplink()
	if err != nil {
		t.Fatal(err)
	}
	fb, err := topo.AddForeignBridge()
	if err != nil {
		t.Fatal(err)
	}
	MustWhoami(t, topo.Host, 8080)
	for _, tc := range []struct {
		from *Namespace
		to   netip.Addr
		seen netip.Addr
	}{
		{second.Remote, second.Host4.Addr(), second.RemoteAddr4.Addr()},
		{second.Remote, second.Host6.Addr(), second.RemoteAddr6.Addr()},
		{fb.Guest, topo.Host4, fb.Guest4},
		{fb.Guest, topo.Host6, fb.Guest6},
	} {
		seen, err := WhoAmI(t.Context(), tc.from, "tcp", netip.AddrPortFrom(tc.to, 8080), WhoAmIOptions{})
		if err != nil {
			t.Error(err)
		} else if seen.Peer.Addr() != tc.seen {
			t.Errorf("from %s: %s", tc.from, seen)
		}
	}
}

func TestCurlReadsAnswer(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	topo := Must(t, Config{})
	MustWhoami(t, topo.Host, 8080)
	out, err := topo.Remote.Run(t.Context(), "curl", "-sS", "--max-time", "2", "http://192.0.2.2:8080/")
	if err != nil {
		t.Fatal(err)
	}
	if want := "lab-host sees 192.0.2.3:"; len(out) < len(want) || out[:len(want)] != want {
		t.Errorf("curl prints %q, want %q…", out, want)
	}
}
