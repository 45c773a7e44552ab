// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

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
)

const (
	sizeofDiagRequest = 56 // struct inet_diag_req_v2
	sizeofDiagMessage = 72 // struct inet_diag_msg
	diagSKV6Only      = 11 // INET_DIAG_SKV6ONLY
)

// diagRequest asks for all sockets of one family and protocol, in whatever state: from Linux 6.8 on also those that are bound and
// do nothing.
type diagRequest struct{ family, proto uint8 }

func (r diagRequest) Len() int { return sizeofDiagRequest }

func (r diagRequest) Serialize() []byte {
	b := make([]byte, sizeofDiagRequest)
	b[0], b[1] = r.family, r.proto
	binary.NativeEndian.PutUint32(b[4:], ^uint32(0)) // states
	return b
}

// sockets calls visit for every socket of the host's namespace that speaks proto. A protocol that the kernel lacks has none.
func (l *Links) sockets(ctx context.Context, proto uint8, visit func(socket)) error {
	for _, family := range [...]uint8{unix.AF_INET, unix.AF_INET6} {
		found, err := dump(ctx, func() ([]socket, error) { return l.diag(family, proto) })
		if errors.Is(err, unix.ENOENT) {
			continue
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

func (l *Links) diag(family, proto uint8) ([]socket, error) {
	s, err := nl.GetNetlinkSocketAt(netns.NsHandle(l.ns.fd()), netns.None(), unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	defer s.Close()
	req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_INET_DIAG: {Socket: s}}
	req.AddData(diagRequest{family, proto})
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
	attrs, err := syscall.ParseNetlinkRouteAttr(&syscall.NetlinkMessage{
		Header: syscall.NlMsghdr{Type: unix.RTM_NEWROUTE},
		Data:   append(make([]byte, unix.SizeofRtMsg), msg[sizeofDiagMessage:]...),
	})
	if err != nil {
		return s, true
	}
	for _, a := range attrs {
		if a.Attr.Type == diagSKV6Only && len(a.Value) > 0 {
			s.v6only = a.Value[0] != 0
		}
	}
	return s, true
}
