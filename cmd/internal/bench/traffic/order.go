// SPDX-License-Identifier: Apache-2.0

// Package traffic makes the benchmark's packets and counts them.
//
// All of it happens in one subprocess, the generator: the same binary started again. Client and server are threads of
// that process, each in its own network namespace and on the CPUs it was told to use. They call the kernel by raw,
// blocking system calls on locked threads: Go's netpoller would cost an epoll round and a goroutine switch per
// message, which is as much as some of the ways that are compared here.
package traffic

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

// Kind is what client and server do with each other.
type Kind string

const (
	// Stream is bulk TCP, counted where it is received.
	Stream Kind = "stream"
	// RequestResponse sends one byte there and one back over an established TCP connection.
	RequestResponse Kind = "rr"
	// ConnectRequestClose makes a TCP connection for each such exchange.
	ConnectRequestClose Kind = "crr"
	// Datagrams is a flood of small UDP packets, counted where they are received.
	Datagrams Kind = "udp"
	// NewFlows sends a datagram there and one back, from another source port each time.
	NewFlows Kind = "udp-new"
)

// Order asks the generator for one sample.
type Order struct {
	Kind Kind `json:"kind"`
	// Flows is the number of connections, or of UDP sockets, at a time.
	Flows int `json:"flows"`
	// FromServer turns a stream round: the side that was connected to sends.
	FromServer bool `json:"from_server,omitempty"`
	// Polls has TCP sockets wait in poll, and never in send or receive.
	Polls bool `json:"polls,omitempty"`
	// Size is the length of a datagram or of a stream's writes in bytes.
	Size int `json:"size"`
	// CPUs are the processors that client and server may use, both of them the same.
	CPUs []int `json:"cpus"`
	// Cgroup is the directory of the one whose sockets they are, a cgroup of threads right below one of processes; empty: where the generator is.
	Cgroup string `json:"cgroup,omitempty"`

	// ClientNS and ServerNS are paths of network namespaces.
	ClientNS string `json:"client_ns"`
	ServerNS string `json:"server_ns"`
	// Listen is where the server binds; Dial is where the client believes that it is.
	Listen netip.AddrPort `json:"listen"`
	Dial   netip.AddrPort `json:"dial"`

	Warmup   time.Duration `json:"warmup"`
	Duration time.Duration `json:"duration"`
}

// Reply is one sample.
type Reply struct {
	// Rate is bits, exchanges, connections or packets in a second.
	Rate float64 `json:"rate"`
	// Seconds is how long was counted, Count what was counted: bytes for a stream, else events.
	Seconds float64 `json:"seconds"`
	Count   uint64  `json:"count"`
	// Lost is the share of the datagrams sent that never arrived.
	Lost float64 `json:"lost,omitempty"`
	// Busy is the CPU time that the ordered CPUs spent on anything in those seconds, interrupts included; Own is what
	// the generator's threads were billed, which includes the softirqs that ran on top of them.
	Busy float64 `json:"busy"`
	Own  float64 `json:"own"`
	// Spliced is the part of the bytes of TCP that went from socket to socket without a packet.
	Spliced float64 `json:"spliced,omitempty"`
	// Peer is the client's address as the server saw it.
	Peer netip.AddrPort `json:"peer"`
	// Latency percentiles are of single exchanges or connections.
	P50  time.Duration `json:"p50,omitempty"`
	P99  time.Duration `json:"p99,omitempty"`
	P999 time.Duration `json:"p999,omitempty"`
	// Latency is the histogram that they were read from.
	Latency []stats.Bucket `json:"latency,omitempty"`

	Error string `json:"error,omitempty"`
}

func (o Order) datagrams() bool { return o.Kind == Datagrams || o.Kind == NewFlows }

func (o Order) validate() error {
	switch o.Kind {
	case Stream, RequestResponse, ConnectRequestClose, Datagrams, NewFlows:
	default:
		return fmt.Errorf("unknown kind of traffic %q", o.Kind)
	}
	switch {
	case o.Flows < 1:
		return fmt.Errorf("%d flows: at least one is needed", o.Flows)
	case o.Size < 1 || o.datagrams() && o.Size > maxDatagram:
		return fmt.Errorf("a size of %d bytes is out of range", o.Size)
	case len(o.CPUs) == 0:
		return fmt.Errorf("no CPU to run on")
	case !o.Listen.IsValid() || !o.Dial.IsValid():
		return fmt.Errorf("listen address %s or dial address %s is missing", o.Listen, o.Dial)
	case o.Duration <= 0 || o.Warmup < 0:
		return fmt.Errorf("duration %v or warm-up %v is out of range", o.Duration, o.Warmup)
	}
	return nil
}
