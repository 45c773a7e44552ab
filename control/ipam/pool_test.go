// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/vethway/vethway/control/api"
	"pgregory.net/rapid"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

// tb is what testing.T and rapid.T have in common.
type tb interface {
	Helper()
	Fatal(...any)
}

func newPool(t tb, cfg Config) *Pool {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func allocate(t tb, p *Pool, owner string) string {
	t.Helper()
	a, err := p.Allocate(owner)
	if err != nil {
		t.Fatal(err)
	}
	return a.String()
}

func TestNewChoosesTheGateway(t *testing.T) {
	for _, c := range []struct{ subnet, aux, want string }{
		{"172.30.1.0/24", "", "172.30.1.1"},
		{"172.30.1.0/24", "172.30.1.1", "172.30.1.2"},
		{"172.30.1.4/30", "", "172.30.1.5"},
		{"172.30.1.4/31", "", "172.30.1.4"},
		{"fd00:1::/64", "", "fd00:1::1"},
		{"fd00:1::2/127", "", "fd00:1::2"},
	} {
		cfg := Config{Subnet: prefix(c.subnet)}
		if c.aux != "" {
			cfg.Aux = map[string]netip.Addr{"router": addr(c.aux)}
		}
		if got := newPool(t, cfg).Gateway().String(); got != c.want {
			t.Errorf("%s: gateway %s, want %s", c.subnet, got, c.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"host bits", Config{Subnet: prefix("172.30.1.1/24")}, "host bits"},
		{"none", Config{}, "no valid subnet"},
		{"loopback", Config{Subnet: prefix("127.5.0.0/16")}, "loopback"},
		{"multicast", Config{Subnet: prefix("239.1.0.0/16")}, "multicast"},
		{"everything", Config{Subnet: prefix("0.0.0.0/0")}, "this host"},
		{"link-local", Config{Subnet: prefix("fe80::/64")}, "link-local"},
		{"single address", Config{Subnet: prefix("172.30.1.1/32")}, "no room"},
		{"single IPv6 address", Config{Subnet: prefix("fd00::1/128")}, "no room"},
		{"range elsewhere", Config{Subnet: prefix("172.30.1.0/24"), Range: prefix("172.30.2.0/25")}, "does not lie in"},
		{"range too wide", Config{Subnet: prefix("172.30.1.0/24"), Range: prefix("172.30.0.0/16")}, "does not lie in"},
		{"range of the other family", Config{Subnet: prefix("172.30.1.0/24"), Range: prefix("fd00::/64")}, "does not lie in"},
		{"range host bits", Config{Subnet: prefix("172.30.1.0/24"), Range: prefix("172.30.1.9/25")}, "host bits"},
		{"gateway elsewhere", Config{Subnet: prefix("172.30.1.0/24"), Gateway: addr("172.30.2.1")}, "does not lie in"},
		{"gateway is the network", Config{Subnet: prefix("172.30.1.0/24"), Gateway: addr("172.30.1.0")}, "network address"},
		{"gateway is broadcast", Config{Subnet: prefix("172.30.1.0/24"), Gateway: addr("172.30.1.255")}, "broadcast"},
		{"gateway is anycast", Config{Subnet: prefix("fd00::/64"), Gateway: addr("fd00::")}, "anycast"},
		{"aux elsewhere", Config{Subnet: prefix("172.30.1.0/24"), Aux: map[string]netip.Addr{"a": addr("10.0.0.1")}}, "aux-address a"},
		{"aux is the gateway", Config{
			Subnet: prefix("172.30.1.0/24"), Gateway: addr("172.30.1.7"), Aux: map[string]netip.Addr{"a": addr("172.30.1.7")},
		}, "aux-address a"},
	} {
		_, err := New(c.cfg)
		if !errors.Is(err, api.InvalidArgument) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.want)
		}
	}
}

func TestAllocateGoesRound(t *testing.T) {
	p := newPool(t, Config{Subnet: prefix("172.30.1.0/29")}) // .1 gateway, .2 to .6
	var got []string
	for i := range 3 {
		got = append(got, allocate(t, p, fmt.Sprint("c", i)))
	}
	p.Release(addr("172.30.1.2"))
	p.Release(addr("172.30.1.3"))
	for i := range 4 {
		got = append(got, allocate(t, p, fmt.Sprint("d", i)))
	}
	want := "172.30.1.2 172.30.1.3 172.30.1.4 172.30.1.5 172.30.1.6 172.30.1.2 172.30.1.3"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	_, err := p.Allocate("e")
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.ResourceExhausted || e.Hint == "" {
		t.Errorf("full pool: %v", err)
	}
}

