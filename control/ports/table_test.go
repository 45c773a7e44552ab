// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
	"pgregory.net/rapid"
)

// processes is a Host: who has bound what, by "addr:port/protocol".
type processes map[string]string

func (p processes) PortOwner(protocol string, addr netip.Addr, port uint16) (string, bool, error) {
	owner, ok := p[Binding{HostIP: addr, HostPort: port, Protocol: protocol}.String()]
	return owner, ok, nil
}

// reserve asks for specs as they are written after -p and returns the host sides, or the error's code and text.
func reserve(t *testing.T, table *Table, owner string, host Host, specs ...string) string {
	t.Helper()
	r := Request{Owner: owner, Host: host, Range: Range{First: 40000, Last: 40003}}
	r.Range.Reserved = func(p uint16) bool { return p == 40001 }
	for _, s := range specs {
		spec, err := Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		r.Specs = append(r.Specs, spec)
	}
	before := table.Len()
	bindings, err := table.Reserve(r)
	if err != nil {
		if table.Len() != before {
			t.Errorf("%v failed and left %d bindings", specs, table.Len()-before)
		}
		return fmt.Sprintf("%s: %s", api.AsError(err).Code, err)
	}
	var out []string
	for _, b := range bindings {
		out = append(out, fmt.Sprintf("%s>%d", b, b.ContainerPort))
	}
	return strings.Join(out, " ")
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestReserveForms(t *testing.T) {
	behaviour.Covers(t, "D16", behaviour.None)
	table := NewTable(nil)
	expect(t, reserve(t, table, "c1", nil, "8080:80"), "0.0.0.0:8080/tcp>80 [::]:8080/tcp>80")
	expect(t, reserve(t, table, "c1", nil, "192.0.2.2:8081-8082:81-82/udp"), "192.0.2.2:8081-8082/udp>81")
	expect(t, reserve(t, table, "c1", nil, "[::1]:8081:80", "9000:80/sctp"),
		"[::1]:8081/tcp>80 0.0.0.0:9000/sctp>80 [::]:9000/sctp>80")
	expect(t, reserve(t, table, "c1", nil, "0.0.0.0:8079-8082:80"), "0.0.0.0:8079/tcp>80")
	expect(t, reserve(t, table, "c1", nil, "0.0.0.0:8079-8082:80"), "0.0.0.0:8081/tcp>80")
	// An exact port goes before a range, and a range before a free choice, whatever their order.
	expect(t, reserve(t, table, "c2", nil, "127.0.0.1::80", "127.0.0.1:40000-40003:81", "127.0.0.1:40000:82"),
		"127.0.0.1:40002/tcp>80 127.0.0.1:40001/tcp>81 127.0.0.1:40000/tcp>82")
}

func TestReserveChoosesTheNextPort(t *testing.T) {
	behaviour.Covers(t, "D17", behaviour.None)
	table := NewTable(nil)
	// 40001 is reserved; 40002 is bound on IPv6 by a process, so it cannot be the same on both families.
	host := processes{"[::]:40002/tcp": "named (pid 7)"}
	expect(t, reserve(t, table, "c1", host, "80"), "0.0.0.0:40000/tcp>80 [::]:40000/tcp>80")
	expect(t, reserve(t, table, "c2", host, "80"), "0.0.0.0:40003/tcp>80 [::]:40003/tcp>80")
	table.Release([]Binding{{any4, 40000, "tcp", 80, 0}, {any6, 40000, "tcp", 80, 0}, {any4, 40003, "tcp", 80, 0}, {any6, 40003, "tcp", 80, 0}})
	table = NewTable(table.Last())
	expect(t, reserve(t, table, "c3", nil, "80"), "0.0.0.0:40000/tcp>80 [::]:40000/tcp>80")
	expect(t, reserve(t, table, "c3", nil, "80/udp"), "0.0.0.0:40000/udp>80 [::]:40000/udp>80")
	expect(t, reserve(t, table, "c3", nil, "80"), "0.0.0.0:40002/tcp>80 [::]:40002/tcp>80")
	got := reserve(t, table, "c3", nil, "80-82")
	if !strings.HasPrefix(got, "resource_exhausted: no free tcp port left from 40000 to 40003") {
		t.Errorf("range used up: %s", got)
	}
	expect(t, reserve(t, table, "c3", nil, "80"), "0.0.0.0:40003/tcp>80 [::]:40003/tcp>80")
}

func TestReserveNamesTheOwner(t *testing.T) {
	behaviour.Covers(t, "D18", behaviour.None)
	table := NewTable(nil)
	host := processes{"0.0.0.0:9090/tcp": "nginx (pid 812)", "[::1]:53/udp": "named (pid 7)"}
	expect(t, reserve(t, table, "web", host, "8080:80"), "0.0.0.0:8080/tcp>80 [::]:8080/tcp>80")
	for spec, want := range map[string]string{
		"8080:90":              "port_in_use: port 0.0.0.0:8080/tcp is in use by container web",
		"192.0.2.2:8080:90":    "port_in_use: port 0.0.0.0:8080/tcp is in use by container web",
		"[::1]:8080:90":        "port_in_use: port [::]:8080/tcp is in use by container web",
		"8079-8081:89-91":      "port_in_use: port 0.0.0.0:8080/tcp is in use by container web",
		"9090:90":              "port_in_use: port 0.0.0.0:9090/tcp is in use by nginx (pid 812)",
		"[::1]:53:53/udp":      "port_in_use: port [::1]:53/udp is in use by named (pid 7)",
		"0.0.0.0:9090-9090:90": "port_in_use: port 0.0.0.0:9090/tcp is in use by nginx (pid 812)",
	} {
		expect(t, reserve(t, table, "other", host, "7000:70", spec), want)
	}
	expect(t, reserve(t, table, "other", nil, "0.0.0.0:8080-8080:1"), "port_in_use: port 0.0.0.0:8080/tcp is in use by container web")
	expect(t, reserve(t, table, "web", nil, "1:1", "1:2"), "port_in_use: port 0.0.0.0:1/tcp is in use by container web")
	// Another protocol is another port.
	expect(t, reserve(t, table, "other", host, "8080:90/udp"), "0.0.0.0:8080/udp>90 [::]:8080/udp>90")
}

func TestReserveByAddress(t *testing.T) {
	table := NewTable(nil)
	expect(t, reserve(t, table, "a", nil, "127.0.1.2:80:80"), "127.0.1.2:80/tcp>80")
	expect(t, reserve(t, table, "b", nil, "127.0.1.3:80:80"), "127.0.1.3:80/tcp>80")
	expect(t, reserve(t, table, "c", nil, "80:80"), "port_in_use: port 127.0.1.2:80/tcp is in use by container a")
	expect(t, reserve(t, table, "c", nil, "[::]:80:80"), "[::]:80/tcp>80")
	expect(t, reserve(t, table, "d", nil, "127.0.1.3:80:80"), "port_in_use: port 127.0.1.3:80/tcp is in use by container b")
}

func TestReleaseLeavesTheOther(t *testing.T) {
	behaviour.Covers(t, "D21", behaviour.Both)
	table := NewTable(nil)
	expect(t, reserve(t, table, "c", nil, "0.0.0.0:8080:80", "0.0.0.0:8081:80"), "0.0.0.0:8080/tcp>80 0.0.0.0:8081/tcp>80")
	table.Release([]Binding{{any4, 8080, "tcp", 80, 0}})
	expect(t, reserve(t, table, "d", nil, "0.0.0.0:8081:80"), "port_in_use: port 0.0.0.0:8081/tcp is in use by container c")
	expect(t, reserve(t, table, "d", nil, "0.0.0.0:8080:80"), "0.0.0.0:8080/tcp>80")
}

func TestEnter(t *testing.T) {
	table := NewTable(nil)
	if err := table.Enter("a", []Binding{{any4, 80, "tcp", 80, 0}}); err != nil {
		t.Fatal(err)
	}
	err := table.Enter("b", []Binding{{any6, 80, "tcp", 80, 0}, {addr("192.0.2.2"), 80, "tcp", 80, 0}})
	if !errors.Is(err, api.PortInUse) || table.Len() != 1 {
		t.Errorf("%v, %d bindings", err, table.Len())
	}
}

func TestMatch(t *testing.T) {
	b := Binding{addr("192.0.2.2"), 8081, "tcp", 81, 0}
	for spec, want := range map[string]bool{
		"81": true, "80-82": true, "80": false, "81/udp": false, "8081:81": true, "8082:81": false, "192.0.2.2::81": true,
		"192.0.2.3::81": false, "8080-8082:80-82": true, "8081-8083:80-82": false, "8080-8090:81": true,
	} {
		s, err := Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		if _, n := Match(s, b); n != 0 != want {
			t.Errorf("%s matches %v: %v", spec, b, n)
		}
	}
}

// TestTableProperties drives a Table with random requests beside a plain list of bindings.
func TestTableProperties(t *testing.T) {
	addrs := []netip.Addr{{}, any4, any6, addr("127.0.0.1"), addr("192.0.2.2"), addr("::1")}
	rapid.Check(t, func(t *rapid.T) {
		table := NewTable(nil)
		held := map[Binding]string{}
		t.Repeat(map[string]func(*rapid.T){
			"reserve": func(t *rapid.T) {
				r := Request{
					Owner: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "owner"), Range: Range{First: 10, Last: 14},
					Host: processes{"0.0.0.0:11/tcp": "sshd (pid 1)", "[::]:12/tcp": "sshd (pid 1)"},
				}
				for range rapid.IntRange(1, 3).Draw(t, "specs") {
					s := api.PublishSpec{
						HostIP: rapid.SampledFrom(addrs).Draw(t, "addr"), HostPort: rapid.Uint16Range(0, 12).Draw(t, "host"),
						ContainerPort: rapid.Uint16Range(1, 3).Draw(t, "container"),
						Protocol:      rapid.SampledFrom([]string{"", "tcp", "udp"}).Draw(t, "protocol"),
					}
					if s.HostPort != 0 && rapid.Bool().Draw(t, "range") {
						s.HostPortEnd = s.HostPort + 2
					}
					r.Specs = append(r.Specs, s)
				}
				got, err := table.Reserve(r)
				if err != nil {
					if code := api.AsError(err).Code; code != api.PortInUse && code != api.ResourceExhausted {
						t.Fatalf("%v: %v", r.Specs, err)
					}
				}
				var ones []Binding
				for _, b := range got {
					ones = append(ones, each(b)...)
				}
				for _, b := range ones {
					if b.Protocol == "tcp" && (b.HostIP == any4 && b.HostPort == 11 || b.HostIP == any6 && b.HostPort == 12) {
						t.Fatalf("%s is bound by a process", b)
					}
					for other := range held {
						if other.Protocol == b.Protocol && other.HostPort == b.HostPort && clash(other.HostIP, b.HostIP) {
							t.Fatalf("%s clashes with %s", b, other)
						}
					}
					held[b] = r.Owner
				}
			},
			"release": func(t *rapid.T) {
				for b := range held {
					table.Release([]Binding{b, b})
					delete(held, b)
					break
				}
			},
			"restart": func(t *rapid.T) {
				table = NewTable(table.Last())
				for _, b := range slices.Collect(maps.Keys(held)) {
					if err := table.Enter(held[b], []Binding{b}); err != nil {
						t.Fatal(err)
					}
				}
			},
			"": func(t *rapid.T) {
				if table.Len() != len(held) {
					t.Fatalf("%d bindings in the table, %d held", table.Len(), len(held))
				}
			},
		})
	})
}
