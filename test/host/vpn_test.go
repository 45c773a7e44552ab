// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"net/netip"
	"time"

	"github.com/vethway/vethway/test/netlab"
)

// vpn is a tun interface of the host, and a client at its other end: a second tun interface in a namespace of its own.
// What one sends, the other receives, without a link-layer header on the way.
type vpn struct {
	client         *netlab.Namespace
	host4, host6   netip.Addr
	peer4, peer6   netip.Addr
	hostTun, other *netlab.Tun
}

func (l lab) newVPN() *vpn {
	l.Helper()
	v := &vpn{host4: addr("10.8.0.1"), host6: addr("fd08::1"), peer4: addr("10.8.0.2"), peer6: addr("fd08::2")}
	var err error
	v.hostTun, err = l.topo.AddTun()
	l.must(err)
	v.client, err = l.topo.AddContainer("vpn")
	l.must(err)
	v.other, err = v.client.AddTun("tun0")
	l.must(err)
	l.must(v.client.AddAddr("tun0", netip.PrefixFrom(v.peer4, 24)))
	l.must(v.client.AddAddr("tun0", netip.PrefixFrom(v.peer6, 64)))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	go pump(ctx, v.hostTun, v.other, done)
	go pump(ctx, v.other, v.hostTun, done)
	l.Cleanup(func() {
		cancel()
		<-done
		<-done
		if err := v.other.Close(); err != nil {
			l.Error(err)
		}
	})
	l.serve(v.client, "vpn", remotePort)
	l.eventually("the tun interface becomes an uplink", func() error {
		return l.reaches(v.client, "udp", port(v.host4, publishedPort), "c1", netip.Addr{})
	})
	return v
}

// in is the addresses of the host and of the client in one family.
func (v *vpn) in(a family) (host, client netip.Addr) {
	if a.host.Is4() {
		return v.host4, v.peer4
	}
	return v.host6, v.peer6
}

func pump(ctx context.Context, from, to *netlab.Tun, done chan<- struct{}) {
	defer func() { done <- struct{}{} }()
	for {
		packet, err := from.Receive(ctx, nil)
		if err != nil {
			return
		}
		if err := to.Inject(packet); err != nil && ctx.Err() == nil {
			time.Sleep(time.Millisecond) // a full queue, as on any link
		}
	}
}
