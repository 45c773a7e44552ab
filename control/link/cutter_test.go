// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/test/netlab"
)

func TestCutter(t *testing.T) {
	l := newLab(t)
	l.cutter = filepath.Join(t.TempDir(), "run", "cutter")
	t.Cleanup(func() {
		if err := l.theCutter(nil).removeFile(); err != nil {
			t.Error(err)
		}
	})
	ensure := func(cuts ...control.Cut) control.CutterInfo {
		t.Helper()
		info, err := l.EnsureCutter(t.Context(), cuts)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	one, two := netip.MustParsePrefix("172.30.1.0/24"), netip.MustParsePrefix("172.30.2.0/24")
	first := ensure(control.Cut{Subnet: one, MTU: 1500}, control.Cut{Subnet: two, MTU: 9000})
	in, err := netlab.OpenNamespace("cutter", l.cutter)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	l.want(l.host, "ip link show dev vwf1", "mtu 65535", portMAC(control.CutterLink).String(), "UP")
	l.want(l.host, "cat /proc/sys/net/ipv4/conf/vwf1/forwarding", "0")
	l.want(in, "ip link show dev eth0", "mtu 65535", first.MAC.String(), "UP")
	l.want(in, "ip route", "172.30.1.0/24 via 169.254.1.1 dev eth0 proto static onlink mtu 1500",
		"172.30.2.0/24 via 169.254.1.1 dev eth0 proto static onlink mtu 9000")
	l.wantNone(in, "ip route", "default")
	l.wantNone(in, "ip addr show dev eth0", "inet")
	l.want(in, "ip neigh", "169.254.1.1 dev eth0 lladdr "+portMAC(control.CutterLink).String()+" PERMANENT")
	l.want(in, "cat /proc/sys/net/ipv4/ip_forward", "1")

	// A network goes, the other one changes, and somebody meddled.
	l.run(in, "sysctl -q net.ipv4.ip_forward=0")
	l.run(in, "ip link set eth0 down")
	if again := ensure(control.Cut{Subnet: two, MTU: 1400}); again.Index != first.Index {
		t.Errorf("there is another one now: %+v, was %+v", again, first)
	}
	l.wantNone(in, "ip route", "172.30.1.0/24", "mtu 9000")
	l.want(in, "ip route", "172.30.2.0/24 via 169.254.1.1 dev eth0 proto static onlink mtu 1400")
	l.want(in, "cat /proc/sys/net/ipv4/ip_forward", "1")

	if facts, err := l.Host(t.Context()); err != nil || len(facts.Uplinks) > 0 || len(facts.Routes) > 0 {
		t.Errorf("it counts as the host's: %+v, %v", facts, err)
	}
	for range 2 {
		if err := l.RemoveAll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	l.wantNone(l.host, "ip link", control.CutterLink)
	if _, err := os.Lstat(l.cutter); !os.IsNotExist(err) {
		t.Errorf("the namespace's file: %v", err)
	}
}
