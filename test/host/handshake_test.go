// SPDX-License-Identifier: Apache-2.0

package host

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

const (
	synOnly = netlab.SYN
	synAck  = netlab.SYN | netlab.ACK
	tcpKind = netlab.SYN | netlab.ACK | netlab.RST | netlab.FIN
)

// Both ends send a SYN before they have seen the other's (RFC 9293 figure 8, RFC 5382 REQ-2).
func TestSimultaneousOpen(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	w := l.newWire("R")
	l.families("N11", func(l lab, a family) {
		w.l = l
		peer := port(l.phantom(a), 4000)
		dialled := make(chan net.Conn, 1)
		go func() {
			conn, err := l.at("c1").Dial(l.Context(), "tcp", peer)
			if err != nil {
				l.Errorf("the container's connect: %v", err)
			}
			dialled <- conn
		}()
		first := w.hear("the container's SYN", func(ip netlab.IPInfo) bool { return ip.Dst == peer && ip.Flags&tcpKind == synOnly })
		info, _ := netlab.ParseIP(first)
		if info.Src.Addr() != a.host {
			l.Errorf("the SYN comes from %s", info.Src)
		}
		const seq = 1000
		w.send(netlab.TCPPacket(peer, info.Src, synOnly, seq, 0, nil))
		second := w.hear("the container's SYN and ACK", func(ip netlab.IPInfo) bool {
			return ip.Dst == peer && ip.Src == info.Src && ip.Flags&tcpKind == synAck
		})
		if got := tcpAck(second); got != seq+1 {
			l.Errorf("it acknowledges %d, want %d", got, seq+1)
		}
		ack := tcpSeq(first) + 1
		w.send(netlab.TCPPacket(peer, info.Src, synAck, seq, ack, nil))
		w.send(netlab.TCPPacket(peer, info.Src, netlab.PSH|netlab.ACK, seq+1, ack, []byte("hello")))
		conn := <-dialled
		if conn == nil {
			return
		}
		defer conn.Close()
		l.must(conn.SetDeadline(time.Now().Add(time.Second)))
		buf := make([]byte, 5)
		if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "hello" {
			l.Errorf("the container received %q, %v", buf, err)
		}
		_, err := conn.Write([]byte("world"))
		l.must(err)
		w.hear("the container's answer", func(ip netlab.IPInfo) bool { return ip.Src == info.Src && string(ip.Payload) == "world" })
	})
}

// A handshake whose every packet is sent twice, and whose answer was lost once.
func TestHandshakeWithRepetitions(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	w := l.newWire("R")
	l.families("N11", func(l lab, a family) {
		w.l = l
		peer, published := port(l.phantom(a), 4001), port(a.host, publishedPort)
		answers := func(ip netlab.IPInfo) bool {
			return ip.Dst == peer && ip.Src == published && ip.Flags&tcpKind == synAck
		}
		const seq = 5000
		w.send(netlab.TCPPacket(peer, published, synOnly, seq, 0, nil))
		w.hear("the first answer", answers) // and it is lost
		w.send(netlab.TCPPacket(peer, published, synOnly, seq, 0, nil))
		answer := w.hear("the second answer", answers)
		ack := tcpSeq(answer) + 1
		for range 2 {
			w.send(netlab.TCPPacket(peer, published, netlab.ACK, seq+1, ack, nil))
		}
		for range 2 {
			w.send(netlab.TCPPacket(peer, published, netlab.PSH|netlab.ACK, seq+1, ack, []byte("who\n")))
		}
		w.hear("the server's answer", func(ip netlab.IPInfo) bool { return ip.Src == published && ip.Dst == peer && len(ip.Payload) > 20 })
		w.send(netlab.TCPPacket(peer, published, netlab.RST|netlab.ACK, seq+5, ack, nil))
		// The very same client again, at once: a new SYN begins afresh.
		const again = 900000
		w.send(netlab.TCPPacket(peer, published, synOnly, again, 0, nil))
		answer = w.hear("the answer to a new connection", answers)
		if got := tcpAck(answer); got != again+1 {
			l.Errorf("it acknowledges %d, want %d", got, again+1)
		}
		w.send(netlab.TCPPacket(peer, published, netlab.RST|netlab.ACK, again+1, tcpSeq(answer)+1, nil))
	})
}
