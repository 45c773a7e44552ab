// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/vethway/vethway/test/netlab"
)

// protocols are those that a published port can have here.
func protocols() []string { return []string{"tcp", "udp"} }

// ask asks a server and fails the test if no answer comes.
func (l lab) ask(from *netlab.Namespace, network string, to netip.AddrPort, opts netlab.WhoAmIOptions) netlab.Seen {
	l.Helper()
	seen, err := netlab.WhoAmI(l.Context(), from, network, to, opts)
	if err != nil {
		l.Fatal(err)
	}
	return seen
}

// sees asks over tcp and udp, and wants that server to have seen that address. The client must be told, by its socket,
// that it speaks with whom it asked for.
func (l lab) sees(from *netlab.Namespace, to netip.AddrPort, server string, peer netip.Addr) {
	l.Helper()
	for _, network := range protocols() {
		seen, err := netlab.WhoAmI(l.Context(), from, network, to, netlab.WhoAmIOptions{})
		if err != nil {
			l.Error(err)
			continue
		}
		l.judge(seen, network, server, peer, to)
	}
}

// seesItself wants the server to see the client's own address and port: nothing was translated on that side.
func (l lab) seesItself(from *netlab.Namespace, to netip.AddrPort, server string) {
	l.Helper()
	for _, network := range protocols() {
		seen, err := netlab.WhoAmI(l.Context(), from, network, to, netlab.WhoAmIOptions{})
		if err != nil {
			l.Error(err)
			continue
		}
		l.judge(seen, network, server, seen.ClientLocal.Addr(), to)
		if seen.Peer.Port() != seen.ClientLocal.Port() {
			l.Errorf("%s over %s: %s: the source port changed", to, network, seen)
		}
	}
}

func (l lab) judge(seen netlab.Seen, network, server string, peer netip.Addr, to netip.AddrPort) {
	l.Helper()
	if seen.Server != server || seen.Peer.Addr() != peer {
		l.Errorf("%s over %s: %s, want %s to see %s", to, network, seen, server, peer)
	}
	if seen.ClientPeer != to {
		l.Errorf("%s over %s: the client was told that it spoke with %s", to, network, seen.ClientPeer)
	}
}

// ends wants attempts over tcp and udp to end so.
func (l lab) ends(from *netlab.Namespace, to netip.AddrPort, want netlab.Outcome) {
	l.Helper()
	for _, network := range protocols() {
		if got := netlab.Try(l.Context(), from, network, to, silence); got != want {
			l.Errorf("from %s to %s/%s: %s, want %s", from, to, network, got, want)
		}
	}
}

// pings wants an echo reply from whom it asked.
func (l lab) pings(from *netlab.Namespace, to netip.Addr) {
	l.Helper()
	reply, err := netlab.Ping(l.Context(), from, to, netlab.PingOptions{ID: 77, Seq: 1})
	if err != nil {
		l.Error(err)
	} else if reply.From != to {
		l.Errorf("ping of %s was answered by %s", to, reply.From)
	}
}

// noPing wants silence.
func (l lab) noPing(from *netlab.Namespace, to netip.Addr) {
	l.Helper()
	reply, err := netlab.Ping(l.Context(), from, to, netlab.PingOptions{ID: 77, Seq: 1, Timeout: silence})
	if got := netlab.Classify(err); got != netlab.TimesOut {
		l.Errorf("ping of %s from %s: %s, %v %v, want silence", to, from, got, reply, err)
	}
}

// drops are the counters, by "hook/reason".
func (l lab) drops() map[string]uint64 {
	l.Helper()
	list, err := l.api.Drops(l.Context())
	l.must(err)
	counts := map[string]uint64{}
	for _, d := range list {
		counts[d.Hook+"/"+d.Reason] += d.Packets
	}
	return counts
}

// dropped wants a counter such as "from-container/isolated" to move by at least so much while f runs.
func (l lab) dropped(counter string, least uint64, f func()) {
	l.Helper()
	before := l.drops()
	f()
	after := l.drops()
	if got := after[counter] - before[counter]; got < least {
		l.Errorf("%s moved by %d, want at least %d; all: before %v, after %v", counter, got, least, before, after)
	}
}

// untouched wants no drop at all while f runs, but for those of the hosts' own chatter.
func (l lab) untouched(f func()) {
	l.Helper()
	before := l.drops()
	f()
	for counter, n := range l.drops() {
		if n != before[counter] {
			l.Errorf("%s moved by %d, where nothing is to be dropped", counter, n-before[counter])
		}
	}
}

// held are streams that must all survive.
type held struct {
	l       lab
	names   []string
	streams []*netlab.Stream
}

// add opens a stream, from a source of the caller's choice if it is valid or has a port.
func (h *held) add(from *netlab.Namespace, network string, to, source netip.AddrPort) *netlab.Stream {
	h.l.Helper()
	s, err := netlab.OpenStream(h.l.Context(), from, network, to, netlab.StreamConfig{Source: source, Size: 1400})
	if err != nil {
		h.l.Fatal(err)
	}
	h.names = append(h.names, fmt.Sprintf("%s from %s to %s", network, from, to))
	h.streams = append(h.streams, s)
	return s
}

// unharmed lets them exchange for a while, closes them, and wants none to have lost anything.
func (h *held) unharmed() {
	h.l.Helper()
	time.Sleep(150 * time.Millisecond)
	for i, s := range h.streams {
		report, err := s.Close()
		if err != nil {
			h.l.Errorf("%s: %v (%+v)", h.names[i], err, report)
		} else if report.Exchanges < 2 {
			h.l.Errorf("%s: it stands still: %+v", h.names[i], report)
		}
	}
	h.names, h.streams = nil, nil
}

// cut wants a stream to break, or to go silent, within half a second.
func (l lab) cut(what string, s *netlab.Stream) {
	l.Helper()
	select {
	case <-s.Broken():
	case <-time.After(500 * time.Millisecond): // over UDP nothing breaks: datagrams are lost
	}
	report, err := s.Close()
	if err == nil {
		l.Errorf("%s goes on: %+v", what, report)
	}
}

// reaches is for eventually.
func (l lab) reaches(from *netlab.Namespace, network string, to netip.AddrPort, server string, peer netip.Addr) error {
	seen, err := netlab.WhoAmI(l.Context(), from, network, to, netlab.WhoAmIOptions{Timeout: time.Second})
	if err != nil {
		return err
	}
	if seen.Server != server || peer.IsValid() && seen.Peer.Addr() != peer {
		return fmt.Errorf("%s, want %s to see %s", seen, server, peer)
	}
	return nil
}
