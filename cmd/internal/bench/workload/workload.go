// SPDX-License-Identifier: Apache-2.0

// Package workload names the kinds of traffic that a benchmark consists of.
package workload

import (
	"fmt"
	"slices"

	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/traffic"
)

const (
	// What iperf3 writes at a time. Larger writes are faster, and with them it is the copying that is measured.
	streamWrite    = 128 << 10
	datagramLength = 64
)

// Workload is one kind of traffic.
type Workload struct {
	Name  string
	About string
	// Proto is "tcp" or "udp".
	Proto string
	Unit  string
	// Scale turns the generator's rate into Unit.
	Scale float64
	// Extra workloads take part only when they are asked for by name.
	Extra bool
	// Generated workloads are not carried out by the traffic generator but by package frames.
	Generated bool
	// Fresh workloads make new flows: what the target remembers of old ones has to be forgotten before.
	Fresh bool

	// Polls is set where the sockets never block.
	Polls bool

	kind      traffic.Kind
	flows     int
	outOfHost bool
}

// All lists the workloads in the order of reports.
func All() []Workload {
	return []Workload{
		stream("stream-in", 1, false),
		stream("stream-out", 1, true),
		event("rr", "request and response of one byte over an open connection", "transactions/s", traffic.RequestResponse),
		event("crr", "connect, request, response, close", "connections/s", traffic.ConnectRequestClose),
		event("udp", "64-byte UDP datagrams, counted where they arrive", "packets/s", traffic.Datagrams),
		event("udp-new", "a UDP datagram and its answer from a new port each time", "flows/s", traffic.NewFlows),
		limit(),
		stream("stream-in-2", 2, false),
		stream("stream-out-2", 2, true),
		stream("stream-in-4", 4, false),
		stream("stream-out-4", 4, true),
		stream("stream-in-16", 16, false),
		stream("stream-out-16", 16, true),
		polling(stream("stream-in", 1, false)),
		polling(event("rr", "request and response of one byte over an open connection", "transactions/s", traffic.RequestResponse)),
	}
}

// polling is the same with sockets as programs have them that run an event loop. Only those are spliced.
func polling(w Workload) Workload {
	w.Name, w.About = w.Name+"-poll", w.About+", with sockets that do not block"
	w.Extra, w.Polls = true, true
	return w
}

// limit is what a target forwards when nothing else takes the CPU's time.
func limit() Workload {
	return Workload{
		Name: "limit", About: "generated 64-byte UDP frames, counted where they arrive", Proto: "udp", Unit: "packets/s",
		Scale: 1, Generated: true,
	}
}

func stream(name string, flows int, out bool) Workload {
	direction := "towards the container"
	if out {
		direction = "from the container"
	}
	return Workload{
		Name: name, About: fmt.Sprintf("bulk TCP %s, %d at a time", direction, flows),
		Proto: "tcp", Unit: "Gbit/s", Scale: 1e-9, Extra: flows > 1,
		kind: traffic.Stream, flows: flows, outOfHost: out,
	}
}

func event(name, about, unit string, kind traffic.Kind) Workload {
	proto := "tcp"
	if kind == traffic.Datagrams || kind == traffic.NewFlows {
		proto = "udp"
	}
	fresh := kind == traffic.ConnectRequestClose || kind == traffic.NewFlows
	return Workload{Name: name, About: about, Proto: proto, Unit: unit, Scale: 1, Fresh: fresh, kind: kind, flows: 1}
}

// Fits says whether the workload can be had in a scenario and with so many CPUs. Generated frames need a veth of the
// client's to go out of, and are sent, carried and counted by one CPU.
func (w Workload) Fits(s target.Scenario, cpus int) bool {
	if !w.Generated {
		return true
	}
	return cpus == 1 && !s.Local()
}

// Streams says how many TCP streams the workload is, and whether they come out of the container; none of other workloads.
func (w Workload) Streams() (streams int, out bool) {
	if w.kind != traffic.Stream {
		return 0, false
	}
	return w.flows, w.outOfHost
}

// Order turns the workload into an order to the traffic generator, without addresses and times.
func (w Workload) Order(s target.Scenario) traffic.Order {
	size := 1
	switch w.kind {
	case traffic.Stream:
		size = streamWrite
	case traffic.Datagrams, traffic.NewFlows:
		size = datagramLength
	}
	// "Out" is seen from the container: it is the server of a published port, and the client of the outside world.
	fromServer := w.outOfHost
	if s == target.Masquerade {
		fromServer = !w.outOfHost
	}
	return traffic.Order{
		Kind: w.kind, Flows: w.flows, Size: size, Polls: w.Polls,
		FromServer: w.kind == traffic.Stream && fromServer,
	}
}

// Choose picks workloads by name, in the order of All; no names at all means those that are not extra.
func Choose(names []string) ([]Workload, error) {
	var chosen []Workload
	for _, w := range All() {
		if len(names) == 0 && !w.Extra || slices.Contains(names, w.Name) {
			chosen = append(chosen, w)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(chosen, func(w Workload) bool { return w.Name == name }) {
			return nil, fmt.Errorf("no workload %q: `vethway-bench list` shows those that there are", name)
		}
	}
	return chosen, nil
}
