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
		stream("stream-in-4", 4, false),
		stream("stream-out-4", 4, true),
		stream("stream-in-16", 16, false),
		stream("stream-out-16", 16, true),
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
	if kind == traffic.Datagrams {
		proto = "udp"
	}
	return Workload{Name: name, About: about, Proto: proto, Unit: unit, Scale: 1, kind: kind, flows: 1}
}

// Order turns the workload into an order to the traffic generator, without addresses and times.
func (w Workload) Order(s target.Scenario) traffic.Order {
	size := 1
	switch w.kind {
	case traffic.Stream:
		size = streamWrite
	case traffic.Datagrams:
		size = datagramLength
	}
	// "Out" is seen from the container: it is the server of a published port, and the client of the outside world.
	fromServer := w.outOfHost
	if s == target.Masquerade {
		fromServer = !w.outOfHost
	}
	return traffic.Order{
		Kind: w.kind, Flows: w.flows, Size: size,
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
