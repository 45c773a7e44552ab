// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// RemoveAll leaves nothing of ours.
func (l *Links) RemoveAll(ctx context.Context) error {
	return join(l.RemoveInterfaces(ctx), l.RemoveTraces())
}

// RemoveTraces removes the namespaces of the detour and the cutter, and qdiscs that we made on interfaces of others, unless somebody came to use
// them.
func (l *Links) RemoveTraces() error {
	return join(l.theDetour().removeFile(), l.theCutter(nil).removeFile(), l.dropQdiscs())
}

// atOnce is how many interfaces go in one request. Meanwhile nobody else can change any interface of the host, and those that have programs
// take a grace period each even so.
const atOnce = 16

// RemoveInterfaces deletes every bridge and veth of ours, as many as it can: many at once, or, if the kernel will not, one by one, ports before
// bridges.
func (l *Links) RemoveInterfaces(ctx context.Context) error {
	all, err := l.linkList(ctx)
	if err != nil {
		return fmt.Errorf("remove all interfaces: %w", err)
	}
	group, err := freeGroup(all)
	for links := range slices.Chunk(mine(all), atOnce) {
		if err == nil {
			err = join(ctx.Err(), l.removeGroup(all, links, group))
		}
	}
	if err != nil {
		l.log.Warn("interfaces are removed one by one", "error", err)
		return l.removeEach(ctx)
	}
	for _, link := range mine(all) {
		l.forget(link.Attrs().Name)
	}
	return nil
}

func mine(all []netlink.Link) (links []netlink.Link) {
	for _, link := range all {
		if ours(link) {
			links = append(links, link)
		}
	}
	return links
}

func (l *Links) removeEach(ctx context.Context) error {
	links, err := l.linkList(ctx)
	if err != nil {
		return fmt.Errorf("remove all interfaces: %w", err)
	}
	var errs []error
	for _, kind := range [...]string{"veth", "bridge"} {
		for _, link := range links {
			if !ours(link) || link.Type() != kind {
				continue
			}
			err := l.h.LinkDel(link)
			// The other end of a pair of ours may have been in this namespace too.
			if err != nil && !notFound(err) && !errors.Is(err, unix.EINVAL) {
				errs = append(errs, fmt.Errorf("delete interface %s: %w", link.Attrs().Name, err))
			}
			l.forget(link.Attrs().Name)
		}
	}
	return join(errs...)
}
