// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ServerConfig says where a whoami server listens.
type ServerConfig struct {
	// Label is in every answer, to tell servers apart. It defaults to the name
	// of the namespace.
	Label string
	// Addr is the one address to listen on; invalid is every address of both
	// families.
	Addr netip.Addr
	Port uint16
	// Networks is "tcp", "udp", or both when empty.
	Networks []string
}

// Server answers who it was asked by. Over TCP the first line decides: "who"
// is answered by a line of JSON, "GET …" by an HTTP response with readable
// text, for curl, and "echo" turns the connection into an echo. A UDP datagram
// "who" is answered by JSON, every other datagram is echoed.
type Server struct {
	label  string
	tcp    []*net.TCPListener
	udp    []*Datagrams
	served atomic.Uint64
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
}

// answer is the JSON form of what a server saw.
type answer struct {
	Server string         `json:"server"`
	Peer   netip.AddrPort `json:"peer"`
	Local  netip.AddrPort `json:"local"`
}

// The requests that servers understand.
const (
	whoRequest  = "who"
	echoRequest = "echo"
)

// Whoami starts a server inside the namespace.
func Whoami(ctx context.Context, ns *Namespace, cfg ServerConfig) (*Server, error) {
	s := &Server{label: cfg.Label, conns: map[net.Conn]struct{}{}}
	if s.label == "" {
		s.label = ns.Name()
	}
	addrs := []netip.Addr{cfg.Addr}
	if !cfg.Addr.IsValid() {
		addrs = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	networks := cfg.Networks
	if len(networks) == 0 {
		networks = []string{"tcp", "udp"}
	}
	for _, addr := range addrs {
		for _, network := range networks {
			if err := s.listen(ctx, ns, network, netip.AddrPortFrom(addr, cfg.Port)); err != nil {
				return nil, errors.Join(fmt.Errorf("start whoami server: %w", err), s.Close())
			}
		}
	}
	return s, nil
}

func (s *Server) listen(ctx context.Context, ns *Namespace, network string, at netip.AddrPort) error {
	switch network {
	case "tcp":
		l, err := ns.Listen(ctx, at)
		if err != nil {
			return err
		}
		s.tcp = append(s.tcp, l)
		s.wg.Go(func() { s.acceptLoop(l) })
	case "udp":
		c, err := ns.ListenDatagrams(ctx, at)
		if err != nil {
			return err
		}
		s.udp = append(s.udp, c)
		s.wg.Go(func() { s.datagramLoop(c) })
	default:
		return fmt.Errorf("unknown network %q", network)
	}
	return nil
}

// Served is the number of connections accepted and datagrams answered.
func (s *Server) Served() uint64 { return s.served.Load() }

// Close stops the server and ends its connections.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	for _, l := range s.tcp {
		l.Close()
	}
	for _, c := range s.udp {
		c.Close()
	}
	s.wg.Wait()
	return nil
}

func (s *Server) acceptLoop(l *net.TCPListener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of descriptors, or a connection reset while in the queue.
			time.Sleep(time.Millisecond)
			continue
		}
		s.served.Add(1)
		if !s.track(c) {
			c.Close()
			return
		}
		s.wg.Go(func() {
			defer s.untrack(c)
			s.serve(c)
		})
	}
}

func (s *Server) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.conns[c] = struct{}{}
	}
	return !s.closed
}

func (s *Server) untrack(c net.Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	c.Close()
}

func (s *Server) serve(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		a := answer{Server: s.label, Peer: addrPort(c.RemoteAddr()), Local: addrPort(c.LocalAddr())}
		switch {
		case line == whoRequest:
			if json.NewEncoder(c).Encode(a) != nil {
				return
			}
		case line == echoRequest:
			_, _ = io.Copy(c, in)
			return
		case strings.HasPrefix(line, "GET "):
			serveHTTP(c, in, a)
			return
		default:
			return
		}
	}
}

// serveHTTP answers one request. It reads the headers first, because closing
// a connection with unread data resets it under the client's hands.
func serveHTTP(c net.Conn, in *bufio.Reader, a answer) {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if strings.TrimSpace(line) == "" {
			break
		}
	}
	body := fmt.Sprintf("%s sees %s\n", a.Server, a.Peer)
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
}

func (s *Server) datagramLoop(c *Datagrams) {
	buf := make([]byte, 65536)
	for {
		n, d, err := c.Receive(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error from a client that has gone
		}
		s.served.Add(1)
		out := buf[:n]
		if strings.TrimSpace(string(out)) == whoRequest {
			if out, err = json.Marshal(answer{Server: s.label, Peer: d.Peer, Local: d.Local}); err != nil {
				continue
			}
		}
		_ = c.Answer(out, d)
	}
}
