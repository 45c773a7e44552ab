// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/test/netlab"
)

func wantSignal(t *testing.T, changed <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-changed:
	case <-time.After(5 * time.Second):
		t.Fatalf("no signal after %s", what)
	}
}

func TestWatch(t *testing.T) {
	l := newLab(t)
	l.run(l.host, "ip link add up0 type veth peer name down0")
	l.run(l.host, "ip link set down0 up")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed, err := l.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{
		"ip link set up0 up",
		"ip addr add 192.0.2.10/24 dev up0",
		"ip route add 10.9.0.0/16 via 192.0.2.1",
		"ip addr add 2001:db8::10/64 dev up0 nodad",
		"ip -6 route add 2001:db8:9::/48 via 2001:db8::1",
		"ip -6 route del 2001:db8:9::/48",
		"ip link del up0",
	} {
		quiet(changed)
		l.run(l.host, command)
		wantSignal(t, changed, command)
	}
	cancel()
	for range changed {
	}
}

// TestWatchOutlivesAnOverrun fills the socket's buffer before anybody reads from it.
func TestWatchOutlivesAnOverrun(t *testing.T) {
	l := newLab(t)
	s, err := l.subscribe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetReceiveBufferSize(4096, true); err != nil {
		t.Fatal(err)
	}
	var batch strings.Builder
	for i := range 200 {
		fmt.Fprintf(&batch, "addr add 192.0.2.%d/32 dev lo\n", i+1)
	}
	if _, err := l.host.RunInput(t.Context(), batch.String(), "ip", "-batch", "-"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed := make(chan struct{}, 1)
	go l.watch(ctx, s, changed)
	wantSignal(t, changed, "an overrun")
	quiet(changed)
	l.run(l.host, "ip addr del 192.0.2.1/32 dev lo")
	wantSignal(t, changed, "what followed")

	// A socket that breaks is replaced.
	quiet(changed)
	s.Close()
	wantSignal(t, changed, "the socket was lost")
	quiet(changed)
	l.run(l.host, "ip addr del 192.0.2.2/32 dev lo")
	wantSignal(t, changed, "the socket was replaced")
	cancel()
	for range changed {
	}
}

// TestWatchLeavesOutTimersOfPorts: a bridge port is reported once more when forward_delay has passed, though nothing changed.
func TestWatchLeavesOutTimersOfPorts(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	_, e := l.container(2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed, err := l.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	quiet(changed)
	// Any attribute of the port makes the same message, and need not be waited for.
	l.run(l.host, "bridge link set dev "+e.HostName+" cost 7")
	select {
	case <-changed:
		t.Error("a signal for what concerns the bridge alone")
	case <-time.After(200 * time.Millisecond):
	}
	l.run(l.host, "ip link set "+e.HostName+" nomaster")
	wantSignal(t, changed, "the port left the bridge")
	cancel()
	for range changed {
	}
}

// TestWatchLeavesOutWhatIsNotNew: the kernel reports an interface whose offloads were switched in the words that it had for it before. All
// containers would be looked at for each.
func TestWatchLeavesOutWhatIsNotNew(t *testing.T) {
	l := newLab(t)
	l.run(l.host, "ip link add up0 type veth peer name down0")
	l.run(l.host, "ip link set up0 up")
	l.run(l.host, "ip link set down0 up")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed, err := l.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	quiet(changed)
	l.run(l.host, "ethtool -K up0 gro on")
	wantSignal(t, changed, "the first that was heard of it")
	quiet(changed)
	heard := monitor(t, l.host)
	l.run(l.host, "ethtool -K up0 gro off")
	if len(heard()) == 0 {
		t.Fatal("the kernel reports no switching of offloads")
	}
	select {
	case <-changed:
		t.Error("a signal for what was known")
	case <-time.After(200 * time.Millisecond):
	}
	for _, command := range []string{"ip link set up0 mtu 1400", "ip link set up0 down", "ip link set up0 up"} {
		quiet(changed)
		l.run(l.host, command)
		wantSignal(t, changed, command)
	}
	cancel()
	for range changed {
	}
}

// TestWatchLeavesOutOurDoing: attaching and removing endpoints is no news, but whatever somebody else does to their host ends is.
func TestWatchLeavesOutOurDoing(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	_, there := l.container(2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed, err := l.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	quiet(changed)
	ns, e := l.container(3)
	l.attach(e) // as it is
	if err := l.RemoveEndpoint(ctx, there); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
		t.Error("a signal for what we did ourselves")
	case <-time.After(200 * time.Millisecond):
	}
	for _, done := range []struct {
		where   *netlab.Namespace
		command string
		before  string
	}{
		{l.host, "ip link set " + e.HostName + " mtu 1400", ""},
		{l.host, "ip link set " + e.HostName + " nomaster", ""},
		{l.host, "ip link set " + e.HostName + " down", ""},
		{ns, "ip link set eth0 down", ""},
		{l.host, "ip link del " + e.HostName, ""},
		// Before Linux 6.2 no link that is up can be given another name.
		{l.host, "ip link set " + e.HostName + " name vwother", "ip link set " + e.HostName + " down"},
	} {
		l.attach(e)
		if done.before != "" {
			l.run(done.where, done.before)
		}
		quiet(changed)
		l.run(done.where, done.command)
		wantSignal(t, changed, done.command)
	}
	cancel()
	for range changed {
	}
}

// quiet waits until no signal came for a while.
func quiet(changed <-chan struct{}) {
	for {
		select {
		case <-changed:
		case <-time.After(50 * time.Millisecond):
			return
		}
	}
}

// monitor returns a function that says what the kernel reported of the namespace since, of whatever kind.
func monitor(t *testing.T, ns *netlab.Namespace) (heard func() []string) {
	t.Helper()
	var s *nl.NetlinkSocket
	err := ns.Do(func() (err error) {
		s, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_TC,
			unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
			unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.SetReceiveTimeout(&unix.Timeval{Usec: 200_000}); err != nil {
		t.Fatal(err)
	}
	return func() (kinds []string) {
		for {
			messages, _, err := s.Receive()
			if err != nil {
				return kinds // nothing more within the timeout
			}
			for _, m := range messages {
				kinds = append(kinds, fmt.Sprintf("type %d: %x", m.Header.Type, m.Data))
			}
		}
	}
}

// TestReconcileComesToRest: ensuring what is as it should be changes nothing, so that no reconcile is the cause of the next.
func TestReconcileComesToRest(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	ns, e := l.container(2)
	routes := control.DefaultRoutes{
		Gateway4: gateway4.Addr(), Gateway6: gateway6.Addr(), Interface4: "eth0", Interface6: "eth0",
	}
	l.routes(e, routes)
	host, container := monitor(t, l.host), monitor(t, ns)
	host() // what the first time still brings
	container()
	l.bridge(bridgeSpec())
	l.attach(e)
	l.routes(e, routes)
	for where, heard := range map[string]func() []string{"host": host, "container": container} {
		for _, message := range heard() {
			t.Errorf("a reconcile that had nothing to do made a change in the %s: %s", where, message)
		}
	}
}
