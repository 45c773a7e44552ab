// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

// fragmentPort is where talkers listen.
const fragmentPort = 9100

// order is how a datagram's fragments leave.
type order string

const (
	natural  order = "in order" // as the stack sends them
	reversed order = "the last one first"
	tangled  order = "tangled" // the first one in the middle, one twice
)

// talker is a UDP socket that can also send by hand.
type talker struct {
	l    lab
	wire *wire
	conn *net.UDPConn
}

func (l lab) newTalker(where string, at netip.AddrPort) *talker {
	l.Helper()
	conn, err := l.at(where).ListenPacket(l.Context(), at)
	l.must(err)
	l.Cleanup(func() { conn.Close() })
	l.must(conn.SetReadBuffer(1 << 20))
	l.must(conn.SetWriteBuffer(1 << 20))
	return &talker{l, l.newWire(where), conn}
}

func (k *talker) addr() netip.AddrPort { return k.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// send sends a datagram, by the socket or, in another order, by hand.
func (k *talker) send(to netip.AddrPort, payload []byte, o order) {
	k.l.Helper()
	if o == natural {
		_, err := k.conn.WriteToUDPAddrPort(payload, to)
		k.l.must(err)
		return
	}
	k.wire.sendCut(netlab.UDPPacket(k.addr(), to, payload), o)
}

// hear wants that payload, and returns who sent it.
func (k *talker) hear(what string, payload []byte) netip.AddrPort {
	k.l.Helper()
	buf := make([]byte, 65536)
	k.l.must(k.conn.SetReadDeadline(time.Now().Add(2 * time.Second)))
	n, peer, err := k.conn.ReadFromUDPAddrPort(buf)
	if err != nil {
		k.l.Fatalf("%s: %v; drops %v", what, err, k.l.drops())
	}
	if !bytes.Equal(buf[:n], payload) {
		k.l.Fatalf("%s: %d bytes arrived that are not the %d sent", what, n, len(payload))
	}
	return netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
}

// sendCut sends a packet in fragments. Their identifier is taken from its contents and from the time: no two are alike.
func (w *wire) sendCut(packet []byte, o order) {
	w.l.Helper()
	frames := cut(packet, 1480, uint32(time.Now().UnixNano()))
	var at []int
	for i := len(frames) - 1; i >= 0; i-- {
		at = append(at, i)
	}
	if o == tangled {
		at = append(at[1:], at[0], at[0])
	}
	for _, i := range at {
		w.send(frames[i])
	}
}

// cut makes fragments of a packet, with so many bytes of payload each, a multiple of eight (RFC 791 section 3.2, RFC 8200 section 4.5).
func cut(packet []byte, size int, id uint32) [][]byte {
	v6 := packet[0]>>4 == 6
	head := 20
	if v6 {
		head = 40
		size -= 48
	}
	body := packet[head:]
	var all [][]byte
	for at := 0; at < len(body); at += size {
		n := min(size, len(body)-at)
		more := at+n < len(body)
		b := append([]byte(nil), packet[:head]...)
		if v6 {
			ext := []byte{b[6], 0, 0, 0, 0, 0, 0, 0}
			binary.BigEndian.PutUint16(ext[2:], uint16(at)|bitIf(more, 1))
			binary.BigEndian.PutUint32(ext[4:], id)
			b[6] = unix.IPPROTO_FRAGMENT
			binary.BigEndian.PutUint16(b[4:], uint16(8+n))
			b = append(b, ext...)
		} else {
			binary.BigEndian.PutUint16(b[2:], uint16(head+n))
			binary.BigEndian.PutUint16(b[4:], uint16(id))
			binary.BigEndian.PutUint16(b[6:], uint16(at/8)|bitIf(more, 0x2000))
			copy(b[10:], []byte{0, 0})
			binary.BigEndian.PutUint16(b[10:], netlab.Checksum(b))
		}
		all = append(all, append(b, body[at:at+n]...))
	}
	return all
}

func bitIf(on bool, bit uint16) uint16 {
	if on {
		return bit
	}
	return 0
}

// random is a payload that no two calls have in common.
func random(size int) []byte {
	b := make([]byte, size)
	x := uint64(time.Now().UnixNano())
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x >> 56)
	}
	return b
}

