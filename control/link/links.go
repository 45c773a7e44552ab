// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/loader/excursion"
)

// ErrForeign is returned when an interface has one of our names but is not of the kind we would make.
var ErrForeign = errors.New("interface is not one of vethway's")

// Config says which network namespace is the host.
type Config struct {
	// Namespace is the path of the host's network namespace; empty: that of the thread that calls New.
	Namespace string
	// StateDir is where to remember, across restarts, what the kernel cannot tell: see QdiscFile; empty: nowhere.
	StateDir string
	// DetourFile is where to mount the namespace that EnsureDetour makes; empty: it makes none.
	DetourFile string
	// CutterFile is the same for EnsureCutter.
	CutterFile string
	// Logger may be nil.
	Logger *slog.Logger
}

// Links implements control.Links. It is safe for concurrent use.
type Links struct {
	ns  *namespace
	h   *netlink.Handle
	log *slog.Logger
	// detour and cutter are Config.DetourFile and CutterFile.
	detour, cutter string

	// naming is held while a free name is chosen and taken, so that two endpoints of a container do not choose the same.
	naming sync.Mutex

	mu sync.Mutex
	// applied is what the last Ensure of an interface set, by the interface's name: what a later Ensure no longer
	// names is taken away again, while addresses and neighbours that somebody else added stay.
	applied map[string]applied
	qdiscs  qdiscs
	// ends are host ends as they were left, and busy those that are being changed, by name.
	ends map[string]hostEnd
	busy map[string]bool

	// reroutings counts changes of the routing that were seen. A change that is taken back before anybody looks leaves no other
	// trace, but the flows that began meanwhile.
	reroutings atomic.Uint64

	// closing are sockets that nobody has to wait for, but Close.
	closing sync.WaitGroup
}

var _ control.Links = (*Links)(nil)

// New opens the host's network namespace.
func New(cfg Config) (*Links, error) {
	path := cfg.Namespace
	if path == "" {
		path = excursion.Here
	}
	ns, err := openNamespace(path)
	if err != nil {
		return nil, fmt.Errorf("open the host's network namespace: %w", err)
	}
	h, err := netlink.NewHandleAt(netns.NsHandle(ns.fd()), unix.NETLINK_ROUTE)
	if err != nil {
		ns.Close()
		return nil, fmt.Errorf("open rtnetlink in %s: %w", path, err)
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l := &Links{
		ns: ns, h: h, log: log, detour: cfg.DetourFile, cutter: cfg.CutterFile,
		applied: map[string]applied{}, ends: map[string]hostEnd{}, busy: map[string]bool{},
	}
	if err := l.openQdiscs(cfg.StateDir); err != nil {
		return nil, join(err, l.Close())
	}
	return l, nil
}

// Close releases the namespace. Interfaces stay as they are.
func (l *Links) Close() error {
	l.closing.Wait()
	l.h.Close()
	return l.ns.Close()
}

// Cookie is the identity of the host's network namespace, as bpf_get_netns_cookie gives it.
func (l *Links) Cookie() uint64 { return l.ns.cookie }

// Owned lists the interfaces of the host namespace that are ours by name.
func (l *Links) Owned(ctx context.Context) ([]string, error) {
	links, err := l.linkList(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, link := range links {
		if ours(link) {
			names = append(names, link.Attrs().Name)
		}
	}
	return names, nil
}

// ours tells our interfaces by name and kind: what somebody else happened to call vw-something or vwan0 is not ours to
// change or delete.
func ours(link netlink.Link) bool {
	name := link.Attrs().Name
	switch link.Type() {
	case "bridge":
		return strings.HasPrefix(name, control.LinkPrefix+"-")
	case "veth":
		if name == control.DetourLink || name == control.CutterLink {
			return true
		}
		return isHostEnd(name)
	}
	return false
}

func (l *Links) linkList(ctx context.Context) ([]netlink.Link, error) {
	links, err := dump(ctx, l.h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	return links, nil
}

// find returns the interface, or nil when there is none of that name. An interface of another kind is ErrForeign.
func find(h *netlink.Handle, name, kind string) (netlink.Link, error) {
	link, err := h.LinkByName(name)
	if notFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up interface %s: %w", name, err)
	}
	if link.Type() != kind {
		return nil, fmt.Errorf("interface %s is a %s, not a %s: %w", name, link.Type(), kind, ErrForeign)
	}
	return link, nil
}

func notFound(err error) bool {
	var missing netlink.LinkNotFoundError
	return errors.As(err, &missing) || errors.Is(err, unix.ENODEV)
}

// remove deletes an interface of ours; one that is gone already is no error.
func (l *Links) remove(name, kind string) error {
	link, err := find(l.h, name, kind)
	if err != nil || link == nil {
		return err
	}
	if err := l.h.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete interface %s: %w", name, err)
	}
	return nil
}

// dump repeats a netlink dump that changes of the kernel's tables interrupted. A host that never stands still gets the last
// answer, which lacks at most what is changing anyway, and whose change Watch reports.
func dump[T any](ctx context.Context, list func() ([]T, error)) ([]T, error) {
	const tries = 5
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		got, err := list()
		if err == nil {
			return got, nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, err
		}
		if try == tries {
			return got, nil
		}
	}
}

// checkName refuses what the kernel would, and what would lead out of the sysctl's directory.
func checkName(name string) error {
	if name == "" || len(name) >= unix.IFNAMSIZ || name == "." || name == ".." || strings.ContainsAny(name, "/: \t\n") {
		return fmt.Errorf("%q is not an interface name", name)
	}
	return nil
}

// checkOurs refuses to touch an interface of the host whose name is not one of ours.
func checkOurs(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if !strings.HasPrefix(name, control.LinkPrefix) {
		return fmt.Errorf("interface %s: the name lacks the prefix %s: %w", name, control.LinkPrefix, ErrForeign)
	}
	return nil
}

// join is errors.Join in one line.
func join(errs ...error) error {
	var all error
	for _, err := range errs {
		switch {
		case err == nil:
		case all == nil:
			all = err
		default:
			all = fmt.Errorf("%w; %w", all, err)
		}
	}
	return all
}
