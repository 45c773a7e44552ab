// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

const (
	splicePort   = 7000 // the network names it
	ordinaryPort = 7001 // and not this one
	warmUp       = 4096 // at most so many bytes are exchanged before a test's own
)

// spliceLab has a network that is spliced, with the containers a and b; splicePort of a is published.
type spliceLab struct {
	lab
	a, b      *netlab.Namespace
	listeners map[netip.AddrPort]*net.TCPListener
}

func spliceModes(t *testing.T, f func(l spliceLab)) {
	modes(t, func(l lab) {
		_, err := l.api.CreateNetwork(l.Context(), api.NetworkCreate{
			Name: "spliced", Options: map[string]string{api.OptionSplice: fmt.Sprint(splicePort)},
			IPAM: api.IPAM{Config: []api.IPAMConfig{
				{Subnet: prefix("172.30.9.0/24"), Gateway: addr("172.30.9.1")}, {Subnet: prefix("fd30:9::/64"), Gateway: addr("fd30:9::1")},
			}},
		})
		l.must(err)
		a := l.attach("a", "spliced", endpointAt("172.30.9.2", "fd30:9::2"), api.PublishSpec{HostPort: splicePort, ContainerPort: splicePort, Protocol: api.TCP})
		b := l.attach("b", "spliced", endpointAt("172.30.9.3", "fd30:9::3"))
		f(spliceLab{lab: l, a: a, b: b, listeners: map[netip.AddrPort]*net.TCPListener{}})
	})
}

func endpointAt(v4, v6 string) api.EndpointConfig {
	return api.EndpointConfig{IPAMConfig: api.EndpointIPAMConfig{IPv4Address: addr(v4), IPv6Address: addr(v6)}}
}

func (l spliceLab) with(t *testing.T) spliceLab {
	l.lab = l.lab.with(t)
	return l
}

// ends are where the listener is, in each family.
type ends struct {
	name       string
	a, gateway netip.Addr
}

func (l spliceLab) ends() []ends {
	return []ends{
		{behaviour.IPv4, addr("172.30.9.2"), addr("172.30.9.1")},
		{behaviour.IPv6, addr("fd30:9::2"), addr("fd30:9::1")},
	}
}

// listen opens a listener in a, once.
func (l spliceLab) listen(at netip.AddrPort) *net.TCPListener {
	l.Helper()
	if l.listeners[at] == nil {
		listener, err := l.a.Listen(l.Context(), at)
		l.must(err)
		l.listeners[at] = listener
	}
	return l.listeners[at]
}

// connectTo connects to where listener is reached, and accepts.
func (l spliceLab) connectTo(from *netlab.Namespace, to netip.AddrPort, listener *net.TCPListener) (client, server *net.TCPConn) {
	l.Helper()
	conn, err := from.Dial(l.Context(), "tcp", to)
	l.must(err)
	server, err = listener.AcceptTCP()
	l.must(err)
	client = conn.(*net.TCPConn)
	l.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// dialPair is a connection from b to a port of a.
func (l spliceLab) dialPair(e ends, p uint16) (client, server *net.TCPConn) {
	l.Helper()
	return l.connectTo(l.b, port(e.a, p), l.listen(port(e.a, p)))
}

// pair is one that is spliced.
func (l spliceLab) pair(e ends) (client, server *net.TCPConn) {
	l.Helper()
	client, server = l.dialPair(e, splicePort)
	l.pingPong(client, server, 4)
	if f, ok := l.spliced(server); !ok || f.Packets == 0 || f.RPackets == 0 {
		l.Fatalf("a new connection is not spliced: %+v", f)
	}
	return client, server
}

// pingPong sends something each way, again and again.
func (l spliceLab) pingPong(client, server *net.TCPConn, rounds int) {
	l.Helper()
	for i := range rounds {
		for _, way := range [][2]*net.TCPConn{{client, server}, {server, client}} {
			var got [1]byte
			if _, err := way[0].Write([]byte{byte(i)}); err != nil {
				l.Fatal(err)
			}
			if _, err := io.ReadFull(way[1], got[:]); err != nil || got[0] != byte(i) {
				l.Fatalf("round %d: got %d and %v", i, got[0], err)
			}
		}
	}
}

// spliced finds the connection among the flows, by either end.
func (l spliceLab) spliced(conn *net.TCPConn) (api.Flow, bool) {
	l.Helper()
	flows, err := l.api.Flows(l.Context(), api.FlowFilter{Kind: "spliced"})
	l.must(err)
	local, remote := endOf(conn.LocalAddr()), endOf(conn.RemoteAddr())
	for _, f := range flows {
		if f.Original.Src == local && f.Original.Dst == remote || f.Original.Src == remote && f.Original.Dst == local {
			return f, true
		}
	}
	return api.Flow{}, false
}

func endOf(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// noEntries wants nothing to be noted of any connection.
func (l spliceLab) noEntries() error {
	d, err := maps.NewDecoder(maps.DecoderConfig{PinDir: l.vw.Pins()})
	if err != nil {
		return err
	}
	var left []maps.Row
	err = d.Dump("splices", func(r maps.Row) bool { left = append(left, r); return true })
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("there are %d, one is %v", len(left), left[0])
	}
	return err
}

// ended wants a reader to be told how a connection ended.
func (l spliceLab) ended(conn *net.TCPConn, want error) {
	l.Helper()
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, want) {
		l.Errorf("the reader got %d bytes and %v, want %v", n, err, want)
	}
}

