// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// socket is what inet_diag tells of a socket.
type socket struct {
	local  netip.AddrPort
	remote netip.AddrPort
	state  uint8
	inode  uint32
	v6only bool
}

// TCP states as inet_diag numbers them; a UDP socket without a peer is in closed.
const (
	stateTimeWait = 6
	stateClosed   = 7
	stateListen   = 10
	stateBound    = 13 // bound, and neither listening nor connected: reported from Linux 6.8 on
)

// unconnected selects the sockets that hold their port by themselves, and not as one end of a connection.
const unconnected uint32 = 1<<stateClosed | 1<<stateListen | 1<<stateBound

const (
	sizeofDiagRequest = 56 // struct inet_diag_req_v2
	sizeofDiagMessage = 72 // struct inet_diag_msg
	diagBytecode      = 1  // INET_DIAG_REQ_BYTECODE
	diagSKV6Only      = 11 // INET_DIAG_SKV6ONLY
)

// query selects sockets by protocol, a set of states, and their local ports.
type query struct {
	proto  uint8
	states uint32
	ports  portFilter
}

// portFilter accepts local ports; the zero one accepts all.
type portFilter struct {
	program []byte // that the kernel runs over each socket
	has     func(uint16) bool
}

// Operations of the kernel's socket filter (linux/inet_diag.h). A comparison is two words: the operation with its two jumps in
// bytes, and the port. To end exactly behind the program is to accept, four bytes further to refuse.
const (
	opJump       = 1
	opSourceFrom = 2
	opSourceTo   = 3
)

func diagOp(code, yes uint8, no uint16) []byte {
	return binary.NativeEndian.AppendUint16([]byte{code, yes}, no)
}

// portIs accepts sockets with this local port.
func portIs(port uint16) portFilter {
	return portFilter{slices.Concat(
		diagOp(opSourceFrom, 8, 20), diagOp(0, 0, port),
		diagOp(opSourceTo, 8, 12), diagOp(0, 0, port),
	), func(p uint16) bool { return p == port }}
}

// portOutside accepts sockets whose local port is below or above the range.
func portOutside(span [2]uint16) portFilter {
	below, above := max(span[0], 1)-1, min(span[1], 65534)+1
	return portFilter{slices.Concat(
		diagOp(opSourceTo, 8, 12), diagOp(0, 0, below),
		diagOp(opJump, 4, 12),
		diagOp(opSourceFrom, 8, 12), diagOp(0, 0, above),
	), func(p uint16) bool { return p <= below || p >= above }}
}

// diagRequest is a query for one family.
type diagRequest struct {
	query
	family uint8
}

func (r diagRequest) Len() int { return len(r.Serialize()) }

func (r diagRequest) Serialize() []byte {
	b := make([]byte, sizeofDiagRequest)
	b[0], b[1] = r.family, r.proto
	binary.NativeEndian.PutUint32(b[4:], r.states)
	if len(r.ports.program) > 0 {
		b = append(b, nl.NewRtAttr(diagBytecode, r.ports.program).Serialize()...)
	}
	return b
}

// sockets calls visit for every socket of the host's namespace that the query selects.
func (l *Links) sockets(ctx context.Context, q query, visit func(socket)) error {
	if q.proto == unix.IPPROTO_SCTP && !l.hasSCTP() {
		return nil
	}
	for _, family := range [...]uint8{unix.AF_INET, unix.AF_INET6} {
		found, err := dump(ctx, func() ([]socket, error) { return l.diag(diagRequest{q, family}) })
		if errors.Is(err, unix.ENOENT) {
			found, err = l.procSockets(diagRequest{q, family})
		}
		if err != nil {
			return fmt.Errorf("list sockets: %w", err)
		}
		for _, s := range found {
			visit(s)
		}
	}
	return nil
}

// hasSCTP tells whether the module is loaded: to ask sock_diag would load it.
func (l *Links) hasSCTP() bool {
	return l.ns.do(func() error {
		_, err := os.Stat("/proc/thread-self/net/sctp")
		return err
	}) == nil
}

func (l *Links) diag(r diagRequest) ([]socket, error) {
	s, err := nl.GetNetlinkSocketAt(netns.NsHandle(l.ns.fd()), netns.None(), unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	defer s.Close()
	req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_INET_DIAG: {Socket: s}}
	req.AddData(r)
	var found []socket
	err = req.ExecuteIter(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY, func(msg []byte) bool {
		if s, ok := parseSocket(msg); ok {
			found = append(found, s)
		}
		return true
	})
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, err
	}
	return found, err
}

// parseSocket decodes a struct inet_diag_msg and the one attribute that matters.
func parseSocket(msg []byte) (socket, bool) {
	if len(msg) < sizeofDiagMessage {
		return socket{}, false
	}
	s := socket{state: msg[1], inode: binary.NativeEndian.Uint32(msg[68:])}
	src, dst := msg[8:24], msg[24:40]
	if msg[0] == unix.AF_INET {
		src, dst = src[:4], dst[:4]
	}
	srcAddr, _ := netip.AddrFromSlice(src)
	dstAddr, _ := netip.AddrFromSlice(dst)
	s.local = netip.AddrPortFrom(srcAddr, binary.BigEndian.Uint16(msg[4:]))
	s.remote = netip.AddrPortFrom(dstAddr, binary.BigEndian.Uint16(msg[6:]))
	for kind, value := range attributes(msg[sizeofDiagMessage:]) {
		if kind == diagSKV6Only && len(value) > 0 {
			s.v6only = value[0] != 0
		}
	}
	return s, true
}
