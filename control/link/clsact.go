// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// FilterPrefix begins the name of every tc filter of ours.
const FilterPrefix = "vw_"

// filterHandle is that of our filters within their priority.
const filterHandle = 1

// ClsactFilter is one of our programs attached by the clsact qdisc.
type ClsactFilter struct {
	Ifindex   int
	Ingress   bool
	Name      string
	Priority  uint16
	ProgramID uint32
}

// AttachClsact attaches a program by the clsact qdisc, for kernels without tcx (before Linux 6.6). A filter of the same
// name is replaced in place, whatever its priority; one of somebody else that has the priority is ErrForeign.
func (l *Links) AttachClsact(ifindex int, ingress bool, progFD int, name string, prio uint16) error {
	err := l.attachClsact(ifindex, ingress, progFD, name, prio)
	if err != nil {
		return fmt.Errorf("attach %s to clsact of interface %d: %w", name, ifindex, err)
	}
	return nil
}

func (l *Links) attachClsact(ifindex int, ingress bool, progFD int, name string, prio uint16) error {
	if !strings.HasPrefix(name, FilterPrefix) {
		return fmt.Errorf("the name lacks the prefix %s", FilterPrefix)
	}
	made, err := l.ensureClsact(ifindex)
	if err != nil {
		return err
	}
	filters, err := l.filters(ifindex, ingress)
	if err != nil {
		return err
	}
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: ifindex, Parent: hook(ingress), Handle: filterHandle, Priority: prio, Protocol: unix.ETH_P_ALL,
		},
		Fd: progFD, Name: name, DirectAction: true,
	}
	for _, f := range filters {
		attrs, owner := f.Attrs(), filterName(f)
		if owner == name {
			filter.Priority, filter.Handle = attrs.Priority, attrs.Handle
			break
		}
		if attrs.Priority == prio && (attrs.Handle == filterHandle || f.Type() != filter.Type()) {
			return fmt.Errorf("priority %d is taken by filter %q of type %s: %w", prio, owner, f.Type(), ErrForeign)
		}
	}
	if err := l.h.FilterReplace(filter); err != nil {
		err = fmt.Errorf("set filter: %w", err)
		if made {
			err = join(err, l.dropClsact(ifindex))
		}
		return err
	}
	return nil
}

// ensureClsact adds the qdisc unless there is one, and says whether it did. That it is ours is noted first: whoever is killed
// in between must not leave one that nobody knows to be ours.
func (l *Links) ensureClsact(ifindex int) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.qdiscs.made[ifindex]
	l.setQdisc(ifindex, true)
	err := l.h.QdiscAdd(clsact(ifindex))
	if err == nil {
		return true, nil
	}
	l.setQdisc(ifindex, known)
	if errors.Is(err, unix.EEXIST) {
		return false, nil // clsact, or the older ingress qdisc, which has the same filters for ingress
	}
	return false, fmt.Errorf("add qdisc clsact: %w", err)
}

// DetachClsact removes the filter of that name; one that is gone already is no error. The qdisc goes too if we made it and
// nobody has a filter on it. The priority is of no account: the name tells.
func (l *Links) DetachClsact(ifindex int, ingress bool, name string, _ uint16) error {
	filters, err := l.filters(ifindex, ingress)
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("detach %s from clsact of interface %d: %w", name, ifindex, err)
	}
	for _, f := range filters {
		if filterName(f) != name || !strings.HasPrefix(name, FilterPrefix) {
			continue
		}
		if err := l.h.FilterDel(f); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("detach %s from clsact of interface %d: %w", name, ifindex, err)
		}
	}
	if err := l.dropClsact(ifindex); err != nil {
		return fmt.Errorf("detach %s from interface %d: %w", name, ifindex, err)
	}
	return nil
}

// dropClsact removes the qdisc if it is of our making and empty.
func (l *Links) dropClsact(ifindex int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropEmpty(ifindex)
}

// dropEmpty is dropClsact for a caller that holds mu.
func (l *Links) dropEmpty(ifindex int) error {
	if !l.qdiscs.made[ifindex] {
		return nil
	}
	for _, ingress := range [...]bool{true, false} {
		filters, err := l.filters(ifindex, ingress)
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return err
		}
		if len(filters) > 0 {
			return nil
		}
	}
	err := l.h.QdiscDel(clsact(ifindex))
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete qdisc clsact: %w", err)
	}
	l.setQdisc(ifindex, false)
	return nil
}

// ListClsact lists our filters on all interfaces of the host's namespace.
func (l *Links) ListClsact() ([]ClsactFilter, error) {
	qdiscs, err := l.h.QdiscList(nil)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list qdiscs: %w", err)
	}
	var found []ClsactFilter
	for _, q := range qdiscs {
		if q.Type() != "clsact" && q.Type() != "ingress" {
			continue
		}
		for _, ingress := range [...]bool{true, false} {
			filters, err := l.filters(q.Attrs().LinkIndex, ingress)
			if err != nil && !errors.Is(err, unix.ENODEV) {
				return nil, err
			}
			found = append(found, ownFilters(filters, ingress)...)
		}
	}
	return found, nil
}

func ownFilters(filters []netlink.Filter, ingress bool) []ClsactFilter {
	var own []ClsactFilter
	for _, f := range filters {
		if bpf, ok := f.(*netlink.BpfFilter); ok && strings.HasPrefix(filterName(f), FilterPrefix) {
			own = append(own, ClsactFilter{
				Ifindex: bpf.LinkIndex, Ingress: ingress, Name: filterName(f),
				Priority: bpf.Priority, ProgramID: uint32(bpf.Id),
			})
		}
	}
	return own
}

// filters lists the filters of one hook. An interface without the qdisc has none.
func (l *Links) filters(ifindex int, ingress bool) ([]netlink.Filter, error) {
	link := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: ifindex}}
	filters, err := l.h.FilterList(link, hook(ingress))
	switch {
	case err == nil, errors.Is(err, netlink.ErrDumpInterrupted):
		return filters, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		return nil, nil
	default:
		return nil, fmt.Errorf("list filters of interface %d: %w", ifindex, err)
	}
}

func filterName(f netlink.Filter) string {
	if bpf, ok := f.(*netlink.BpfFilter); ok {
		return bpf.Name
	}
	return ""
}

func hook(ingress bool) uint32 {
	if ingress {
		return netlink.HANDLE_MIN_INGRESS
	}
	return netlink.HANDLE_MIN_EGRESS
}

func clsact(ifindex int) netlink.Qdisc {
	return &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
		},
		QdiscType: "clsact",
	}
}
