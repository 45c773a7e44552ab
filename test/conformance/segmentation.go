// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/conformance/wire"
	"github.com/vethway/vethway/test/netlab"
)

// N20: kernels hand on packets of up to 64 KiB, to be cut to size at the last moment. In this lab that is when they leave
// the host, so that R sees what each segment has become.
func segmentCases() []Case {
	cut := LabConfig{NoOffload: true}
	return []Case{
		{ID: "N20", Name: "tcp out, cut by the host", Lab: cut, Run: tcpSegments},
		{ID: "N20", Name: "udp out, cut by the host", Lab: cut, Run: udpSegments},
		{ID: "N20", Name: "tcp in and out, uncut", Run: func(t *T) { transfers(t, 4<<20) }},
		{ID: "N20", Name: "udp in and out, uncut", Run: udpUncut},
	}
}

// tcpSegments has c1's kernel send as much at once as it likes.
func tcpSegments(t *T) {
	to := t.RemoteServer()
	c1 := t.Target.Container("c1")
	before, err := sentPackets(c1)
	t.must(err)
	const size = 512 << 10
	t.must(t.echoes(c1, to, size))
	after, err := sentPackets(c1)
	t.must(err)
	segments, payload := 0, 0
	// The last of them may be a little late.
	t.Out().Try(func(p *wire.Packet) bool {
		if p.Dst == to {
			segments, payload = segments+1, payload+len(p.Payload)
			t.cutToSize(p)
		}
		return payload >= size/22*22
	})
	if payload < size/22*22 {
		t.Errorf("%d bytes in %d segments were seen at R, want %d", payload, segments, size)
	}
	if sent := after - before; int(sent)*2 > segments {
		t.Errorf("c1 sent %d packets for %d segments: nothing was there to be cut", sent, segments)
	}
}

func (t *T) cutToSize(p *wire.Packet) {
	if err := p.CheckSums(); err != nil || len(p.Bytes) > containerMTU {
		t.Fatalf("a segment of %d bytes leaves: %v: %v", len(p.Bytes), err, p)
	}
	if t.Lab.Name != Router && p.Src.Addr() != t.HostAddr() {
		t.Fatalf("a segment leaves as %v", p)
	}
}

// sentPackets are those that the container's interface sent: a large one counts once.
func sentPackets(ns *netlab.Namespace) (uint64, error) {
	l, err := ns.Link("eth0")
	return l.TxPackets, err
}

// segmentSize and segmentCount make a datagram train that one system call sends.
const segmentSize, segmentCount = 1000, 20

// train makes it, as one buffer.
func (t *T) train() []byte {
	var all []byte
	for range segmentCount {
		tag := t.Tag("datagram of a train")
		all = append(append(all, tag...), bytes.Repeat([]byte{'.'}, segmentSize-len(tag))...)
	}
	return all
}

// dialTrain opens a socket that cuts what it is given into datagrams.
func (t *T) dialTrain(from *netlab.Namespace, to netip.AddrPort) net.Conn {
	c, err := from.Dial(t.ctx, udp, to)
	t.must(err)
	t.Cleanup(func() { c.Close() })
	raw, err := c.(*net.UDPConn).SyscallConn()
	t.must(err)
	var optErr error
	t.must(raw.Control(func(fd uintptr) {
		optErr = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, segmentSize)
	}))
	t.must(optErr)
	t.must(c.SetDeadline(time.Now().Add(t.patience)))
	return c
}

func udpSegments(t *T) {
	train := t.train()
	c := t.dialTrain(t.Target.Container("c1"), netip.AddrPortFrom(t.RemoteServer().Addr(), t.Port()))
	_, err := c.Write(train)
	t.must(err)
	for datagram := range slices.Chunk(train, segmentSize) {
		p := t.Out().Expect("a datagram of a train", carrying(datagram))
		if t.Lab.Name != Router && p.Src.Addr() != t.HostAddr() {
			t.Errorf("it leaves as %v", p)
		}
	}
}

// udpUncut sends trains to servers that echo, in both directions: what is wrong in any of them, the receiver's kernel
// drops.
func udpUncut(t *T) {
	t.trainEchoes(t.Target.Container("c1"), t.RemoteServer())
	t.trainEchoes(t.Topology.Remote, t.ContainerServer(udp))
}

func (t *T) trainEchoes(from *netlab.Namespace, to netip.AddrPort) {
	train, c := t.train(), t.dialTrain(from, to)
	_, err := c.Write(train)
	t.must(err)
	buf := make([]byte, 1<<16)
	back := 0
	for want := range slices.Chunk(train, segmentSize) {
		n, err := c.Read(buf)
		if err != nil || !bytes.Equal(buf[:n], want) {
			t.Fatalf("to %s: of %d datagrams %d come back, and then %d bytes %s (%v)", to, segmentCount, back, n, head(buf[:n]), err)
		}
		back++
	}
}

func head(b []byte) string {
	return fmt.Sprintf("%q", strings.TrimRight(string(b[:min(40, len(b))]), "."))
}
