// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
)

func deny(prefixes ...string) api.Deny {
	var req api.Deny
	for _, p := range prefixes {
		req.Prefixes = append(req.Prefixes, netip.MustParsePrefix(p))
	}
	return req
}

func prefixesOf(list []api.Denial) string {
	var out []netip.Prefix
	for _, d := range list {
		out = append(out, d.Prefix)
	}
	return fmt.Sprint(out)
}

func TestDenyList(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	is := func(when, want string) {
		t.Helper()
		list, err := w.engine.DeniedSources(ctx)
		if err != nil || prefixesOf(list) != want || fmt.Sprint(w.plane.State().Denied) != want {
			t.Errorf("%s: %s, %v, the programs have %v, want %s", when, prefixesOf(list), err, w.plane.State().Denied, want)
		}
	}
	added, err := w.engine.DenySources(ctx, deny("2001:db8::/32", "192.0.2.0/24", "192.0.2.0/24"))
	if err != nil || len(added) != 2 || added[0].Since.IsZero() {
		t.Fatalf("added %+v, %v", added, err)
	}
	is("two", "[192.0.2.0/24 2001:db8::/32]")
	if added, err = w.engine.DenySources(ctx, deny("192.0.2.0/24", "10.0.0.0/8")); err != nil || prefixesOf(added) != "[10.0.0.0/8]" {
		t.Errorf("added %+v, %v", added, err)
	}
	is("one twice", "[10.0.0.0/8 192.0.2.0/24 2001:db8::/32]")
	w.restart()
	if err := w.engine.Reconcile(ctx); err != nil {
		t.Fatal(err)
	}
	is("after a restart", "[10.0.0.0/8 192.0.2.0/24 2001:db8::/32]")

	if _, err := w.engine.AllowSources(ctx, deny("10.0.0.0/8", "10.0.0.0/9")); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("allowed what is not on the list: %v", err)
	}
	is("after a refusal", "[10.0.0.0/8 192.0.2.0/24 2001:db8::/32]")
	gone, err := w.engine.AllowSources(ctx, deny("10.0.0.0/8", "2001:db8::/32"))
	if err != nil || prefixesOf(gone) != "[10.0.0.0/8 2001:db8::/32]" {
		t.Errorf("gone %+v, %v", gone, err)
	}
	is("one left", "[192.0.2.0/24]")

	for _, bad := range []netip.Prefix{
		{}, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("192.0.2.1/24"),
		netip.PrefixFrom(netip.MustParseAddr("::ffff:192.0.2.1"), 128),
	} {
		if _, err := w.engine.DenySources(ctx, api.Deny{Prefixes: []netip.Prefix{bad}}); api.AsError(err).Code != api.InvalidArgument {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := w.engine.DenySources(ctx, api.Deny{}); api.AsError(err).Code != api.InvalidArgument {
		t.Errorf("nothing: %v", err)
	}
	is("after refusals", "[192.0.2.0/24]")
}

func TestWhichUplinksRunXDP(t *testing.T) {
	uplinks := []control.UplinkFacts{
		{Name: "eth0", Index: 2, Ethernet: true, Driver: "mlx5_core", MTU: 1500},
		{Name: "ens1", Index: 3, Ethernet: true, Driver: "virtio_net", MTU: 1500},
		{Name: "veth0", Index: 4, Ethernet: true, MTU: 1500},
		{Name: "wg0", Index: 5, MTU: 1420},
	}
	for _, tc := range []struct {
		xdp  control.XDPUplinks
		want [4]control.XDPMode
	}{
		{control.XDPUplinks{}, [4]control.XDPMode{}},
		{control.XDPUplinks{Auto: true}, [4]control.XDPMode{control.XDPNative}},
		{control.XDPUplinks{Names: []string{"e*", "wg0"}}, [4]control.XDPMode{control.XDPNative, control.XDPNative}},
		{control.XDPUplinks{Names: []string{"*"}, Generic: true}, [4]control.XDPMode{control.XDPGeneric, control.XDPGeneric, control.XDPGeneric}},
	} {
		w := newWorld(t, func(c *control.Config) { c.Guard.XDP = tc.xdp })
		w.links.ChangeHost(func(f *control.HostFacts) { f.Uplinks = uplinks })
		if err := w.engine.Reconcile(context.Background()); err != nil {
			t.Fatal(err)
		}
		for i, u := range w.plane.State().Uplinks {
			if u.XDP != tc.want[i] {
				t.Errorf("%+v: %s has %d, want %d", tc.xdp, uplinks[i].Name, u.XDP, tc.want[i])
			}
		}
	}
}
