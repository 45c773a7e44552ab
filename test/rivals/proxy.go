// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/netlab"
)

// udpIdle is how long the proxy keeps a UDP client that is silent.
const udpIdle = 90 * time.Second

// proxy stands for docker-proxy: it holds a published port on the host, and
// forwards in user space what reaches it. When it does not forward it still
// holds the port, so that nobody else can bind it.
type proxy struct {
	host    *netlab.Namespace
	dial    func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)
	ctx     context.Context // ends with the proxy
	cancel  context.CancelFunc
	served  atomic.Uint64 // connections and datagrams
	closers []io.Closer
	wg      sync.WaitGroup
}

func newProxy(ctx context.Context, host *netlab.Namespace, c Container, p Port, forward bool) (*proxy, error) {
	x := &proxy{host: host, dial: host.Dial}
	x.ctx, x.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, way := range proxyWays(c, p) {
		if err := x.listen(way.at, way.target, p.Proto, forward); err != nil {
			x.close()
			return nil, fmt.Errorf("hold port %s: %w", p, err)
		}
	}
	return x, nil
}

// proxyWay is where a proxy listens, and where it forwards to.
type proxyWay struct{ at, target netip.AddrPort }

// proxyWays lists what a published port needs, one for each address. A
// container without IPv6 is reached over IPv6 all the same.
func proxyWays(c Container, p Port) (ways []proxyWay) {
	hostIPs := []netip.Addr{p.HostIP}
	if !p.HostIP.IsValid() {
		hostIPs = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	for _, ip := range hostIPs {
		to := c.IP4
		if ip.Is6() && c.IP6.IsValid() {
			to = c.IP6
		}
		if to.IsValid() {
			ways = append(ways, proxyWay{netip.AddrPortFrom(ip, p.HostPort), netip.AddrPortFrom(to, p.ContainerPort)})
		}
	}
	return ways
}

func (x *proxy) listen(at, target netip.AddrPort, proto string, forward bool) error {
	switch proto {
	case "tcp":
		l, err := x.host.Listen(x.ctx, at)
		if err != nil {
			return err
		}
		x.closers = append(x.closers, l)
		if !forward {
			return dropAll(l)
		}
		x.wg.Go(func() { x.acceptLoop(l, target) })
	case "udp":
		if !forward {
			c, err := x.host.ListenPacket(x.ctx, at)
			if err != nil {
				return err
			}
			x.closers = append(x.closers, c)
			return dropAll(c)
		}
		c, err := x.host.ListenDatagrams(x.ctx, at)
		if err != nil {
			return err
		}
		x.closers = append(x.closers, c)
		x.wg.Go(func() { x.datagramLoop(c, target) })
	default:
		return fmt.Errorf("unknown protocol %q", proto)
	}
	return nil
}

// dropAll has a socket that only holds a port take no packet, as Docker does:
// what reaches it would otherwise hang in its queue.
func dropAll(c syscall.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	ret0 := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	ctlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &ret0})
	})
	return errors.Join(ctlErr, err)
}

func (x *proxy) close() {
	x.cancel()
	for _, c := range x.closers {
		c.Close()
	}
	x.wg.Wait()
}

func (x *proxy) acceptLoop(l *net.TCPListener, target netip.AddrPort) {
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		x.served.Add(1)
		x.wg.Go(func() {
			defer c.Close()
			x.serve(c, target)
		})
	}
}

// serve copies both ways until both sides have finished sending.
func (x *proxy) serve(c *net.TCPConn, target netip.AddrPort) {
	conn, err := x.dial(x.ctx, "tcp", target)
	if err != nil {
		return
	}
	backend := conn.(*net.TCPConn)
	defer backend.Close()
	defer context.AfterFunc(x.ctx, func() { c.Close(); backend.Close() })()
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(backend, c)
		_ = backend.CloseWrite()
	})
	_, _ = io.Copy(c, backend)
	_ = c.CloseWrite()
	both.Wait()
}

// datagramLoop gives every client a socket of its own towards the container.
func (x *proxy) datagramLoop(front *netlab.Datagrams, target netip.AddrPort) {
	var mu sync.Mutex
	clients := map[netlab.Datagram]net.Conn{}
	buf := make([]byte, 65536)
	for {
		n, client, err := front.Receive(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		x.served.Add(1)
		mu.Lock()
		backend := clients[client]
		mu.Unlock()
		if backend == nil {
			if backend, err = x.dial(x.ctx, "udp", target); err != nil {
				continue
			}
			mu.Lock()
			clients[client] = backend
			mu.Unlock()
			x.wg.Go(func() {
				x.answer(front, client, backend)
				mu.Lock()
				delete(clients, client)
				mu.Unlock()
			})
		}
		_, _ = backend.Write(buf[:n])
	}
}

func (x *proxy) answer(front *netlab.Datagrams, client netlab.Datagram, backend net.Conn) {
	defer backend.Close()
	defer context.AfterFunc(x.ctx, func() { backend.Close() })()
	buf := make([]byte, 65536)
	for {
		if backend.SetReadDeadline(time.Now().Add(udpIdle)) != nil {
			return
		}
		n, err := backend.Read(buf)
		if err != nil {
			return
		}
		_ = front.Answer(buf[:n], client)
	}
}
