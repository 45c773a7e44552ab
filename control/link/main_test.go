// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		for _, find := range []func() error{func() error { return goleak.Find() }, netlab.CheckLeaks} {
			if err := find(); err != nil {
				fmt.Fprintln(os.Stderr, "leak:", err)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// lab is a host in a namespace of its own, with the Links under test bound to it.
type lab struct {
	*testing.T
	host *netlab.Namespace
	*Links
}

const bridgeName = "vw-0123456789ab"

var (
	gateway4 = netip.MustParsePrefix("10.77.0.1/24")
	gateway6 = netip.MustParsePrefix("fd00:77::1/64")
)

func newLab(t *testing.T) *lab {
	t.Helper()
	behaviour.NeedRoot(t)
	host := newNamespace(t, "host")
	l, err := New(Config{
		Namespace: host.Path(),
		Logger:    slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return &lab{T: t, host: host, Links: l}
}

func newNamespace(t *testing.T, name string) *netlab.Namespace {
	t.Helper()
	ns, err := netlab.NewNamespace(netlab.NamespaceConfig{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

func bridgeSpec() control.BridgeSpec {
	return control.BridgeSpec{
		Name: bridgeName, MAC: mac(1), MTU: 1500, IPv6: true, Addrs: []netip.Prefix{gateway4, gateway6},
	}
}

func mac(n byte) net.HardwareAddr { return net.HardwareAddr{0x02, 0x42, 0x77, 0, 0, n} }

// endpointSpec is the endpoint whose addresses end in n.
func endpointSpec(ns *netlab.Namespace, n byte) control.EndpointSpec {
	return control.EndpointSpec{
		HostName: fmt.Sprintf("vwv%012x", n), Bridge: bridgeName,
		Namespace: control.NamespaceRef{Path: ns.Path(), Cookie: ns.Cookie()},
		MAC:       mac(n), MTU: 1500, IPv6: true,
		Addrs: []netip.Prefix{addr4(n), addr6(n)},
	}
}

func addr4(n byte) netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, 0, n}), 24) }

func addr6(n byte) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 3: 0x77, 15: n}), 64)
}

func (l *lab) bridge(b control.BridgeSpec) control.BridgeInfo {
	l.Helper()
	info, err := l.EnsureBridge(l.Context(), b)
	if err != nil {
		l.Fatal(err)
	}
	return info
}

// attach makes the endpoint and activates it.
func (l *lab) attach(e control.EndpointSpec) control.EndpointInfo {
	l.Helper()
	info, err := l.EnsureEndpoint(l.Context(), e)
	if err == nil {
		err = l.ActivateEndpoint(l.Context(), e)
	}
	if err != nil {
		l.Fatal(err)
	}
	return info
}

func (l *lab) routes(e control.EndpointSpec, r control.DefaultRoutes) {
	l.Helper()
	if err := l.SetDefaultRoutes(l.Context(), e.Namespace, r); err != nil {
		l.Fatal(err)
	}
}

// container makes a namespace and attaches it.
func (l *lab) container(n byte) (*netlab.Namespace, control.EndpointSpec) {
	l.Helper()
	ns := newNamespace(l.T, fmt.Sprintf("c%d", n))
	e := endpointSpec(ns, n)
	l.attach(e)
	return ns, e
}

// run runs a command in the namespace and returns what it printed.
func (l *lab) run(ns *netlab.Namespace, command string) string {
	l.Helper()
	args := strings.Fields(command)
	out, err := ns.Run(l.Context(), args[0], args[1:]...)
	if err != nil {
		l.Fatal(err)
	}
	return out
}

func (l *lab) want(ns *netlab.Namespace, command string, contains ...string) {
	l.Helper()
	out := l.run(ns, command)
	for _, s := range contains {
		if !strings.Contains(out, s) {
			l.Errorf("%s in %s lacks %q:\n%s", command, ns, s, out)
		}
	}
}

func (l *lab) wantNone(ns *netlab.Namespace, command string, lacks ...string) {
	l.Helper()
	out := l.run(ns, command)
	for _, s := range lacks {
		if strings.Contains(out, s) {
			l.Errorf("%s in %s still has %q:\n%s", command, ns, s, out)
		}
	}
}

func (l *lab) ping(ns *netlab.Namespace, to ...netip.Addr) {
	l.Helper()
	for _, addr := range to {
		if _, err := netlab.Ping(context.WithoutCancel(l.Context()), ns, addr, netlab.PingOptions{}); err != nil {
			l.Errorf("ping %s from %s: %v", addr, ns, err)
		}
	}
}

// waitFor polls for what another process has yet to do.
func (l *lab) waitFor(done func() bool) {
	l.Helper()
	for range 500 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.Fatal("it did not happen")
}
