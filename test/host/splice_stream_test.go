// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A stream that fills its reader's queue has what goes the ordinary way kept short: both sockets are told to. What a program has set itself stays.
func splicedStream(l spliceLab) {
	own := func(conn *net.TCPConn) {
		l.must(errors.Join(conn.SetReadBuffer(200<<10), conn.SetWriteBuffer(200<<10)))
	}
	for _, c := range []struct {
		name    string
		write   int
		prepare func(client, server *net.TCPConn)
		// bounded are writer and reader.
		bounded [2]bool
	}{
		{"small messages", 4 << 10, nil, [2]bool{true, true}},
		{"messages", 128 << 10, nil, [2]bool{true, true}},
		{"writer's own buffers", 128 << 10, func(client, _ *net.TCPConn) { own(client) }, [2]bool{false, true}},
		{"reader's own buffers", 128 << 10, func(_, server *net.TCPConn) { own(server) }, [2]bool{true, false}},
	} {
		l.Run(c.name, func(t *testing.T) {
			l := l.with(t)
			client, server := l.pair(l.ends()[0])
			if c.prepare != nil {
				c.prepare(client, server)
			}
			size := transfer{bytes: 64 << 20, write: c.write, read: 128 << 10}
			stream := func() error {
				var wg sync.WaitGroup
				wg.Go(func() { size.send(t, client, 1) })
				wg.Go(func() { size.receive(t, server, 1) })
				wg.Wait()
				return l.bounds(client, server, c.bounded)
			}
			// Whether the queue is full during one of them is up to the scheduler; what follows from that is not.
			err := stream()
			for range 20 {
				if err == nil {
					break
				}
				err = stream()
			}
			if err != nil {
				t.Error(err)
			}
			if f, ok := l.spliced(client); !ok || f.Bytes+f.RBytes == 0 {
				t.Errorf("not spliced: %+v", f)
			}
		})
	}
}

// bounds compares the options of a writer and a reader.
func (l spliceLab) bounds(client, server *net.TCPConn, want [2]bool) error {
	l.Helper()
	text, err := os.ReadFile("/proc/sys/net/core/rmem_max")
	l.must(err)
	limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
	l.must(err)
	unsent := l.option(client, unix.SOL_TCP, unix.TCP_NOTSENT_LOWAT)
	window, room := l.option(server, unix.SOL_TCP, unix.TCP_WINDOW_CLAMP), l.option(server, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if got := [2]bool{unsent == 1, window <= 144<<10 && room >= 2*min(limit, 1792<<10)}; got != want {
		return fmt.Errorf("bounded are %v, want %v: %d bytes unsent, %d in the window, room for %d", got, want, unsent, window, room)
	}
	return nil
}

func (l spliceLab) option(conn *net.TCPConn, level, name int) (value int) {
	l.Helper()
	l.onSocket(conn, func(fd int) (err error) {
		value, err = unix.GetsockoptInt(fd, level, name)
		return err
	})
	return value
}
