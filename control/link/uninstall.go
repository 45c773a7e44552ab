// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// RemoveAll deletes every bridge and veth of ours, for uninstalling: ports before bridges, and as many as it can. The namespaces of
// the detour and the cutter go as well, and so do qdiscs that we made on other interfaces, unless somebody came to use them.
func (l *Links) RemoveAll(ctx context.Context) error {
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
	return join(append(errs, l.theDetour().removeFile(), l.theCutter(nil).removeFile(), l.dropQdiscs())...)
}
