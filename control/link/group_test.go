// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// TestRemoveGroup: what is ours goes at once, and nothing else, whatever group it is in.
func TestRemoveGroup(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	ns2, _ := l.container(2)
	ns3, _ := l.container(3)
	l.foreign()
	all, err := l.linkList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	group, err := freeGroup(all)
	if err == nil {
		err = l.removeGroup(all, mine(all), group)
	}
	if err != nil {
		t.Fatal(err)
	}
	if names, err := l.Owned(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("left are %v, %v", names, err)
	}
	for _, ns := range []*netlab.Namespace{ns2, ns3} {
		l.wantNone(ns, "ip link", "eth0")
	}
	l.wantForeign()
	// In several groups, and none.
	l.crowd(t, []*netlab.Namespace{ns2}, atOnce+3)
	for range 2 {
		if err := l.RemoveInterfaces(t.Context()); err != nil {
			t.Error(err)
		}
		if names, err := l.Owned(t.Context()); err != nil || len(names) != 0 {
			t.Errorf("left are %v, %v", names, err)
		}
	}
	l.wantForeign()
}

// TestRemoveGroupWithForeigner: nothing goes as long as somebody else's interface is in the group, be it that we put it there, because its
// number was that of one of ours, or not. Then ours go one by one.
func TestRemoveGroupWithForeigner(t *testing.T) {
	for _, taken := range []bool{false, true} {
		t.Run(fmt.Sprintf("number of ours %t", taken), func(t *testing.T) {
			l := newLab(t)
			l.bridge(bridgeSpec())
			l.container(2)
			l.foreign()
			all, err := l.linkList(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			remove, group := mine(all), uint32(7)
			if taken {
				theirs, err := l.h.LinkByName("theirs")
				if err != nil {
					t.Fatal(err)
				}
				renumbered := netlink.NewVeth(netlink.LinkAttrs{Name: "vwv000000000009", Index: theirs.Attrs().Index})
				remove, group = append(remove, renumbered), 77777
			}
			if err := l.removeGroup(all, remove, group); !errors.Is(err, ErrForeign) {
				t.Errorf("removing the group: %v, want ErrForeign", err)
			}
			if names, err := l.Owned(t.Context()); err != nil || len(names) != len(mine(all)) {
				t.Errorf("ours are %v, %v", names, err)
			}
			l.wantForeign()
			if err := l.removeEach(t.Context()); err != nil {
				t.Error(err)
			}
			if names, err := l.Owned(t.Context()); err != nil || len(names) != 0 {
				t.Errorf("left are %v, %v", names, err)
			}
			l.wantForeign()
		})
	}
}

// foreign makes interfaces that are not ours, one in a group of its own.
func (l *lab) foreign() {
	l.Helper()
	l.run(l.host, "ip link add theirs group 7 type veth peer name theirs2")
	l.run(l.host, "ip link add docker0 type bridge")
	l.run(l.host, "ip link set theirs2 master docker0")
}

func (l *lab) wantForeign() {
	l.Helper()
	l.want(l.host, "ip link show group 7", "theirs@theirs2")
	l.want(l.host, "ip link show group default", "theirs2@theirs", "docker0")
}

// BenchmarkRemoval removes the interfaces of 470 containers.
func BenchmarkRemoval(b *testing.B) {
	behaviour.NeedRoot(b)
	var spaces []*netlab.Namespace
	for n := range 47 {
		spaces = append(spaces, benchNamespace(b, fmt.Sprint("c", n)))
	}
	l, err := New(Config{Namespace: benchNamespace(b, "host").Path()})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for name, remove := range map[string]func() error{
		"together": func() error { return l.RemoveInterfaces(b.Context()) },
		"each":     func() error { return l.removeEach(b.Context()) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				l.crowd(b, spaces, 470)
				b.StartTimer()
				if err := remove(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func (l *Links) crowd(t testing.TB, spaces []*netlab.Namespace, size int) {
	t.Helper()
	if _, err := l.EnsureBridge(t.Context(), bridgeSpec()); err != nil {
		t.Fatal(err)
	}
	for n := range size {
		e := endpointSpec(spaces[n%len(spaces)], byte(n))
		e.HostName, e.Addrs = fmt.Sprintf("vwv%012x", n), nil
		e.MAC = net.HardwareAddr{2, 0x42, 0x77, 0, byte(n >> 8), byte(n)}
		if _, err := l.EnsureEndpoint(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}
