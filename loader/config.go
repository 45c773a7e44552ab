// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
)

// AttachMode says how programs are attached to interfaces.
type AttachMode string

const (
	AttachAuto   AttachMode = "auto" // tcx where the kernel has it, clsact otherwise
	AttachTCX    AttachMode = "tcx"
	AttachClsact AttachMode = "clsact"
)

// Config says what to load, and where to pin and attach it.
type Config struct {
	// PinDir is a directory on a BPF file system; it is made if it is missing.
	PinDir string
	// CgroupPath is the root of the cgroup v2 hierarchy. Empty: the programs for sockets of the host are not attached.
	CgroupPath string
	// NetnsCookie is the SO_NETNS_COOKIE of the host's network namespace: only its sockets are served.
	NetnsCookie uint64
	// AttachMode is auto when it is empty.
	AttachMode AttachMode
	// Clsact attaches where there is no tcx. It may be nil when there is.
	Clsact Clsact
	// PoolFirst and PoolLast bound the NAT ports; 0: a range beside the local ports.
	PoolFirst, PoolLast uint16
	// LocalFirst and LocalLast are net.ipv4.ip_local_port_range; 0: what the object says.
	LocalFirst, LocalLast uint16
	// FlowEntries is the size of each family's flow table when it is made, two entries a flow; 0: what the object says. The table of
	// bindings grows and shrinks with it. Tables that are pinned already keep their size.
	FlowEntries uint32
	Logger      *slog.Logger
}

func (c *Config) complete() error {
	if !filepath.IsAbs(c.PinDir) {
		return fmt.Errorf("pin directory %q: want an absolute path", c.PinDir)
	}
	if c.AttachMode == "" {
		c.AttachMode = AttachAuto
	}
	switch c.AttachMode {
	case AttachAuto, AttachTCX:
	case AttachClsact:
		if c.Clsact == nil {
			return errors.New("attach by clsact: nobody was given who can")
		}
	default:
		return fmt.Errorf("attach mode %q: want auto, tcx or clsact", c.AttachMode)
	}
	if c.PoolFirst > c.PoolLast || c.LocalFirst > c.LocalLast {
		return fmt.Errorf("ports %d-%d and %d-%d: want FIRST-LAST", c.PoolFirst, c.PoolLast, c.LocalFirst, c.LocalLast)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.PoolLast == 0 && c.LocalLast != 0 {
		var ok bool
		if c.PoolFirst, c.PoolLast, ok = choosePool(c.LocalFirst, c.LocalLast); !ok {
			c.Logger.Warn("net.ipv4.ip_local_port_range leaves no range of NAT ports free of the host's own",
				"first", c.LocalFirst, "last", c.LocalLast)
		}
	}
	return nil
}

// Clsact attaches programs by tc's clsact qdisc, for kernels without tcx. It works in the host's network namespace.
type Clsact interface {
	// AttachClsact makes the program the filter of that name, in place if there is one already.
	AttachClsact(ifindex int, ingress bool, progFD int, name string, prio uint16) error
	// DetachClsact removes the filter; what is gone already is no error.
	DetachClsact(ifindex int, ingress bool, name string, prio uint16) error
	// ListClsact lists the filters of ours on all interfaces.
	ListClsact() ([]ClsactFilter, error)
}

// ClsactFilter is one program attached by clsact.
type ClsactFilter struct {
	Ifindex   int
	Ingress   bool
	Name      string
	Priority  uint16
	ProgramID uint32
}

// clsactLike is what ClsactFilter is made of.
type clsactLike interface {
	~struct {
		Ifindex   int
		Ingress   bool
		Name      string
		Priority  uint16
		ProgramID uint32
	}
}

// clsactLinks is Clsact with a filter type of the implementation's own.
type clsactLinks[F clsactLike] interface {
	AttachClsact(ifindex int, ingress bool, progFD int, name string, prio uint16) error
	DetachClsact(ifindex int, ingress bool, name string, prio uint16) error
	ListClsact() ([]F, error)
}

// AdaptClsact makes a Clsact of something that has the same methods but does not know this package.
func AdaptClsact[F clsactLike](links clsactLinks[F]) Clsact { return adapted[F]{links} }

type adapted[F clsactLike] struct{ clsactLinks[F] }

func (a adapted[F]) ListClsact() ([]ClsactFilter, error) {
	theirs, err := a.clsactLinks.ListClsact()
	if err != nil {
		return nil, fmt.Errorf("list clsact filters: %w", err)
	}
	ours := make([]ClsactFilter, len(theirs))
	for i, f := range theirs {
		ours[i] = ClsactFilter(f)
	}
	return ours, nil
}
