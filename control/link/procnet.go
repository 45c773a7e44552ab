// SPDX-License-Identifier: Apache-2.0

package link

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// procFiles are what Linux has had before inet_diag, and still has. They do not tell whether an IPv6 socket takes IPv4 too:
// it is assumed, so that rather too many ports are taken than one too few.
var procFiles = map[uint8]map[uint8]string{
	unix.IPPROTO_TCP: {unix.AF_INET: "tcp", unix.AF_INET6: "tcp6"},
	unix.IPPROTO_UDP: {unix.AF_INET: "udp", unix.AF_INET6: "udp6"},
}

// procSockets lists what diag would, for hosts where the modules of inet_diag are neither there nor may be loaded.
func (l *Links) procSockets(r diagRequest) (found []socket, err error) {
	name, ok := procFiles[r.proto][r.family]
	if !ok {
		return nil, nil
	}
	err = l.ns.do(func() error {
		f, err := os.Open("/proc/thread-self/net/" + name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // no IPv6
		}
		if err != nil {
			return err
		}
		defer f.Close()
		found, err = parseProcSockets(f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the list of %s sockets: %w", name, err)
	}
	selected := found[:0]
	for _, s := range found {
		if r.states>>s.state&1 == 1 && (r.ports.has == nil || r.ports.has(s.local.Port())) {
			selected = append(selected, s)
		}
	}
	return selected, nil
}

// parseProcSockets reads /proc/net/tcp and its likes: under a head, a line for each socket, of which the 2nd, 3rd, 4th and 10th
// field are the addresses, the state and the inode.
func parseProcSockets(r io.Reader) ([]socket, error) {
	var list []socket
	lines := bufio.NewScanner(r)
	for head := true; lines.Scan(); head = false {
		if head {
			continue
		}
		f := strings.Fields(lines.Text())
		if len(f) < 10 {
			return nil, fmt.Errorf("%q has too few fields", lines.Text())
		}
		local, localErr := parseProcAddr(f[1])
		remote, remoteErr := parseProcAddr(f[2])
		state, stateErr := strconv.ParseUint(f[3], 16, 5)
		inode, inodeErr := strconv.ParseUint(f[9], 10, 32)
		if err := errors.Join(localErr, remoteErr, stateErr, inodeErr); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		list = append(list, socket{local: local, remote: remote, state: uint8(state), inode: uint32(inode)})
	}
	return list, lines.Err()
}

// parseProcAddr reads ADDRESS:PORT in hexadecimal; an address is words in the machine's byte order.
func parseProcAddr(s string) (netip.AddrPort, error) {
	text, portText, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", text)
	}
	for word := range len(raw) / 4 {
		b := raw[4*word:]
		binary.NativeEndian.PutUint32(b, binary.BigEndian.Uint32(b))
	}
	addr, ok := netip.AddrFromSlice(raw)
	port, err := strconv.ParseUint(portText, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is no address and port", s)
	}
	return netip.AddrPortFrom(addr, uint16(port)), nil
}