// needDetour leaves out what a kernel before 6.6 does not put in order for programs.
func (l lab) needDetour(o order) {
	l.Helper()
	if o != natural {
		behaviour.NeedLinux(l.T, 6, 6, "putting fragments in order")
	}
}

// detours is how many packets have gone to the namespace where fragments are put in order.
func (l lab) detours() uint64 {
	l.Helper()
	devices, err := l.at("H").ProcNet("dev")
	l.must(err)
	_, line, found := strings.Cut(devices, "vwf0:")
	if !found {
		status, err := l.api.Status(l.Context())
		l.must(err)
		if !slices.Contains(status.Features, "defragment") {
			return 0
		}
	}
	fields := strings.Fields(line)
	if len(fields) < 10 {
		l.Fatalf("there is no detour:\n%s", devices)
	}
	// Eight fields of what was received come first.
	n, err := strconv.ParseUint(fields[9], 10, 64)
	l.must(err)
	return n
}

// conversation is a datagram and its answer.
type conversation struct {
	from, at string         // where the two talkers are
	to       netip.AddrPort // as the asker calls the one at the other end
	seen     netip.Addr     // as the answerer sees the asker; invalid: as it is
	a        family
}

func (l lab) converse(c conversation, size int, o order) {
	l.Helper()
	what := fmt.Sprintf("%s to %s, %d bytes %s", c.from, c.to, size, o)
	asker := l.newTalker(c.from, port(l.own(c.from, c.a), 0))
	answerer := l.newTalker(c.at, port(l.own(c.at, c.a), fragmentPort))
	defer asker.conn.Close()
	defer answerer.conn.Close()
	before := l.detours()
	for range 2 {
		question, answer := random(size), random(size)
		asker.send(c.to, question, o)
		peer := answerer.hear(what+", question", question)
		if c.seen.IsValid() && peer.Addr() != c.seen {
			l.Errorf("%s: it came from %s, want %s", what, peer, c.seen)
		}
		answerer.send(peer, answer, o)
		if from := asker.hear(what+", answer", answer); from != c.to {
			l.Errorf("%s: the answer came from %s", what, from)
		}
	}
	if took := l.detours() - before; (took > 0) != (o != natural) {
		l.Errorf("%s: %d fragments took the detour", what, took)
	}
}

// own is the address of a place itself.
func (l lab) own(where string, a family) netip.Addr {
	l.Helper()
	own, ok := map[string]netip.Addr{"R": a.remote, "H": a.host, "c1": a.c1, "c2": a.c2, "d1": a.d1}[where]
	if !ok {
		l.Fatalf("nobody knows the address of %s", where)
	}
	return own
}

// Datagrams larger than a packet pass, in whatever order their fragments come.
func TestFragments(t *testing.T) {
	modes(t, func(l lab) {
		l.publishFragments()
		for _, o := range []order{natural, reversed, tangled} {
			l.run(string(o), func(l lab) {
				l.needDetour(o)
				l.families("D01 D10 N10", func(l lab, a family) {
					for _, size := range []int{4000, 60000} {
						l.converse(conversation{"c2", "R", port(a.remote, fragmentPort), a.host, a}, size, o)
						l.converse(conversation{"R", "c1", port(a.host, fragmentPort), a.remote, a}, size, o)
					}
					l.bigPing("c2", a.remote, 20000, o)
				})
			})
		}
	})
}

// Between containers by the host's address.
func TestFragmentsHairpin(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.noBridgeNetfilter()
	l.publishFragments()
	for _, o := range []order{natural, reversed, tangled} {
		l.run(string(o), func(l lab) {
			l.needDetour(o)
			l.families("D05 D06 N10", func(l lab, a family) {
				for _, size := range []int{4000, 60000} {
					for _, to := range []netip.Addr{a.host, a.gateway1} {
						l.converse(conversation{"d1", "c1", port(to, fragmentPort), a.d1, a}, size, o)
						l.converse(conversation{"c2", "c1", port(to, fragmentPort), a.c2, a}, size, o)
					}
				}
			})
		})
	}
}