func (l spliceLab) onSocket(conn *net.TCPConn, f func(fd int) error) {
	l.Helper()
	raw, err := conn.SyscallConn()
	l.must(err)
	l.must(errors.Join(raw.Control(func(fd uintptr) { err = f(int(fd)) }), err))
}

// transfer is a number of bytes, written and read in pieces of random sizes up to these.
type transfer struct{ bytes, write, read int }

// source makes the bytes of a seed, which repeat after a while that is no power of two.
func source(seed uint64) []byte {
	var key [32]byte
	key[0] = byte(seed)
	content := make([]byte, 1_000_003)
	_, _ = rand.NewChaCha8(key).Read(content) // never fails
	return content
}

// fill sends until all is sent, or nothing more is taken, and returns how many bytes were.
func (s transfer) fill(t *testing.T, conn *net.TCPConn, seed uint64) int {
	t.Helper()
	content, sizes := source(seed), rand.New(rand.NewPCG(seed, 1))
	// Long enough for any piece from any place.
	for len(content) < 1_000_003+s.write {
		content = append(content, content[:1_000_003]...)
	}
	sent := 0
	for sent < s.bytes {
		at := sent % 1_000_003
		n, err := conn.Write(content[at : at+min(1+sizes.IntN(s.write), s.bytes-sent)])
		sent += n
		if err != nil {
			if ne := net.Error(nil); !errors.As(err, &ne) || !ne.Timeout() {
				t.Errorf("after %d bytes: %v", sent, err)
			}
			break
		}
	}
	return sent
}

func (s transfer) send(t *testing.T, conn *net.TCPConn, seed uint64) {
	t.Helper()
	if sent := s.fill(t, conn, seed); sent != s.bytes {
		t.Errorf("%d of %d bytes were sent", sent, s.bytes)
	}
}

// receive wants these bytes and no other.
func (s transfer) receive(t *testing.T, conn *net.TCPConn, seed uint64) {
	t.Helper()
	content, sizes := source(seed), rand.New(rand.NewPCG(seed, 2))
	want, have := sha256.New(), sha256.New()
	buf := make([]byte, s.read)
	for got := 0; got < s.bytes; {
		n, err := conn.Read(buf[:min(1+sizes.IntN(s.read), s.bytes-got)])
		have.Write(buf[:n])
		for rest := n; rest > 0; {
			at := got % len(content)
			piece := content[at:min(at+rest, len(content))]
			want.Write(piece)
			got, rest = got+len(piece), rest-len(piece)
		}
		if err != nil {
			t.Errorf("after %d of %d bytes: %v", got, s.bytes, err)
			return
		}
	}
	if string(have.Sum(nil)) != string(want.Sum(nil)) {
		t.Errorf("%d bytes are not what was sent", s.bytes)
	}
}

// flood sends until the connection ends.
func flood(conn *net.TCPConn) {
	for piece := make([]byte, 20000); ; {
		if _, err := conn.Write(piece); err != nil {
			return
		}
	}
}

// drain reads until it does.
func drain(conn *net.TCPConn) {
	for buf := make([]byte, 9000); ; {
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}
