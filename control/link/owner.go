// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
)

// PortOwner names the process of the host's namespace whose socket stands in the way of a bind to addr and port. A
// socket that no process holds any more, or whose process this one may not look at, is reported with PID 0.
func (l *Links) PortOwner(ctx context.Context, proto uint8, addr netip.Addr, port uint16) (control.PortOwner, bool, error) {
	var best socket
	rank := 0
	all := query{proto: proto, states: ^uint32(0), ports: portIs(port)}
	err := l.sockets(ctx, all, func(s socket) {
		if clashes(addr.Unmap(), s) && claim(proto, s) > rank {
			best, rank = s, claim(proto, s)
		}
	})
	if err != nil {
		return control.PortOwner{}, false, fmt.Errorf("find the owner of port %d: %w", port, err)
	}
	if rank == 0 {
		return control.PortOwner{}, false, nil
	}
	owner := control.PortOwner{Addr: netip.AddrPortFrom(best.local.Addr().Unmap(), port)}
	owner.PID, owner.Command = socketProcess(ctx, best.inode)
	return owner, true, nil
}

// claim ranks how firmly a socket holds its port: a listener is a better answer than one of its connections, and what
// only waits for stray packets holds nothing.
func claim(proto uint8, s socket) int {
	switch {
	case proto != unix.IPPROTO_TCP:
		return 2
	case s.state == stateTimeWait:
		return 0
	case s.state == stateListen, s.state == stateClosed, s.state == stateBound:
		return 2
	default:
		return 1
	}
}

// clashes tells whether a bind to addr would meet the socket: equal addresses do, an unspecified one meets all of its
// family, and an IPv6 wildcard that is not IPv6-only holds the port for IPv4 as well.
func clashes(addr netip.Addr, s socket) bool {
	held := s.local.Addr().Unmap()
	if held.Is6() && held.IsUnspecified() && !s.v6only {
		return true
	}
	if held.Is4() != addr.Is4() {
		return false
	}
	return held == addr || held.IsUnspecified() || addr.IsUnspecified()
}

// socketProcess finds a process that has the socket open. Inode numbers of sockets are unique on the machine, so that a
// process of another namespace is never found.
func socketProcess(ctx context.Context, inode uint32) (int, string) {
	if inode == 0 {
		return 0, ""
	}
	target := fmt.Sprintf("socket:[%d]", inode)
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return 0, ""
	}
	for _, proc := range procs {
		pid, err := strconv.Atoi(proc.Name())
		if err != nil || ctx.Err() != nil || !holds(pid, target) {
			continue
		}
		comm, err := os.ReadFile(filepath.Join("/proc", proc.Name(), "comm"))
		if err != nil {
			continue
		}
		return pid, strings.TrimSuffix(string(comm), "\n")
	}
	return 0, ""
}

// holds tells whether the process has a file descriptor for the target. Processes come and go; what cannot be read holds
// nothing.
func holds(pid int, target string) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	d, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, name := range names {
		if link, err := os.Readlink(filepath.Join(dir, name)); err == nil && link == target {
			return true
		}
	}
	return false
}
