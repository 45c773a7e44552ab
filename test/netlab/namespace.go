// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namedDir is where ip-netns(8) looks for namespaces.
const namedDir = "/run/netns"

// Namespace is a network namespace that is held by a bind mount.
type Namespace struct {
	name   string // as given, for messages
	dir    string // private directory with the mount; empty when only opened
	path   string // what to give to nsenter --net=
	public string // second mount in /run/netns, for named namespaces
	cookie uint64
	handle *netlink.Handle
}

// NamespaceConfig says how to make a namespace.
type NamespaceConfig struct {
	// Name is for messages, and the host name part of nothing.
	Name string
	// Public also puts the namespace into /run/netns under Name, where ip
	// netns finds it; the name must then be free.
	Public bool
}

// NewNamespace makes a network namespace with lo up. IPv6 addresses in it are
// usable at once: duplicate address detection is off.
func NewNamespace(cfg NamespaceConfig) (*Namespace, error) {
	if strings.ContainsAny(cfg.Name, "/ \n") || (cfg.Public && cfg.Name == "") {
		return nil, fmt.Errorf("make namespace: bad name %q", cfg.Name)
	}
	dir, err := os.MkdirTemp("", dirPrefix()+"*")
	if err != nil {
		return nil, fmt.Errorf("make namespace %s: %w", cfg.Name, err)
	}
	n := &Namespace{name: cfg.Name, dir: dir, path: filepath.Join(dir, "net")}
	if n.name == "" {
		n.name = filepath.Base(dir)
	}
	if err := n.create(cfg.Public); err != nil {
		return nil, errors.Join(fmt.Errorf("make namespace %s: %w", n.name, err), n.Close())
	}
	return n, nil
}

// OpenNamespace opens a namespace that somebody else made, by its path. Close
// then leaves it alone.
func OpenNamespace(name, path string) (*Namespace, error) {
	n := &Namespace{name: name, path: path}
	if err := n.open(); err != nil {
		return nil, fmt.Errorf("open namespace %s: %w", path, err)
	}
	return n, nil
}

func (n *Namespace) create(public bool) error {
	if err := mountNewNetns(n.path); err != nil {
		return err
	}
	if public {
		if err := n.publish(); err != nil {
			return err
		}
	}
	if err := n.open(); err != nil {
		return err
	}
	if err := n.SetUp("lo"); err != nil {
		return err
	}
	for _, conf := range []string{"all", "default"} {
		if err := n.SetSysctl("net.ipv6.conf."+conf+".accept_dad", "0"); err != nil {
			return err
		}
	}
	return nil
}

// mountNewNetns makes a network namespace and mounts it at path.
func mountNewNetns(path string) error {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return excursion(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind mount on %s: %w", path, err)
		}
		return nil
	})
}

// excursion runs f on a thread of its own, and brings that thread back to the
// namespace that it came from. A thread that cannot go back stays locked: it
// dies with its goroutine instead of serving others from the wrong namespace.
// (Letting it die always would be simpler, but the main thread only parks then,
// and /proc/self/ns/net, which is the main thread's, would be wrong for ever.)
func excursion(f func() error) error {
	runtime.LockOSThread()
	back, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		if netns.Set(back) == nil {
			runtime.UnlockOSThread()
		}
		back.Close()
	}()
	return f()
}

// publish mounts the namespace once more where ip netns looks for it.
func (n *Namespace) publish() error {
	if err := os.MkdirAll(namedDir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(namedDir, n.name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	n.public = path
	if err := unix.Mount(n.path, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind mount on %s: %w", path, err)
	}
	return nil
}

// open makes the netlink handle and reads the cookie.
func (n *Namespace) open() error {
	ns, err := netns.GetFromPath(n.path)
	if err != nil {
		return err
	}
	defer ns.Close()
	if n.handle, err = netlink.NewHandleAt(ns, unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	return n.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		n.cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
		return err
	})
}

// Name is the name that the namespace was made with.
func (n *Namespace) Name() string { return n.name }

// String is the name, for messages.
func (n *Namespace) String() string { return n.name }

// Path is the file that the namespace is mounted on, as in nsenter --net=PATH.
// For a public namespace it is the one in /run/netns.
func (n *Namespace) Path() string {
	if n.public != "" {
		return n.public
	}
	return n.path
}

// Cookie is the kernel's number for the namespace, as BPF programs see it.
func (n *Namespace) Cookie() uint64 { return n.cookie }

// Number is what n calls another namespace; it is given one if it has none.
func (n *Namespace) Number(other *Namespace) (int, error) {
	ns, err := netns.GetFromPath(other.path)
	if err != nil {
		return 0, fmt.Errorf("open namespace %s: %w", other.name, err)
	}
	defer ns.Close()
	number, err := n.handle.GetNetNsIdByFd(int(ns))
	if err == nil && number < 0 {
		if err = n.handle.SetNetNsIdByFd(int(ns), -1); err == nil {
			number, err = n.handle.GetNetNsIdByFd(int(ns))
		}
	}
	if err != nil {
		return 0, fmt.Errorf("number %s in %s: %w", other.name, n.name, err)
	}
	return number, nil
}

// Do runs f on a thread inside the namespace. f must do its work on the
// goroutine that calls it: what it starts with go runs outside. Sockets stay
// in the namespace where they were made, so they may leave f.
func (n *Namespace) Do(f func() error) error {
	ns, err := netns.GetFromPath(n.path)
	if err != nil {
		return fmt.Errorf("enter namespace %s: %w", n.name, err)
	}
	defer ns.Close()
	return excursion(func() error {
		if err := netns.Set(ns); err != nil {
			return fmt.Errorf("enter namespace %s: %w", n.name, err)
		}
		return f()
	})
}

// Close unmounts the namespace. The kernel frees it when the last process,
// socket and interface is gone from it.
func (n *Namespace) Close() error {
	var errs []error
	if n.handle != nil {
		n.handle.Close()
		n.handle = nil
	}
	if n.public != "" {
		errs = append(errs, unmount(n.public), remove(n.public))
		n.public = ""
	}
	if n.dir != "" {
		errs = append(errs, unmount(n.path), remove(n.path), remove(n.dir))
		n.dir = ""
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close namespace %s: %w", n.name, err)
	}
	return nil
}

func unmount(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	return nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// is4 tells the family of an address, seeing through IPv4 mapped into IPv6.
func is4(a netip.Addr) bool { return a.Unmap().Is4() }
