// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// freeGroup chooses a link group that no interface is in. Others number theirs from 0, which is that of all that are in none, so that nobody
// comes upon the same one out of two thousand million meanwhile.
func freeGroup(all []netlink.Link) (uint32, error) {
	const first, last = 1 << 16, 1<<31 - 1
	taken := map[uint32]bool{}
	for _, link := range all {
		taken[link.Attrs().Group] = true
	}
	for range 10 {
		if group := first + rand.Uint32N(last-first); !taken[group] {
			return group, nil
		}
	}
	return 0, errors.New("no link group is free")
}

// removeGroup deletes interfaces of ours in one request: it costs the kernel as many grace periods as one of them does. They are put into
// a group of their own, and the group is looked at before it is deleted: whatever else is in it stays, and so do all, with an error.
func (l *Links) removeGroup(all, mine []netlink.Link, group uint32) error {
	if len(mine) == 0 {
		return nil
	}
	put := map[int]bool{}
	for _, link := range mine {
		err := l.h.LinkSetGroup(link, int(group))
		if notFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("put %s into a group: %w", link.Attrs().Name, err)
		}
		put[link.Attrs().Index] = true
	}
	if err := l.checkGroup(all, put, group); err != nil {
		return err
	}
	if err := l.deleteGroup(group); err != nil && !notFound(err) {
		return fmt.Errorf("delete a group of %d interfaces: %w", len(put), err)
	}
	return nil
}

// checkGroup wants nobody in the group but interfaces of ours that were put there. One whose number was ours a moment ago goes back to where
// it was.
func (l *Links) checkGroup(all []netlink.Link, put map[int]bool, group uint32) error {
	now, err := l.listUndisturbed()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	before := map[int]uint32{}
	for _, link := range all {
		before[link.Attrs().Index] = link.Attrs().Group
	}
	var errs []error
	for _, link := range now {
		attrs := link.Attrs()
		if attrs.Group != group || ours(link) && put[attrs.Index] {
			continue
		}
		errs = append(errs, fmt.Errorf("interface %s is in the group: %w", attrs.Name, ErrForeign))
		if put[attrs.Index] {
			errs = append(errs, l.h.LinkSetGroup(link, int(before[attrs.Index])))
		}
	}
	return join(errs...)
}

// listUndisturbed lists all interfaces that there are at one moment: what dump takes in the end may lack some.
func (l *Links) listUndisturbed() (links []netlink.Link, err error) {
	for range 5 {
		links, err = l.h.LinkList()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return links, err
}

// deleteGroup sends what the netlink library has no call for.
func (l *Links) deleteGroup(group uint32) error {
	s, err := nl.GetNetlinkSocketAt(netns.NsHandle(l.ns.fd()), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open rtnetlink: %w", err)
	}
	defer s.Close()
	req := nl.NewNetlinkRequest(unix.RTM_DELLINK, unix.NLM_F_ACK)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(group)))
	_, err = req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
