// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

// sample is one order while it is carried out.
type sample struct {
	order  Order
	meters []*meter
	// over is set when the counting side has what it wanted: errors of the other side are then its usual end.
	over atomic.Bool
	// flooding is the number of senders of datagrams still at it; sent and arrived count from the greetings on.
	flooding atomic.Int32
	sent     atomic.Uint64
	arrived  uint64

	once sync.Once
	peer netip.AddrPort
}

// Run carries out one order in this process. The order's threads block inside raw system calls for its whole duration,
// so nothing else should be going on in the process: it is meant for the generator, by way of Serve.
func Run(order Order) (Reply, error) {
	if err := order.validate(); err != nil {
		return Reply{}, err
	}
	// A thread in a raw system call keeps its processor from the Go scheduler: one each, and one for this goroutine.
	runtime.GOMAXPROCS(2*order.Flows + 1)
	s := &sample{order: order}
	for flow := range order.Flows {
		s.meters = append(s.meters, newMeter(order, flow))
	}
	if err := s.run(); err != nil {
		return Reply{}, err
	}
	return s.reply()
}

func (s *sample) run() error {
	kind := unix.SOCK_STREAM
	if s.order.datagrams() {
		kind = unix.SOCK_DGRAM
	}
	var listener socket
	err := <-onThread(s.order.ServerNS, s.order.Cgroup, s.order.CPUs, func() (err error) {
		listener, err = listen(s.order.Listen, kind)
		return err
	})
	if err != nil {
		return err
	}
	defer listener.close()

	server, client := s.roles()
	var servers, clients []<-chan error
	for _, m := range s.meters {
		servers = append(servers, onThread(s.order.ServerNS, s.order.Cgroup, s.order.CPUs, func() error { return server(listener, m) }))
	}
	to := newEndpoint(s.order.Dial)
	for _, m := range s.meters {
		clients = append(clients, onThread(s.order.ClientNS, s.order.Cgroup, s.order.CPUs, func() error { return client(&to, m) }))
	}
	clientErr := wait(clients)
	s.over.Store(true)
	listener.shut()
	serverErr := wait(servers)
	if clientErr != nil {
		// The server's complaint, if it has one, is about the same thing.
		return fmt.Errorf("client: %w", clientErr)
	}
	if serverErr != nil {
		return fmt.Errorf("server: %w", serverErr)
	}
	return nil
}

func (s *sample) roles() (server func(socket, *meter) error, client func(*endpoint, *meter) error) {
	switch s.order.Kind {
	case Stream:
		return s.serveStream, s.openStream
	case RequestResponse:
		return s.answer, s.ask
	case ConnectRequestClose:
		return s.answerOnce, s.askOnce
	case NewFlows:
		return s.answerAnew, s.askAnew
	default:
		return s.collect, s.flood
	}
}

func wait(threads []<-chan error) error {
	var errs []error
	for _, done := range threads {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

// sawPeer remembers the first client's address.
func (s *sample) sawPeer(peer netip.AddrPort) {
	s.once.Do(func() { s.peer = peer })
}

func (s *sample) reply() (Reply, error) {
	first := s.meters[0]
	reply := Reply{Seconds: first.seconds(), Busy: first.busy, Own: first.own, Peer: s.peer}
	latency := new(stats.Histogram)
	var read, spliced uint64
	for _, m := range s.meters {
		reply.Rate += m.rate()
		reply.Count += m.count
		latency.Merge(m.latency)
		read, spliced = read+m.read, spliced+m.spliced
	}
	if read > 0 {
		reply.Spliced = float64(spliced) / float64(read)
	}
	if reply.Count == 0 {
		return Reply{}, errors.New("nothing arrived while it was counted")
	}
	if s.order.Kind == Stream {
		reply.Rate *= 8
	}
	if s.order.Kind == Datagrams {
		if sent := s.sent.Load(); sent > s.arrived {
			reply.Lost = 1 - float64(s.arrived)/float64(sent)
		}
	}
	reply.P50, reply.P99, reply.P999 = latency.Percentile(50), latency.Percentile(99), latency.Percentile(99.9)
	reply.Latency = latency.Buckets()
	return reply, nil
}
