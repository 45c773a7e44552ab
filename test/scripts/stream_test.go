// SPDX-License-Identifier: Apache-2.0

package scripts

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vethway/vethway/test/netlab"
)

const streamUsage = "usage: stream open NAME WHERE tcp|udp ADDRESS:PORT, or stream close NAME"

// stream holds connections that carry traffic all the time, and judges them when they are closed: not a byte altered, not
// a datagram lost, no reset.
func stream(ts *testscript.TestScript, args []string) error {
	l := labOf(ts)
	switch {
	case len(args) == 5 && args[0] == "open":
		return l.openStream(args[1], args[2], args[3], args[4])
	case len(args) == 2 && args[0] == "close":
		s, ok := l.streams[args[1]]
		if !ok {
			return fmt.Errorf("no stream %s", args[1])
		}
		delete(l.streams, args[1])
		report, err := s.Close()
		if err != nil {
			return fmt.Errorf("stream %s: %w", args[1], err)
		}
		ts.Logf("[%s: %d exchanges, slowest %s, %d lost]", args[1], report.Exchanges, report.Slowest, report.Lost)
		if report.Lost > 0 || report.Exchanges == 0 {
			return fmt.Errorf("stream %s: %d of %d datagrams lost", args[1], report.Lost, report.Exchanges)
		}
		return nil
	}
	return errors.New(streamUsage)
}

func (l *lab) openStream(name, where, network, address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	ns, done, err := l.namespace(where)
	if err != nil {
		return err
	}
	defer done()
	s, err := netlab.OpenStream(context.Background(), ns, network, to, netlab.StreamConfig{})
	if err != nil {
		return err
	}
	l.streams[name] = s
	return nil
}

// closeStreams ends what a scenario that failed half-way left open; how they fared is of no interest then.
func (l *lab) closeStreams() {
	for _, s := range l.streams {
		_, _ = s.Close()
	}
}
