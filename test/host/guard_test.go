// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// guarded runs a test once for each place where things are dropped early, which is the name of the hook in the counters. XDP in the driver
// is never chosen for a veth, where it costs more than it saves: here it is told to.
func guarded(t *testing.T, flags []string, f func(l lab, hook string)) {
	behaviour.NeedRoot(t)
	t.Parallel()
	for _, c := range []struct {
		name, hook string
		flags      []string
	}{
		{"native", "xdp", []string{"--xdp=eth*"}},
		{"generic", "xdp", []string{"--xdp=eth*", "--xdp-generic"}},
		{"tcx", "guard", []string{"--attach=tcx"}},
		{"clsact", "guard", []string{"--attach=clsact"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			needMode(t, c.name)
			t.Parallel()
			f(newLab(t, slices.Concat(c.flags, flags)...), c.hook)
		})
	}
}

func prefixOf(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// onXDP says how an interface of the host's runs XDP.
func (l lab) onXDP(dev string) string {
	l.Helper()
	out := l.command(l.topo.Host, "ip link show "+dev)
	for _, mode := range []string{"xdpgeneric", "xdp"} {
		if strings.Contains(out, " "+mode+" ") {
			return mode
		}
	}
	return ""
}

// Whatever else is dropped: published ports, masquerading, neighbours, the host's own services and what it asks for itself all work.
func TestGuardHarmsNobody(t *testing.T) {
	guarded(t, []string{"--drop-closed-ports=1-65535", "--max-source-rate=100000"}, func(l lab, hook string) {
		_, err := l.api.DenySources(l.Context(), api.Deny{Prefixes: []netip.Prefix{prefix("198.51.100.0/24"), prefix("2001:db8:bad::/48")}})
		l.must(err)
		l.families("D01 D02 D10", func(l lab, a family) {
			streams := held{l: l}
			for _, network := range protocols() {
				streams.add(l.at("R"), network, port(a.host, publishedPort), netip.AddrPort{})
				streams.add(l.at("c2"), network, port(a.remote, remotePort), netip.AddrPort{})
				streams.add(l.at("H"), network, port(a.remote, remotePort), netip.AddrPort{})
				streams.add(l.at("R"), network, port(a.host, remotePort), netip.AddrPort{})
			}
			l.holds(a)
			l.seesItself(l.at("R"), port(a.host, remotePort), "H")
			l.sees(l.at("H"), port(a.remote, remotePort), "R", a.host)
			l.pings(l.at("R"), a.host)
			l.dropped(hook+"/closed-port", 2, func() { l.ends(l.at("R"), port(a.host, 8), netlab.TimesOut) })
			late := l.serve(l.topo.Host, "late", 8)
			l.seesItself(l.at("R"), port(a.host, 8), "late")
			late.Close()
			streams.unharmed()
		})
	})
}

// What is denied does not come in, neither to ask nor to answer; not after a restart either, nor while nobody runs. What is
// taken off the list does.
func TestDeniedSources(t *testing.T) {
	guarded(t, nil, func(l lab, hook string) {
		l.families("R01 R05", func(l lab, a family) {
			toPublished, denied := port(a.host, publishedPort), api.Deny{Prefixes: []netip.Prefix{prefixOf(a.remote)}}
			l.seesItself(l.at("R"), toPublished, "c1")
			_, err := l.api.DenySources(l.Context(), denied)
			l.must(err)
			isDenied := func(when string) {
				l.Helper()
				l.ends(l.at("R"), toPublished, netlab.TimesOut)
				l.ends(l.at("R"), port(a.host, remotePort), netlab.TimesOut)
				l.ends(l.at("c2"), port(a.remote, remotePort), netlab.TimesOut)
				l.noPing(l.at("R"), a.host)
				if got := l.onXDP("eth0") != ""; got != (hook == "xdp") {
					l.Errorf("%s: eth0 runs XDP: %v", when, got)
				}
			}
			l.dropped(hook+"/denied", 7, func() { isDenied("denied") })
			pins := l.pins()
			l.must(l.vw.Kill())
			isDenied("without a daemon")
			l.must(l.vw.Restart(l.Context()))
			l.dropped(hook+"/denied", 7, func() { isDenied("after a restart") })
			if got := l.pins(); fmt.Sprint(got) != fmt.Sprint(pins) {
				l.Errorf("pins have changed: %v, they were %v", got, pins)
			}
			_, err = l.api.AllowSources(l.Context(), denied)
			l.must(err)
			l.seesItself(l.at("R"), toPublished, "c1")
			l.sees(l.at("c2"), port(a.remote, remotePort), "R", a.host)
			if got := l.onXDP("eth0"); got != "" {
				l.Errorf("nothing is denied any more, and eth0 still runs %s", got)
			}
		})
	})
}

// A source that begins too much is held up; what it has begun, other sources, and the host's own services are not.
func TestSourceRate(t *testing.T) {
	const burst, tries = 4, 8
	guarded(t, []string{"--max-source-rate=1", fmt.Sprintf("--max-source-burst=%d", burst)}, func(l lab, hook string) {
		l.families("R05", func(l lab, a family) {
			streams := held{l: l}
			streams.add(l.at("R"), "tcp", port(a.host, publishedPort), netip.AddrPort{})
			l.dropped(hook+"/source-rate", 1, func() {
				for range tries {
					netlab.Try(l.Context(), l.at("R"), "udp", port(a.host, publishedPort), silence)
				}
			})
			l.seesItself(l.at("R"), port(a.host, remotePort), "H")
			streams.unharmed()
		})
	})
}

// An uplink that comes later is guarded as well.
func TestGuardOnANewUplink(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t, "--xdp=eth1")
	_, err := l.api.DenySources(l.Context(), api.Deny{Prefixes: []netip.Prefix{prefix("198.51.100.0/24")}})
	l.must(err)
	up, err := l.topo.AddUplink()
	l.must(err)
	l.eventually("XDP on "+up.Dev, func() error {
		if got := l.onXDP(up.Dev); got != "xdp" {
			return fmt.Errorf("it runs %q", got)
		}
		return nil
	})
	if got := l.onXDP("eth0"); got != "" {
		l.Errorf("eth0, which is not named, runs %s", got)
	}
}
