// SPDX-License-Identifier: Apache-2.0

package link

import (
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
)

// hostEnd is what the kernel reports of a host end that a reconcile would put right: all of it is as ActivateEndpoint left it, or there is
// something to do.
type hostEnd struct {
	index, peer, namespace, master, mtu int
	up                                  bool
}

func hostEndOf(link netlink.Link) hostEnd {
	a := link.Attrs()
	return hostEnd{
		index: a.Index, peer: a.ParentIndex, namespace: a.NetNsID, master: a.MasterIndex, mtu: a.MTU,
		up: device{link: link}.up() && a.OperState == netlink.OperUp,
	}
}

// changing has messages about a host end ignored until settle: they are about what is being done to it.
func (l *Links) changing(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy[name] = true
}

// settle says how a host end was left; nil: it is gone, or what became of it is not known.
func (l *Links) settle(name string, left *hostEnd) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.busy, name)
	if left != nil {
		l.ends[name] = *left
	} else {
		delete(l.ends, name)
	}
}

// ourDoing tells whether a message is about a host end that is as we left it, so that there is nothing to look at: of an attach of
// ours the kernel reports nothing else, and a reconcile after each would take longer than all attaches. It goes by what is there now:
// the message may be from the midst of it.
func (l *Links) ourDoing(m syscall.NetlinkMessage) bool {
	name, ok := hostEndName(m)
	if !ok {
		return false
	}
	l.mu.Lock()
	left, known := l.ends[name]
	busy := l.busy[name]
	l.mu.Unlock()
	if busy {
		return true
	}
	link, err := find(l.h, name, "veth")
	if err != nil {
		return false
	}
	if link == nil {
		return !known
	}
	return known && hostEndOf(link) == left
}

// hostEndName is the name of the host end that a message is about.
func hostEndName(m syscall.NetlinkMessage) (string, bool) {
	if m.Header.Type != unix.RTM_NEWLINK && m.Header.Type != unix.RTM_DELLINK || len(m.Data) < unix.SizeofIfInfomsg {
		return "", false
	}
	for kind, value := range attributes(m.Data[unix.SizeofIfInfomsg:]) {
		if kind == unix.IFLA_IFNAME {
			name := unix.ByteSliceToString(value)
			return name, isHostEnd(name)
		}
	}
	return "", false
}

// isHostEnd tells the name of a container's veth from other names.
func isHostEnd(name string) bool {
	id, ok := strings.CutPrefix(name, control.LinkPrefix+"v")
	return ok && len(id) == 12 && strings.Trim(id, "0123456789abcdef") == ""
}
