// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"
	"testing"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// A port that is published on a loopback address is for the host alone.
func TestPublishedOnLoopback(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.families("D14", func(l lab, a family) {
		const only = 8081
		l.publish("c1", both(api.PublishSpec{HostIP: a.loopback, HostPort: only, ContainerPort: serverPort})...)
		l.sees(l.at("H"), port(a.loopback, only), "c1", a.gateway1)
		for _, to := range []netip.Addr{a.host, a.gateway1} {
			l.ends(l.at("H"), port(to, only), netlab.Refused)
			l.ends(l.at("c2"), port(to, only), netlab.Refused)
			l.ends(l.at("c1"), port(to, only), netlab.Refused)
			l.ends(l.at("d1"), port(to, only), netlab.Refused)
		}
		l.ends(l.at("R"), port(a.host, only), netlab.Refused)
		// A container's own loopback is its own.
		l.ends(l.at("c2"), port(a.loopback, only), netlab.Refused)
		l.forgesLoopback(a, only)
	})
}

// forgesLoopback sends frames from the LAN and from a container to the loopback address, as no stack would: nothing may
// reach the publisher, and nobody may answer.
func (l lab) forgesLoopback(a family, p uint16) {
	l.Helper()
	ear := l.newWire("c1")
	for _, from := range []struct {
		name string
		src  netip.Addr
	}{
		{"R", a.remote},
		{"c2", a.c2},
	} {
		w := l.newWire(from.name)
		src, dst := port(from.src, 4444), port(a.loopback, p)
		for _, packet := range [][]byte{
			netlab.TCPPacket(src, dst, netlab.SYN, 1, 0, nil),
			netlab.UDPPacket(src, dst, []byte("who\n")),
		} {
			w.send(packet)
		}
		if answers := w.all(silence, func(ip netlab.IPInfo) bool { return ip.Dst == src }); len(answers) > 0 {
			l.Errorf("forged frames of %s for %s were answered", from.name, dst)
		}
	}
	// The ear hears what arrives: the host's own question.
	l.ask(l.at("H"), "udp", port(a.loopback, p), netlab.WhoAmIOptions{})
	heard := false
	for _, ip := range ear.all(silence, func(ip netlab.IPInfo) bool { return ip.Dst.Port() == serverPort }) {
		heard = heard || ip.Src.Addr() == a.gateway1
		if ip.Src.Port() == 4444 {
			l.Errorf("a forged packet from %s reached the container", ip.Src)
		}
	}
	if !heard {
		l.Error("nothing of the host's own was heard in c1")
	}
}
