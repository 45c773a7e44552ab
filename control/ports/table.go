// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/vethway/vethway/control/api"
)

// Host says what the host itself has bound.
type Host interface {
	// PortOwner describes the process that has the port bound, as in "nginx (pid 812)". The unspecified address asks
	// for any address of the family.
	PortOwner(protocol string, addr netip.Addr, port uint16) (string, bool, error)
}

// Range is where free ports are chosen from, when none is asked for.
type Range struct {
	First, Last uint16
	// Reserved tells which ports of the range are not to be chosen.
	Reserved func(uint16) bool
}

// Table is the book of published ports. It is not safe for concurrent use.
type Table struct {
	books map[string][]*book // by protocol
	last  map[string]uint16  // by protocol: the port chosen last
}

// NewTable makes an empty Table. Last are the ports chosen last, by protocol, as Table.Last returned them.
func NewTable(last map[string]uint16) *Table {
	t := &Table{books: map[string][]*book{}, last: map[string]uint16{}}
	maps.Copy(t.last, last)
	return t
}

// Last returns the ports chosen last, by protocol.
func (t *Table) Last() map[string]uint16 { return maps.Clone(t.last) }

// Len is how many ports are taken, each on each address.
func (t *Table) Len() int {
	n := 0
	for _, books := range t.books {
		for _, b := range books {
			n += b.n
		}
	}
	return n
}

var (
	any4 = netip.IPv4Unspecified()
	any6 = netip.IPv6Unspecified()
	// bothFamilies is where a port is published that names no address.
	bothFamilies = [...]netip.Addr{any4, any6}
)

// Request is what Reserve is asked for.
type Request struct {
	Owner string // a container's name
	Specs []api.PublishSpec
	Range Range
	Host  Host
}

// Reserve enters all that is asked for, or nothing: then it fails with api.PortInUse and names who has the port, with
// api.ResourceExhausted when no port is left to choose, or with api.InvalidArgument.
//
// Exact ports are entered first, then ranges, then free choices, so that a request does not stand in its own way. The
// bindings come in the order of the specs; ports that follow each other on both sides are one.
func (t *Table) Reserve(r Request) ([]Binding, error) {
	for _, s := range r.Specs {
		if err := Validate(s); err != nil {
			return nil, err
		}
	}
	r.Specs = inRows(r.Specs)
	order := make([]int, len(r.Specs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(freedom(r.Specs[a]), freedom(r.Specs[b])) })
	owner := &r.Owner
	done := make([]Binding, 0, len(bothFamilies)*len(r.Specs))
	ends := make([][2]int, len(r.Specs)) // of each spec's part of done
	last := t.Last()
	for _, i := range order {
		first := len(done)
		var err error
		if done, err = t.reserveSpec(done, &r, owner, r.Specs[i]); err != nil {
			t.Release(done)
			t.last = last
			return nil, err
		}
		ends[i] = [2]int{first, len(done)}
	}
	joined := make([]Binding, 0, 2)
	for _, part := range ends {
		for _, b := range done[part[0]:part[1]] {
			joined = appendJoined(joined, b)
		}
	}
	return joined, nil
}

// freedom orders specs by how much choice they leave.
func freedom(s api.PublishSpec) int {
	switch {
	case s.HostPort == 0:
		return 2
	case span(s.HostPort, s.HostPortEnd) > span(s.ContainerPort, s.ContainerPortEnd):
		return 1
	}
	return 0
}

// reserveSpec enters one spec and adds to done what it has entered, also beside an error.
func (t *Table) reserveSpec(done []Binding, r *Request, owner *string, s api.PublishSpec) ([]Binding, error) {
	protocol := cmp.Or(s.Protocol, api.TCP)
	addrs := bothFamilies[:]
	if s.HostIP.IsValid() {
		addrs = []netip.Addr{s.HostIP}
	}
	n := span(s.ContainerPort, s.ContainerPortEnd)
	if freedom(s) == 0 {
		for i := range n {
			if err := t.available(r, protocol, addrs, s.HostPort+uint16(i)); err != nil {
				return done, err
			}
		}
		return t.enterOn(done, addrs, owner, Binding{
			HostPort: s.HostPort, Protocol: protocol, ContainerPort: s.ContainerPort, More: uint16(n - 1),
		}), nil
	}
	for i := range n {
		var port uint16
		var err error
		if freedom(s) == 1 {
			port, err = t.firstFree(r, protocol, addrs, s.HostPort, s.HostPortEnd)
		} else {
			port, err = t.chooseFree(r, protocol, addrs)
		}
		if err != nil {
			return done, err
		}
		done = t.enterOn(done, addrs, owner, Binding{HostPort: port, Protocol: protocol, ContainerPort: s.ContainerPort + uint16(i)})
	}
	return done, nil
}

