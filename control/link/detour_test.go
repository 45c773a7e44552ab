// SPDX-License-Identifier: Apache-2.0

package link

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/test/netlab"
)

// newDetourLab is a lab that keeps a detour.
func newDetourLab(t *testing.T) *lab {
	t.Helper()
	l := newLab(t)
	l.detour = filepath.Join(t.TempDir(), "run", "detour")
	t.Cleanup(func() {
		if err := l.theDetour().removeFile(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *lab) ensureDetour() control.DetourInfo {
	l.Helper()
	info, err := l.EnsureDetour(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	return info
}

// inside opens the detour's namespace for commands.
func (l *lab) inside() *netlab.Namespace {
	l.Helper()
	ns, err := netlab.OpenNamespace("detour", l.detour)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { ns.Close() })
	return ns
}

func (l *lab) wantDetour(info control.DetourInfo) {
	l.Helper()
	if host, err := l.host.Link(control.DetourLink); err != nil || host.Index != info.Index {
		l.Errorf("the host's end: %+v, %v, want index %d", host, err, info.Index)
	}
	l.want(l.host, "ip link show dev vwf0", "mtu 65535", portMAC(control.DetourLink).String(), "UP")
	l.wantNone(l.host, "ip addr show dev vwf0", "inet")
	l.want(l.host, "cat /proc/sys/net/ipv6/conf/vwf0/disable_ipv6", "1")
	l.want(l.host, "cat /proc/sys/net/ipv4/conf/vwf0/forwarding", "0")
	in := l.inside()
	l.want(in, "ip link show dev eth0", "mtu 65535", info.MAC.String(), "UP")
	l.wantNone(in, "ip addr show dev eth0", "inet")
	l.want(in, "ip route", "default via 169.254.1.1 dev eth0")
	l.want(in, "ip -6 route", "default via fe80::1 dev eth0")
	l.want(in, "ip neigh", "169.254.1.1 dev eth0 lladdr "+portMAC(control.DetourLink).String()+" PERMANENT")
	l.want(in, "ip -6 neigh", "fe80::1 dev eth0 lladdr "+portMAC(control.DetourLink).String()+" ")
	for key, want := range map[string]string{
		"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1", "net.ipv4.conf.eth0.rp_filter": "0",
		"net.ipv4.conf.all.send_redirects": "0", "net.ipv6.conf.eth0.accept_ra": "0", "net.ipv4.ipfrag_time": fragmentWait,
	} {
		if got, err := in.Sysctl(key); err != nil || got != want {
			l.Errorf("%s is %q, %v, want %q", key, got, err, want)
		}
	}
}

func TestDetour(t *testing.T) {
	l := newDetourLab(t)
	forwarding := func() string {
		return l.run(l.host, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding")
	}
	before := forwarding()
	first := l.ensureDetour()
	l.wantDetour(first)
	if again := l.ensureDetour(); again.Index != first.Index || again.Namespace != first.Namespace {
		t.Errorf("a second call made another: %+v, then %+v", first, again)
	}
	if after := forwarding(); after != before {
		t.Errorf("forwarding of the host was %q and is %q", before, after)
	}
	owned, err := l.Owned(t.Context())
	if err != nil || !slices.Contains(owned, control.DetourLink) {
		t.Errorf("our links: %v, %v", owned, err)
	}
	facts, err := l.Host(t.Context())
	if err != nil || len(facts.Uplinks) > 0 || len(facts.Routes) > 0 {
		t.Errorf("the detour counts as the host's: %+v, %v", facts, err)
	}
}

// A process that comes later, or after it was killed, adopts what is there.
func TestDetourIsAdopted(t *testing.T) {
	l := newDetourLab(t)
	first := l.ensureDetour()
	next, err := New(Config{Namespace: l.host.Path(), DetourFile: l.detour})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	again, err := next.EnsureDetour(t.Context())
	if err != nil || again.Index != first.Index || again.Namespace != first.Namespace {
		t.Errorf("the next process has %+v, %v, the first had %+v", again, err, first)
	}
}

func TestDetourIsRepaired(t *testing.T) {
	l := newDetourLab(t)
	l.ensureDetour()
	in := l.inside()
	l.run(l.host, "ip link set vwf0 down mtu 1500")
	l.run(in, "ip link set eth0 down")
	l.run(in, "sysctl -q net.ipv4.ip_forward=0 net.ipv4.conf.eth0.rp_filter=1")
	l.wantDetour(l.ensureDetour())
	l.run(in, "ip route del default")
	l.run(in, "ip -6 neigh flush nud permanent")
	l.wantDetour(l.ensureDetour())

	was := l.ensureDetour()
	l.run(l.host, "ip link del vwf0")
	now := l.ensureDetour()
	if now.Namespace != was.Namespace {
		t.Errorf("the namespace was %+v and is %+v", was.Namespace, now.Namespace)
	}
	l.wantDetour(now)

	// The mount is gone, and the namespace with it or not: both ends are made anew.
	if err := unix.Unmount(l.detour, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	anew := l.ensureDetour()
	if anew.Namespace.Cookie == now.Namespace.Cookie {
		t.Errorf("the namespace is still %+v", anew.Namespace)
	}
	l.wantDetour(anew)
}

func TestDetourIsRemoved(t *testing.T) {
	for name, remove := range map[string]func(l *lab) error{
		"alone":    func(l *lab) error { return l.RemoveDetour(l.Context()) },
		"with all": func(l *lab) error { return l.RemoveAll(l.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newDetourLab(t)
			l.ensureDetour()
			for range 2 {
				if err := remove(l); err != nil {
					t.Fatal(err)
				}
			}
			l.wantNone(l.host, "ip link", control.DetourLink)
			if _, err := os.Lstat(l.detour); !os.IsNotExist(err) {
				t.Errorf("the namespace's file: %v", err)
			}
		})
	}
}
