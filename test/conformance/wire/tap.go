// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/netlab"
)

// Tap is a packet socket on an interface: it sends what it is given, and keeps every IP packet that arrives. It sees
// packets before the firewall of its namespace does.
type Tap struct {
	mac  net.HardwareAddr
	next net.HardwareAddr
	file *os.File
	done chan struct{}

	mu   sync.Mutex
	log  []Packet
	more chan struct{} // closed when the log grows
}

// receiveBuffer holds a burst while the reader is not scheduled.
const receiveBuffer = 32 << 20

// ethernetHeader is the length of one.
const ethernetHeader = 14

// Open opens a tap whose packets go to the hardware address next; none: frames have no link-layer header there.
func Open(ns *netlab.Namespace, dev string, next net.HardwareAddr) (*Tap, error) {
	link, err := ns.Link(dev)
	if err != nil {
		return nil, err
	}
	var file *os.File
	err = ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), "tap of "+dev)
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, receiveBuffer),
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: link.Index}),
		)
	})
	if err != nil {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
		return nil, fmt.Errorf("tap %s in %s: %w", dev, ns, err)
	}
	t := &Tap{mac: link.MAC, next: next, file: file, done: make(chan struct{}), more: make(chan struct{})}
	go t.read()
	return t, nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

func (t *Tap) read() {
	defer close(t.done)
	buf := make([]byte, 1<<17)
	for {
		n, err := t.file.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			continue // the interface is down for a moment
		}
		packet, ok := t.unwrap(buf[:n])
		if !ok {
			continue
		}
		// A packet that cannot be taken apart is kept as far as it goes.
		p, _ := Parse(append([]byte(nil), packet...))
		t.mu.Lock()
		t.log = append(t.log, p)
		close(t.more)
		t.more = make(chan struct{})
		t.mu.Unlock()
	}
}

// unwrap takes an IP packet out of its frame.
func (t *Tap) unwrap(frame []byte) ([]byte, bool) {
	if t.next == nil {
		return frame, len(frame) > 0
	}
	if len(frame) < ethernetHeader {
		return nil, false
	}
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP, unix.ETH_P_IPV6:
		return frame[ethernetHeader:], true
	}
	return nil, false
}

// Send puts an IP packet on the wire, to the next hop.
func (t *Tap) Send(packet []byte) error { return t.SendTo(t.next, packet) }

// SendTo puts it on the wire to somebody else.
func (t *Tap) SendTo(mac net.HardwareAddr, packet []byte) error {
	frame := packet
	if t.next != nil {
		frame = netlab.IPFrame(mac, t.mac, packet)
	}
	if _, err := t.file.Write(frame); err != nil {
		return fmt.Errorf("send %d bytes: %w", len(packet), err)
	}
	return nil
}

// Reset forgets what has arrived.
func (t *Tap) Reset() {
	t.mu.Lock()
	t.log = nil
	t.mu.Unlock()
}

// Seen is all that has arrived since the last Reset.
func (t *Tap) Seen() []Packet {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.log[:len(t.log):len(t.log)]
}

// Wait returns the first n packets since the last Reset that match, as soon as there are so many; with the context's error
// those that there are.
func (t *Tap) Wait(ctx context.Context, n int, match func(*Packet) bool) ([]Packet, error) {
	var found []Packet
	for at := 0; ; {
		t.mu.Lock()
		log, more := t.log, t.more
		t.mu.Unlock()
		for ; at < len(log); at++ {
			if match(&log[at]) {
				if found = append(found, log[at]); len(found) == n {
					return found, nil
				}
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return found, ctx.Err()
		}
	}
}

// Close closes the socket.
func (t *Tap) Close() error {
	err := t.file.Close()
	<-t.done
	return err
}
