// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// The bytes are spelt out, for the tests of what is heard are built from the same functions.
func TestAnnouncementBytes(t *testing.T) {
	for addr, want := range map[string]string{
		"10.77.0.2": "ffffffffffff024277000002" + "0806" + "0001" + "0800" + "06" + "04" + "0001" +
			"024277000002" + "0a4d0002" + "000000000000" + "0a4d0002",
		"fd00:77::2": "333300000001024277000002" + "86dd" + "60000000" + "0020" + "3a" + "ff" +
			"fd000077000000000000000000000002" + "ff020000000000000000000000000001" +
			"8800" + "e267" + "20000000" + "fd000077000000000000000000000002" + "0201" + "024277000002",
	} {
		if got := hex.EncodeToString(announcement(mac(2), netip.MustParseAddr(addr))); got != want {
			t.Errorf("announcement of %s is\n%s, want\n%s", addr, got, want)
		}
	}
}

func TestAttachAnnounces(t *testing.T) {
	for family, addr := range map[string]netip.Prefix{behaviour.IPv4: addr4(9), behaviour.IPv6: addr6(9)} {
		t.Run(family, func(t *testing.T) {
			behaviour.Covers(t, "D31", family)
			l := newLab(t)
			l.bridge(bridgeSpec())
			neighbour, _ := l.container(2)
			heard := listenFor(t, neighbour)

			first := newNamespace(t, "first")
			e := endpointSpec(first, 3)
			e.Addrs = []netip.Prefix{addr}
			l.attach(e)
			heard(announcement(mac(3), addr.Addr()))
			l.ping(neighbour, addr.Addr()) // now the neighbour knows it by the first one's MAC

			// The address moves: the neighbour must use the new MAC at once.
			if err := l.RemoveEndpoint(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			second := newNamespace(t, "second")
			e = endpointSpec(second, 4)
			e.Addrs = []netip.Prefix{addr}
			l.attach(e)
			heard(announcement(mac(4), addr.Addr()))
			l.ping(neighbour, addr.Addr())
			l.ping(l.host, addr.Addr())
		})
	}
}

// TestAnnouncesOnlyNews: a reconcile is no reason to announce, a repaired address is.
func TestAnnouncesOnlyNews(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	neighbour, _ := l.container(2)
	ns, e := l.container(3)
	p := openPacket(t, neighbour)
	l.attach(e)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	isNews := func(f netlab.Frame) bool { return isAnnouncement(f, e) }
	if frames, err := p.Collect(ctx, isNews); err != nil || len(frames) != 0 {
		t.Errorf("heard %d announcements of what nothing happened to, %v", len(frames), err)
	}
	l.run(ns, "ip addr del 10.77.0.3/24 dev eth0")
	l.attach(e)
	ctx, cancel = context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if _, err := p.Sniff(ctx, isNews); err != nil {
		t.Errorf("a repaired address: %v", err)
	}
}

func isAnnouncement(f netlab.Frame, e control.EndpointSpec) bool {
	for _, p := range e.Addrs {
		if string(f.Data) == string(announcement(e.MAC, p.Addr())) {
			return true
		}
	}
	return false
}

// listenFor captures on the neighbour's eth0; the function it returns fails the test unless the frame was heard.
func listenFor(t *testing.T, ns *netlab.Namespace) func(want []byte) {
	t.Helper()
	p := openPacket(t, ns)
	return func(want []byte) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		_, err := p.Sniff(ctx, func(f netlab.Frame) bool { return !f.Outgoing && string(f.Data) == string(want) })
		if err != nil {
			t.Fatalf("did not hear %x: %v", want, err)
		}
	}
}

func openPacket(t *testing.T, ns *netlab.Namespace) *netlab.PacketSocket {
	t.Helper()
	p, err := netlab.OpenPacket(ns, "eth0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}
