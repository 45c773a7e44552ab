// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"

	"github.com/vethway/vethway/control/api"
)

// Match tells which ports of a binding a spec covers, as given to unpublish: all that agree with what it says. They are the n
// from the i-th on; n is 0 if there is none.
func Match(s api.PublishSpec, b Binding) (i, n int) {
	if cmp.Or(s.Protocol, api.TCP) != b.Protocol || s.HostIP.IsValid() && s.HostIP != b.HostIP {
		return 0, 0
	}
	first, end := 0, b.Len()
	containers, hosts := span(s.ContainerPort, s.ContainerPortEnd), span(s.HostPort, s.HostPortEnd)
	if s.ContainerPort != 0 {
		at := int(s.ContainerPort) - int(b.ContainerPort)
		first, end = max(first, at), min(end, at+containers)
	}
	switch {
	case s.HostPort == 0:
	case s.ContainerPort != 0 && containers == hosts:
		if int(b.HostPort)-int(b.ContainerPort) != int(s.HostPort)-int(s.ContainerPort) {
			return 0, 0
		}
	default:
		at := int(s.HostPort) - int(b.HostPort)
		first, end = max(first, at), min(end, at+hosts)
	}
	return first, max(end-first, 0)
}

// Selection is which ports, out of many, specs cover. Neither all by each nor a map of each single port does where there are
// 65,535 of both.
type Selection struct {
	all []Binding
	// faces lists, in the order of host ports, the bindings on an address and protocol: they do not overlap.
	faces  map[face][]int
	chosen [][]interval // of each binding
}

type face struct {
	addr     netip.Addr
	protocol string
}

// interval is n ports of a binding from the i-th on.
type interval struct{ i, n int }

// Select begins a Selection that is empty.
func Select(all []Binding) *Selection {
	x := &Selection{all: all, faces: make(map[face][]int), chosen: make([][]interval, len(all))}
	for i, b := range all {
		f := face{b.HostIP, b.Protocol}
		x.faces[f] = append(x.faces[f], i)
	}
	for _, list := range x.faces {
		slices.SortFunc(list, func(a, b int) int { return cmp.Compare(all[a].HostPort, all[b].HostPort) })
	}
	return x
}

// Add chooses what a spec covers, and reports whether that is anything.
func (x *Selection) Add(s api.PublishSpec) bool {
	found := false
	for f, list := range x.faces {
		if f.protocol != cmp.Or(s.Protocol, api.TCP) || s.HostIP.IsValid() && s.HostIP != f.addr {
			continue
		}
		last := 1<<16 - 1
		if s.HostPort != 0 {
			list = list[sort.Search(len(list), func(i int) bool { return x.end(list[i]) > int(s.HostPort) }):]
			last = int(s.HostPort) + span(s.HostPort, s.HostPortEnd) - 1
		}
		for _, at := range list {
			if int(x.all[at].HostPort) > last {
				break
			}
			if i, n := Match(s, x.all[at]); n > 0 {
				found = true
				x.choose(at, interval{i, n})
			}
		}
	}
	return found
}

func (x *Selection) end(at int) int { return int(x.all[at].HostPort) + x.all[at].Len() }

func (x *Selection) choose(at int, add interval) {
	if list := x.chosen[at]; len(list) > 0 && list[len(list)-1].i+list[len(list)-1].n == add.i {
		list[len(list)-1].n += add.n
		return
	}
	x.chosen[at] = append(x.chosen[at], add)
}

// Split calls yield for the parts of the binding at an index, chosen ones and others, in their order.
func (x *Selection) Split(at int, yield func(b Binding, chosen bool)) {
	b, done := x.all[at], 0
	slices.SortFunc(x.chosen[at], func(a, b interval) int { return cmp.Compare(a.i, b.i) })
	for _, c := range x.chosen[at] {
		first, end := max(c.i, done), c.i+c.n
		if end <= done {
			continue
		}
		if first > done {
			yield(b.Part(done, first-done), false)
		}
		yield(b.Part(first, end-first), true)
		done = end
	}
	if done < b.Len() {
		yield(b.Part(done, b.Len()-done), false)
	}
}