func TestAllocateIsSticky(t *testing.T) {
	p := newPool(t, Config{Subnet: prefix("172.30.1.0/24")})
	first := allocate(t, p, "web")
	p.Release(addr(first))
	if other := allocate(t, p, "other"); other == first {
		t.Errorf("another container got %s at once", first)
	}
	if again := allocate(t, p, "web"); again != first {
		t.Errorf("web got %s back, want %s", again, first)
	}
}

func TestPointToPoint(t *testing.T) {
	for _, subnet := range []string{"172.30.1.0/31", "fd00::/127"} {
		p := newPool(t, Config{Subnet: prefix(subnet)})
		if got := allocate(t, p, "c1"); got != p.Gateway().Next().String() {
			t.Errorf("%s: got %s beside gateway %s", subnet, got, p.Gateway())
		}
		if _, err := p.Allocate("c2"); !errors.Is(err, api.ResourceExhausted) {
			t.Errorf("%s: second container: %v", subnet, err)
		}
	}
}

func TestClaim(t *testing.T) {
	p := newPool(t, Config{
		Subnet: prefix("172.30.1.0/24"), Range: prefix("172.30.1.128/25"),
		Aux: map[string]netip.Addr{"router": addr("172.30.1.9")},
	})
	if err := p.Claim(addr("172.30.1.5"), "outside the range"); err != nil {
		t.Error(err)
	}
	for a, want := range map[string]string{
		"172.30.1.5": "outside the range", "172.30.1.1": "the gateway", "172.30.1.0": "network", "172.30.1.255": "broadcast",
		"172.30.1.9": "aux-address router", "172.30.2.1": "does not lie",
	} {
		if err := p.Claim(addr(a), "c1"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("claim %s: %v, want %q", a, err, want)
		}
	}
}

// TestPoolProperties drives pools with random requests: an address never has two owners, is never reserved, comes back
// after its release, and what is saved and restored at any moment goes on alike.
func TestPoolProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Subnet: prefix(rapid.SampledFrom([]string{
			"172.30.1.0/28", "172.30.1.0/30", "172.30.1.0/31", "10.0.0.0/8", "fd00::/64", "fd00::/124", "fd00::/127",
		}).Draw(t, "subnet"))}
		if cfg.Subnet.Bits() == 28 && rapid.Bool().Draw(t, "narrow") {
			cfg.Range = prefix("172.30.1.8/29")
			cfg.Aux = map[string]netip.Addr{"a": addr("172.30.1.10")}
		}
		p := newPool(t, cfg)
		held := map[netip.Addr]string{}
		check := func(a netip.Addr) {
			if other, ok := held[a]; ok {
				t.Fatalf("%s handed out twice, %s has it", a, other)
			}
			if !cfg.Subnet.Contains(a) || a == p.Gateway() || a == cfg.Aux["a"] {
				t.Fatalf("%s must not be handed out", a)
			}
			if bits := cfg.Subnet.Addr().BitLen() - cfg.Subnet.Bits(); bits > 1 {
				if a == cfg.Subnet.Addr() || a.Is4() && a == Last(cfg.Subnet) {
					t.Fatalf("%s means the subnet", a)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"allocate": func(t *rapid.T) {
				owner := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "owner")
				a, err := p.Allocate(owner)
				if err != nil {
					if len(held) == 0 {
						t.Fatalf("empty pool: %v", err)
					}
					return
				}
				check(a)
				held[a] = owner
			},
			"claim": func(t *rapid.T) {
				a := cfg.Subnet.Addr()
				for range rapid.IntRange(0, 15).Draw(t, "offset") {
					a = a.Next()
				}
				if p.Claim(a, "claimed") == nil {
					check(a)
					held[a] = "claimed"
				}
			},
			"release": func(t *rapid.T) {
				for a := range held {
					p.Release(a)
					p.Release(a)
					delete(held, a)
					if err := p.Claim(a, "probe"); err != nil {
						t.Fatalf("released %s did not come back: %v", a, err)
					}
					p.Release(a)
					break
				}
			},
			"restart": func(t *rapid.T) {
				data, err := json.Marshal(p.Lease())
				if err != nil {
					t.Fatal(err)
				}
				var lease Lease
				if err := json.Unmarshal(data, &lease); err != nil {
					t.Fatal(err)
				}
				next := newPool(t, cfg)
				for a, owner := range held {
					if err := next.Claim(a, owner); err != nil {
						t.Fatal(err)
					}
				}
				next.Restore(lease)
				if fmt.Sprint(next.Lease()) != fmt.Sprint(p.Lease()) {
					t.Fatalf("restored %v, saved %v", next.Lease(), p.Lease())
				}
				p = next
			},
		})
	})
}