// What is the host's own, and what is within a network, needs nobody's help.
func TestFragmentsOfTheHost(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.noBridgeNetfilter()
	for _, o := range []order{natural, reversed, tangled} {
		l.run(string(o), func(l lab) {
			l.families("N10", func(l lab, a family) {
				for _, size := range []int{4000, 60000} {
					l.arrives("R", "H", a, size, o)
					l.arrives("c1", "H", a, size, o)
					l.arrives("c2", "c1", a, size, o)
				}
				l.bigPing("R", a.host, 20000, o)
				l.bigPing("c1", a.host, 20000, o)
				l.bigPing("c1", a.gateway1, 20000, o)
			})
		})
	}
}

// The detour works on without a daemon, is adopted by the next one, and is repaired.
func TestDetourLasts(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.needDetour(reversed)
	l.publishFragments()
	passes := func(when string) {
		l.run(when, func(l lab) {
			l.families("N10", func(l lab, a family) {
				l.converse(conversation{"c2", "R", port(a.remote, fragmentPort), a.host, a}, 4000, reversed)
				l.converse(conversation{"R", "c1", port(a.host, fragmentPort), a.remote, a}, 4000, reversed)
			})
		})
	}
	index := func() int {
		link, err := l.topo.Host.Link("vwf0")
		l.must(err)
		return link.Index
	}
	was := index()
	l.must(l.vw.Kill())
	passes("while no daemon runs")
	l.must(l.vw.Restart(t.Context()))
	passes("with another daemon")
	if now := index(); now != was {
		t.Errorf("the detour was interface %d and is %d", was, now)
	}
	l.command(l.at("H"), "ip link del vwf0")
	l.eventually("another detour", func() error {
		_, err := l.topo.Host.Link("vwf0")
		return err
	})
	// The programs learn of it a moment later.
	time.Sleep(silence)
	passes("after somebody removed it")
}

// publishFragments publishes fragmentPort of c1.
func (l lab) publishFragments() {
	l.Helper()
	for _, a := range []family{ipv4(), ipv6()} {
		l.must(l.target.Publish(l.Context(), "c1",
			rivals.Port{HostIP: a.any.Addr(), HostPort: fragmentPort, ContainerPort: fragmentPort, Proto: "udp"}))
	}
}

// arrives sends a datagram and wants an answer, whichever way they take.
func (l lab) arrives(from, at string, a family, size int, o order) {
	l.Helper()
	asker, answerer := l.newTalker(from, port(l.own(from, a), 0)), l.newTalker(at, port(l.own(at, a), fragmentPort))
	defer asker.conn.Close()
	defer answerer.conn.Close()
	what := fmt.Sprintf("%s to %s, %d bytes %s", from, at, size, o)
	question, answer := random(size), random(size)
	asker.send(answerer.addr(), question, o)
	answerer.send(answerer.hear(what+", question", question), answer, natural)
	asker.hear(what+", answer", answer)
}

// bigPing pings with so many bytes of payload.
func (l lab) bigPing(from string, to netip.Addr, size int, o order) {
	l.Helper()
	if o == natural {
		if _, err := netlab.Ping(l.Context(), l.at(from), to, netlab.PingOptions{ID: 78, Seq: 1, Size: size}); err != nil {
			l.Errorf("%d bytes: %v", size, err)
		}
		return
	}
	a := ipv4()
	if to.Is6() {
		a = ipv6()
	}
	id := uint16(time.Now().UnixNano())
	w := l.newWire(from)
	w.sendCut(netlab.EchoPacket(l.own(from, a), to, id, 1, random(size)), o)
	// The reply's first fragment has the identifier; the sender's stack knows of no ping, and stays silent.
	w.hear(fmt.Sprintf("reply from %s to a ping of %d bytes %s", to, size, o), func(ip netlab.IPInfo) bool {
		if ip.Src.Addr() != to {
			return false
		}
		reply, at := byte(0), ip.Payload
		if to.Is6() && ip.Proto == unix.IPPROTO_FRAGMENT && len(at) > 8 {
			reply, at = 129, at[8:]
		}
		return len(at) > 8 && at[0] == reply && binary.BigEndian.Uint16(at[4:]) == id
	})
}
