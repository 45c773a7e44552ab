// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// The ports of the two connections between c1 and c2. c1 reads from the second one as programs do that wait for nothing else, so that it must
// not be spliced.
const (
	splicedClient, blockedClient, splicedServer = 5900, 5901, 7900

	spliceRefused  = uint32(maps.SpliceRefused)
	spliceTriesMax = 16
)

// furnishSockets connects c1 to c2. The addresses are in a namespace that nobody else has to do with: that sockets are found there is all that
// matters.
func (a *arena) furnishSockets(t testing.TB) error {
	if a.FromSpliced == nil {
		t.Log("this kernel cannot splice")
		return nil
	}
	space, err := a.topo.AddContainer("sockets")
	if err != nil {
		return err
	}
	number, err := a.lab.host.Number(space)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, f := range a.families() {
		for _, name := range []string{"c1", "c2", "d1"} {
			c, addr := a.containers[name], f.container(name)
			if err := space.AddAddr("lo", netip.PrefixFrom(addr, addr.BitLen())); err != nil {
				return err
			}
			err := a.Spliced.Put(toAddr(addr), bpf.VethwaySplicedValue{
				Netns: int32(number), Ifindex: c.ifindex, Slot: c.slot, Generation: generation, Network: uint32(c.network.id),
				Ports: [8]uint16{wire(80), wire(splicedServer)},
			})
			if err != nil {
				return err
			}
		}
		at := netip.AddrPortFrom(f.container("c2"), splicedServer)
		l, err := space.Listen(ctx, at)
		if err != nil {
			return err
		}
		a.sockets = append(a.sockets, l)
		for _, port := range []uint16{splicedClient, blockedClient} {
			client, err := space.DialFrom(ctx, "tcp", netip.AddrPortFrom(f.container("c1"), port), at)
			if err != nil {
				return err
			}
			a.sockets = append(a.sockets, client)
			server, err := l.Accept()
			if err != nil {
				return err
			}
			a.sockets = append(a.sockets, server)
			if port == blockedClient {
				if err := block(client); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// block makes a socket one that blocks. Nobody reads from it here.
func block(conn net.Conn) error {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	controlErr := raw.Control(func(fd uintptr) { err = unix.SetNonblock(int(fd), false) })
	return errors.Join(err, controlErr)
}

// spliceEnd tells whose end of which connection a key is; empty: nobody's.
func (a *arena) spliceEnd(k bpf.VethwaySpliceKey) string {
	for _, f := range a.families() {
		c1, c2 := toAddr(f.container("c1")), toAddr(f.container("c2"))
		for _, client := range []uint16{splicedClient, blockedClient} {
			end := bpf.VethwaySpliceKey{Local: c1, Remote: c2, LocalPort: wire(client), RemotePort: wire(splicedServer)}
			switch k {
			case end:
				return "c1"
			case reverse(end):
				return "c2"
			}
		}
	}
	return ""
}

func reverse(k bpf.VethwaySpliceKey) bpf.VethwaySpliceKey {
	return bpf.VethwaySpliceKey{Local: k.Remote, Remote: k.Local, LocalPort: k.RemotePort, RemotePort: k.LocalPort}
}

// notice sends a packet to vw_from_spliced, and judges what it has taken notice of: connections that there are, when an end of
// them sends.
func (a *arena) notice(p place, frame []byte, ctx skBuff) (result, error) {
	if a.FromSpliced == nil {
		return a.runAt(p, frame, ctx)
	}
	if err := a.splices.read(); err != nil {
		return result{}, err
	}
	before := a.splices.now
	r, err := a.runAt(p, frame, ctx)
	if err = errors.Join(err, a.splices.read()); err != nil {
		return r, err
	}
	for k, v := range a.splices.now {
		was, known := before[k]
		switch end := a.spliceEnd(k); {
		case end == "":
			return r, fmt.Errorf("notes a connection that there is not: %+v", k)
		case !known && p.from != end && p.from != a.spliceEnd(reverse(k)):
			return r, fmt.Errorf("notes the connection of %s at %s", end, p.from)
		case v.Tries > uint32(spliceTriesMax+runtime.NumCPU()):
			return r, fmt.Errorf("tries %d times", v.Tries)
		case known && v.Flags != was.Flags && was.Flags&spliceRefused == 0:
			return r, fmt.Errorf("flags %d became %d", was.Flags, v.Flags)
		}
		if err := a.judgeSplice(k, v); err != nil {
			return r, err
		}
	}
	return r, nil
}

// judgeSplice checks that both ends are in, or neither is: where one blocks, neither may be.
func (a *arena) judgeSplice(k bpf.VethwaySpliceKey, v bpf.VethwaySpliceValue) error {
	other, ok := a.splices.now[reverse(k)]
	if !ok || other.Flags != v.Flags {
		return fmt.Errorf("one end of %+v has the flags %d, the other %+v", k, v.Flags, other)
	}
	if v.Flags&spliceRefused == 0 && (k.LocalPort == wire(blockedClient) || k.RemotePort == wire(blockedClient)) {
		return fmt.Errorf("splices a socket that blocks: %+v", k)
	}
	var cookie uint64
	err := a.SpliceEnds.Lookup(k, &cookie)
	if in := err == nil; in != (v.Flags&spliceRefused == 0) || in != (v.Sock != 0) {
		return fmt.Errorf("%+v has the flags %d and the socket %#x: %w", k, v.Flags, v.Sock, err)
	}
	return nil
}

// unsplice forgets what was noted.
func (a *arena) unsplice() error {
	var err error
	for k := range a.splices.now {
		if e := a.SpliceEnds.Delete(k); e != nil && !errors.Is(e, ebpf.ErrKeyNotExist) {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, a.splices.restore())
}
