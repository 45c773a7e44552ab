// SPDX-License-Identifier: Apache-2.0

// Package sandbox is what `vethway run` needs of the kernel: a network namespace that is held by a bind mount under
// the instance's run directory, and a process inside it.
package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/loader/excursion"
)

// Dir is where an instance keeps the namespaces that `vethway run` makes.
type Dir string

// In returns the directory below an instance's run directory.
func In(runDir string) Dir { return Dir(filepath.Join(runDir, "containers")) }

// Namespace is the path of a container's namespace.
func (d Dir) Namespace(name string) string { return filepath.Join(string(d), name+".net") }

func (d Dir) record(name string) string { return filepath.Join(string(d), name+".json") }

// Create makes a namespace with the loopback up and mounts it under its path. The error wraps fs.ErrExist when the
// name is in use.
func (d Dir) Create(name string) (path string, err error) {
	if err := os.MkdirAll(string(d), 0o711); err != nil {
		return "", needRoot(fmt.Errorf("make the directory of namespaces: %w", err))
	}
	path = d.Namespace(name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if err = needRoot(err); err != nil {
		return "", fmt.Errorf("make the namespace of %s: %w", name, err)
	}
	f.Close()
	err = excursion.IntoNew(func() error {
		if err := loopbackUp(); err != nil {
			return err
		}
		if err := unix.Mount(excursion.Here, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount on %s: %w", path, err)
		}
		return nil
	})
	if err = needRoot(err); err != nil {
		return "", errors.Join(fmt.Errorf("make the namespace of %s: %w", name, err), os.Remove(path))
	}
	return path, nil
}

// Within runs f inside the network namespace at path; with an empty path it just runs f.
func Within(path string, f func() error) error {
	if path == "" {
		return f()
	}
	ns, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the network namespace: %w", err)
	}
	defer ns.Close()
	return excursion.Into(ns, f)
}

// needRoot explains why an ordinary user cannot make namespaces.
func needRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return exit.Errorf(exit.Capability, "CAP_SYS_ADMIN is missing: it is needed to make network namespaces: %w", err).WithHint("sudo vethway run ...")
	}
	return err
}

// Remove unmounts the namespace and forgets the process; what is already gone is no error.
func (d Dir) Remove(name string) error {
	var errs []error
	path := d.Namespace(name)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		errs = append(errs, fmt.Errorf("unmount %s: %w", path, err))
	}
	for _, p := range []string{path, d.record(name)} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove the namespace of %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	req.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	return nil
}
