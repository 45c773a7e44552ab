// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// seed is a packet that is right, at the place where it arrives.
type seed struct {
	name  string
	place place
	frame []byte
}

// seeds opens sessions of every kind and returns their packets, ICMP errors
// about them, and packets of no session, at every place.
func (f family) seeds(t testing.TB) []seed {
	t.Helper()
	var all []seed
	add := func(name string, from string, p packet) {
		pl := place{prog: "from uplink", from: "eth0"}
		if from != "" {
			pl = place{prog: "from container", from: from}
		}
		all = append(all, seed{name, pl, p.bytes()})
		p.bare = false
		all = append(all, seed{name + ", forwarded", place{prog: "to uplink", from: "c1"}, p.bytes()},
			seed{name + ", routed in", place{prog: "to bridge", from: "eth0"}, p.bytes()})
	}
	for _, proto := range []byte{tcp, udp, f.icmpProto()} {
		for _, c := range f.openAll(t, proto) {
			add(c.name+", asked", c.from, c.asked)
			add(c.name+", answer", c.to, c.answer)
			for _, e := range f.errors(c) {
				for name, s := range f.quoteShapes(proto) {
					in, _ := f.buildError(e, s)
					add(e.name+", "+name, e.by, in)
				}
			}
		}
	}
	for name, p := range f.variants(f.from("c1", f.remote(), 5000, 443)) {
		add(name, "c1", p)
	}
	udpPacket := f.from("c1", f.remote(), 5000, 443)
	udpPacket.proto, udpPacket.payload = udp, make([]byte, 64)
	add("fragment", "c1", f.fragment(udpPacket, 0, true))
	add("new flow", "d1", f.from("d1", f.remote(), 6000, 80))
	add("host service", "c1", f.from("c1", f.gateway("c1"), 6000, 53))
	add("neighbour", "c1", f.from("c1", f.container("c2"), 6000, 80))
	add("other network", "c1", f.from("c1", f.container("d1"), 6000, 80))
	add("direct", "", f.inbound("eth0", f.remote(), f.container("c1"), 6000, 80))
	if f.six {
		addr := f.container("c1")
		nd := neighbourDiscovery(136, addr, f.parse("224.0.0.1", "ff02::1"), addr.AsSlice())
		nd.srcMAC = f.containers["c1"].mac
		add("advertisement", "c1", nd)
	} else {
		c := f.containers["c1"]
		frame := slices.Concat(ethernet(broadcast, c.mac, etherARP), arp(1, c.mac, c.addr4, f.container("c2")))
		all = append(all, seed{"ARP", place{prog: "from container", from: "c1"}, frame})
	}
	// Some come out of maps: the same number must mean the same packet next time.
	slices.SortFunc(all, func(a, b seed) int { return cmp.Compare(a.name, b.name) })
	return all
}

// openAll opens one session of each kind without judging them: whoever fuzzes
// runs it again and again.
func (f family) openAll(t testing.TB, proto byte) []conversation {
	t.Helper()
	all := f.conversationsOf(proto)
	for _, c := range all {
		prog, ctx := f.FromUplink, f.atUplink("eth0")
		if c.from != "" {
			prog, ctx = f.FromContainer, f.at(c.from)
		}
		_, err := run(prog, c.asked.bytes(), ctx)
		check(t, err)
	}
	return all
}

// Every truncation of every kind of packet at every program.
func TestTruncated(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "R08", "N21")
		for _, s := range f.seeds(t) {
			for n := ethLen; n <= len(s.frame); n++ {
				// The headers cannot be longer than that.
				if n > 260 && n < len(s.frame) {
					continue
				}
				if err := f.judge(s.place, s.frame[:n], 0); err != nil {
					t.Errorf("%s, %d bytes: %v", s.name, n, err)
				}
			}
		}
		f.judgeFlows(t)
	})
}

// Packets that are damaged at random, from a fixed seed.
func TestDamaged(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "R08", "N21")
		seeds := f.seeds(t)
		// The MAC addresses of the lab are not the same every time, and no matter here.
		r := rand.New(rand.NewPCG(4, 6))
		for i := range 30000 {
			s := seeds[r.IntN(len(seeds))]
			frame := damage(r, s.frame, seeds[r.IntN(len(seeds))].frame)
			var gso uint32
			if r.IntN(8) == 0 {
				gso = r.Uint32N(2000)
			}
			if err := f.judge(s.place, frame, gso); err != nil {
				t.Errorf("packet %d, from %s at %s: %v\n %x", i, s.name, s.place.prog, err, frame)
			}
			if i%2000 == 0 {
				f.judgeFlows(t)
				f.clear(t)
				f.seeds(t)
			}
		}
	})
}

// damage changes a packet behind its MAC addresses. Every second time its
// checksums are made right again, so that more than the checksum is wrong.
func damage(r *rand.Rand, frame, other []byte) []byte {
	b := slices.Clone(frame)
	at := func() int { return 12 + r.IntN(min(len(b), 140)-12) }
	for range 1 + r.IntN(3) {
		switch r.IntN(6) {
		case 0, 1:
			b[at()] ^= 1 << r.IntN(8)
		case 2:
			b[at()] = []byte{0, 1, 4, 6, 8, 17, 43, 44, 58, 60, 127, 128, 255}[r.IntN(13)]
		case 3:
			b = b[:max(ethLen, at())]
			b = append(b, make([]byte, max(0, ethLen+1-len(b)))...)
		case 4:
			b = append(b, other[ethLen:]...)
		case 5:
			for i := at(); i < len(b) && r.IntN(12) > 0; i++ {
				b[i] = byte(r.Uint32())
			}
		}
	}
	if r.IntN(2) == 0 {
		mend(b[ethLen:])
	}
	return b[:min(len(b), 3000)]
}

// mend makes the checksums of an IP packet right, as far as it can be read.
func mend(b []byte) {
	l, err := dissect(b)
	if err != nil {
		return
	}
	if l.src.Is4() {
		l.head[10], l.head[11] = 0, 0
		put(l.head[10:], checksum(l.head))
	}
	if l.proto == sctp && !l.frag && len(l.body) >= 12 {
		putCRC(l.body)
	}
	offset, ok := map[byte]int{tcp: 16, udp: 6, icmp: 2, icm6: 2}[l.proto]
	if !ok || l.frag || len(l.body) < offset+2 {
		return
	}
	if isError(l) {
		mend(l.body[8:])
	}
	pseudo := pseudoHeader(l.src, l.dst, l.proto, len(l.body))
	if l.proto == icmp {
		pseudo = nil
	}
	put(l.body[offset:], 0)
	put(l.body[offset:], checksum(pseudo, l.body))
}

func put(b []byte, v uint16) { b[0], b[1] = byte(v>>8), byte(v) }

// tooShort tells whether BPF_PROG_TEST_RUN refuses a packet because less than
// an IP header follows the Ethernet header.
func tooShort(err error, frame []byte) bool {
	return errors.Is(err, unix.EINVAL) && len(frame) < ethLen+40
}

func (p place) String() string { return fmt.Sprintf("%s (%s)", p.prog, p.from) }
