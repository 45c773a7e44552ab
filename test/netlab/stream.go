// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"
)

// StreamConfig says how a held connection behaves.
type StreamConfig struct {
	// Source is the source address, port or both.
	Source netip.AddrPort
	// Interval between two exchanges; 0 is 10 ms.
	Interval time.Duration
	// Size of a message; 0 is 512 bytes.
	Size int
	// Patience is how long one answer may take before the stream counts as
	// broken, or a datagram as lost; 0 is one second.
	Patience time.Duration
}

// Stream is a connection that is held open to a whoami server and exchanges
// messages all the time, comparing every byte. What it proves is that nothing
// was lost, altered, delayed for long, or reset since it was opened.
type Stream struct {
	conn net.Conn
	seen Seen
	cfg  StreamConfig
	udp  bool
	stop chan struct{}
	done chan struct{}

	// Written by the loop, read after done.
	err    error
	report StreamReport
}

// StreamReport says what a stream has been through.
type StreamReport struct {
	Exchanges int
	Bytes     int
	// Slowest answer: how long the traffic stood still. TCP retransmits after
	// 200 ms at the earliest, so below that no segment was lost.
	Slowest time.Duration
	// Lost is the number of UDP datagrams without an answer.
	Lost int
}

// OpenStream connects from a namespace to a whoami server over "tcp" or "udp"
// and starts exchanging.
func OpenStream(ctx context.Context, ns *Namespace, network string, to netip.AddrPort, cfg StreamConfig) (*Stream, error) {
	if cfg.Interval == 0 {
		cfg.Interval = 10 * time.Millisecond
	}
	if cfg.Size == 0 {
		cfg.Size = 512
	}
	cfg.Size = max(cfg.Size, 16)
	if cfg.Patience == 0 {
		cfg.Patience = time.Second
	}
	dialCtx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	conn, err := ns.DialFrom(dialCtx, network, cfg.Source, to)
	if err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	s := &Stream{
		conn: conn, cfg: cfg, udp: strings.HasPrefix(network, "udp"),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	if err := s.greet(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("open stream from %s to %s/%s: %w", ns.Name(), to, network, err)
	}
	go s.loop()
	return s, nil
}

// greet asks who is there, and turns a TCP connection into an echo.
func (s *Stream) greet() error {
	if err := s.conn.SetDeadline(time.Now().Add(defaultTimeout)); err != nil {
		return err
	}
	if s.udp {
		seen, err := askDatagram(s.conn)
		s.seen = seen
		return err
	}
	if _, err := fmt.Fprintln(s.conn, whoRequest); err != nil {
		return err
	}
	// The answer is one segment of one line, and nothing follows until we ask.
	buf := make([]byte, 1024)
	n, err := s.conn.Read(buf)
	if err != nil {
		return err
	}
	if s.seen, err = newSeen(buf[:n], s.conn.LocalAddr(), addrPort(s.conn.RemoteAddr())); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.conn, echoRequest)
	return err
}

// Seen is who the server saw when the stream was opened.
func (s *Stream) Seen() Seen { return s.seen }

// Broken is closed as soon as the stream has failed, or was closed.
func (s *Stream) Broken() <-chan struct{} { return s.done }

// Close ends the stream and tells what it has been through. The error is why
// it broke; lost UDP datagrams are an error too.
func (s *Stream) Close() (StreamReport, error) {
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	<-s.done
	s.conn.Close()
	if s.err == nil && s.report.Lost > 0 {
		s.err = fmt.Errorf("%d of %d datagrams lost", s.report.Lost, s.report.Exchanges)
	}
	return s.report, s.err
}

func (s *Stream) loop() {
	defer close(s.done)
	message, answer := make([]byte, s.cfg.Size), make([]byte, s.cfg.Size)
	tick := time.NewTicker(s.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		fill(message, uint64(s.report.Exchanges))
		start := time.Now()
		err := s.exchange(message, answer)
		s.report.Exchanges++
		if took := time.Since(start); took > s.report.Slowest {
			s.report.Slowest = took
		}
		var timeout net.Error
		if s.udp && errors.As(err, &timeout) && timeout.Timeout() {
			s.report.Lost++
			continue
		}
		if err != nil {
			s.err = fmt.Errorf("exchange %d: %w", s.report.Exchanges, err)
			return
		}
		s.report.Bytes += 2 * len(message)
	}
}

func (s *Stream) exchange(message, answer []byte) error {
	if err := s.conn.SetDeadline(time.Now().Add(s.cfg.Patience)); err != nil {
		return err
	}
	if _, err := s.conn.Write(message); err != nil {
		return err
	}
	for {
		n, err := io.ReadFull(s.conn, answer)
		if s.udp && n > 0 && !bytes.Equal(answer[:8], message[:8]) {
			continue // the late answer to an earlier datagram
		}
		if err != nil {
			return err
		}
		if !bytes.Equal(answer, message) {
			return errors.New("the echo differs from what was sent")
		}
		return nil
	}
}

// fill makes a message that occurs only once: its number, then noise that
// follows from the number.
func fill(b []byte, number uint64) {
	binary.BigEndian.PutUint64(b, number)
	r := rand.New(rand.NewPCG(number, 1))
	for i := 8; i < len(b); i++ {
		b[i] = byte(r.Uint32())
	}
}