// enterOn enters a binding on each of the addresses and adds them to done.
func (t *Table) enterOn(done []Binding, addrs []netip.Addr, owner *string, b Binding) []Binding {
	for _, b.HostIP = range addrs {
		t.enter(b, owner)
		done = append(done, b)
	}
	return done
}

// available tells whether the port can be had on all addresses, and if not, why.
func (t *Table) available(r *Request, protocol string, addrs []netip.Addr, port uint16) error {
	for _, book := range t.books[protocol] {
		owner := book.owner(port)
		if owner == nil {
			continue
		}
		for _, addr := range addrs {
			if clash(book.addr, addr) {
				return inUse(protocol, book.addr, port, "container "+*owner)
			}
		}
	}
	if r.Host == nil {
		return nil
	}
	for _, addr := range addrs {
		owner, bound, err := r.Host.PortOwner(protocol, addr, port)
		if err != nil {
			return fmt.Errorf("ask who has port %d/%s: %w", port, protocol, err)
		}
		if bound {
			return inUse(protocol, addr, port, owner)
		}
	}
	return nil
}

func inUse(protocol string, addr netip.Addr, port uint16, owner string) error {
	return api.Errorf(api.PortInUse, "port %s/%s is in use by %s", netip.AddrPortFrom(addr, port), protocol, owner).
		WithHint("choose another host port, or leave it out to have a free one chosen; see: vethway port ls")
}

// clash tells whether two addresses cannot both have one port.
func clash(a, b netip.Addr) bool {
	return a == b || a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified())
}

func (t *Table) firstFree(r *Request, protocol string, addrs []netip.Addr, first, last uint16) (uint16, error) {
	var why error
	for port := int(first); port <= int(last); port++ {
		err := t.available(r, protocol, addrs, uint16(port))
		if err == nil {
			return uint16(port), nil
		}
		if api.AsError(err).Code != api.PortInUse {
			return 0, err
		}
		if why == nil {
			why = err
		}
	}
	return 0, fmt.Errorf("no port from %d to %d is free: %w", first, last, why)
}

// chooseFree chooses the next port of the range after the last one chosen.
func (t *Table) chooseFree(r *Request, protocol string, addrs []netip.Addr) (uint16, error) {
	first, last := int(r.Range.First), int(r.Range.Last)
	if first == 0 || last < first {
		return 0, api.Errorf(api.Internal, "no range to choose a port from: %d to %d", first, last)
	}
	port := int(t.last[protocol])
	for range last - first + 1 {
		if port++; port < first || port > last {
			port = first
		}
		if r.Range.Reserved != nil && r.Range.Reserved(uint16(port)) {
			continue
		}
		err := t.available(r, protocol, addrs, uint16(port))
		if err == nil {
			t.last[protocol] = uint16(port)
			return uint16(port), nil
		}
		if api.AsError(err).Code != api.PortInUse {
			return 0, err
		}
	}
	return 0, api.Errorf(api.ResourceExhausted, "no free %s port left from %d to %d", protocol, first, last).
		WithHint("name a host port outside of net.ipv4.ip_local_port_range, or unpublish ports: vethway port ls")
}

// Enter puts in bindings that are known to be owned, as at start. It fails with api.PortInUse, and then enters nothing.
func (t *Table) Enter(owner string, bindings []Binding) error {
	for i, b := range bindings {
		for n := range b.Len() {
			if err := t.available(&Request{}, b.Protocol, []netip.Addr{b.HostIP}, b.HostPort+uint16(n)); err != nil {
				t.Release(bindings[:i])
				return err
			}
		}
		t.enter(b, &owner)
	}
	return nil
}

func (t *Table) enter(b Binding, owner *string) {
	books := t.books[b.Protocol]
	at := slices.IndexFunc(books, func(book *book) bool { return book.addr == b.HostIP })
	if at < 0 {
		at = len(books)
		books = append(books, &book{addr: b.HostIP})
		t.books[b.Protocol] = books
	}
	for i := range b.Len() {
		books[at].take(b.HostPort+uint16(i), owner)
	}
}

// Release takes bindings out. What is not in is left alone.
func (t *Table) Release(bindings []Binding) {
	for _, b := range bindings {
		books := t.books[b.Protocol]
		at := slices.IndexFunc(books, func(book *book) bool { return book.addr == b.HostIP })
		if at < 0 {
			continue
		}
		for i := range b.Len() {
			books[at].free(b.HostPort + uint16(i))
		}
		if books[at].n == 0 {
			t.books[b.Protocol] = slices.Delete(books, at, at+1)
		}
	}
}
