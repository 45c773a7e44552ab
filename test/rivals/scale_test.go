// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

func TestScaledSpec(t *testing.T) {
	for _, size := range [][2]int{{2, 1}, {2, 1000}, {470, 65000}, {MaxContainers, 10}} {
		spec, err := ScaledSpec(size[0], size[1])
		if err != nil {
			t.Fatal(err)
		}
		one := spec.Networks[0]
		if len(one.Containers) != size[0] || spec.ports() != size[1]+1 {
			t.Errorf("%v: %d containers, %d ports", size, len(one.Containers), spec.ports())
		}
		addrs, ports := map[netip.Addr]bool{one.Gateway4: true, one.Gateway6: true}, map[string]bool{}
		for _, c := range one.Containers {
			if addrs[c.IP4] || addrs[c.IP6] || !one.Subnet4.Contains(c.IP4) || !one.Subnet6.Contains(c.IP6) {
				t.Fatalf("%v: addresses %s and %s of %s", size, c.IP4, c.IP6, c.Name)
			}
			addrs[c.IP4], addrs[c.IP6] = true, true
			for _, p := range c.Publish {
				key := fmt.Sprint(p.Proto, p.HostPort)
				if p.HostPort == 0 || ports[key] {
					t.Fatalf("%v: port %s of %s", size, p, c.Name)
				}
				ports[key] = true
			}
		}
		last := one.Containers[len(one.Containers)-1]
		if last.Name != "c1" || len(last.Publish) != 2 || last.Publish[0].HostPort != 8080 {
			t.Errorf("%v: the last container is %+v", size, last)
		}
	}
	for _, size := range [][2]int{{1, 1}, {2, 0}, {MaxContainers + 1, 1}, {2, MaxPorts + 1}} {
		if _, err := ScaledSpec(size[0], size[1]); err == nil {
			t.Errorf("%v is in range", size)
		}
	}
}

// Many ports and containers, and no process or socket for any of them.
func TestRulesOnly(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nft", "iptables-nft", "iptables-legacy")
	t.Parallel()
	spec, err := ScaledSpec(20, 300)
	if err != nil {
		t.Fatal(err)
	}
	rulesOnly := UserlandProxy{On: true, RulesOnly: true}
	for name, make := range map[string]func() (Target, error){
		"iptables-nft":    func() (Target, error) { return NewIptables(IptablesConfig{Backend: NFT, UserlandProxy: rulesOnly}) },
		"iptables-legacy": func() (Target, error) { return NewIptables(IptablesConfig{Backend: Legacy, UserlandProxy: rulesOnly}) },
		"linear":          func() (Target, error) { return NewLinear(rulesOnly), nil },
		"nftables":        func() (Target, error) { return NewNftables(NftablesConfig{RulesOnly: true}), nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, err := make()
			if err != nil {
				t.Fatal(err)
			}
			l := setUpSpec(t, target, spec, "c1", "c2", "d1")
			for _, f := range []Family{IPv4, IPv6} {
				for _, from := range []Place{FromRemote, FromHost, FromOther} {
					l.proves(Way(from), f, func() {
						for _, p := range spec.Networks[0].Containers[19].Publish {
							l.access(from, p, f)
						}
					})
				}
			}
			for f, to := range map[Family]netip.Addr{IPv4: l.topo.Remote4, IPv6: l.topo.Remote6} {
				l.proves(Outward, f, func() { l.reaches("c2", netip.AddrPortFrom(to, 9000).String(), "tcp") })
			}
			if name != "nftables" {
				for _, from := range []Place{FromLoopback, FromNeighbour, FromSelf} {
					l.noAccess(from, IPv4)
				}
			}
		})
	}
}

func TestTooManyForSome(t *testing.T) {
	behaviour.NeedRoot(t)
	spec, err := ScaledSpec(fewContainers+1, maxProxies+1)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := NewDockerProxy(OwnProxy())
	if err != nil {
		t.Fatal(err)
	}
	topo := netlab.Must(t, netlab.Config{})
	for _, target := range []Target{NewDirect(), proxy} {
		if err := target.Setup(t.Context(), topo, spec); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s with %d containers and %d ports: %v", target.Name(), spec.containers(), spec.ports(), err)
		}
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A kernel without the legacy tables, and a machine without the programs.
func TestUnavailableIptablesSaysWhy(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nsenter")
	topo := netlab.Must(t, netlab.Config{})
	bin := t.TempDir()
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	broken := "#!/bin/sh\necho \"iptables-legacy-restore: can't initialize iptables table \\`raw': Table does not exist\"\nexit 3\n"
	for _, tc := range []struct{ script, want string }{
		{"", "executable file not found"},
		{broken, "not available here on this kernel: iptables-legacy-restore: iptables-legacy-restore: can't initialize iptables table `raw'"},
	} {
		if tc.script != "" {
			if err := os.WriteFile(filepath.Join(bin, "iptables-legacy-restore"), []byte(tc.script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		target, err := NewIptables(IptablesConfig{Backend: Legacy})
		if err != nil {
			t.Fatal(err)
		}
		err = target.Setup(t.Context(), topo, CommonSpec())
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, want %q", err, tc.want)
		}
	}
}
