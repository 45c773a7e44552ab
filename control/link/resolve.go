// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
)

// namespaceDirs are where iproute2, Docker and containerd keep named namespaces.
var namespaceDirs = [...]string{"/run/netns", "/var/run/docker/netns"}

// OpenNamespace resolves a path, pid or name to a network namespace. The error is control.ErrNamespaceGone when nothing of
// that name exists, control.ErrHostNamespace when it is the host's.
func (l *Links) OpenNamespace(ctx context.Context, ref string) (control.NamespaceRef, error) {
	if err := ctx.Err(); err != nil {
		return control.NamespaceRef{}, err
	}
	candidates, err := namespaceCandidates(ref)
	if err != nil {
		return control.NamespaceRef{}, err
	}
	for _, path := range candidates {
		ns, err := openNamespace(path)
		if vanished(err) {
			continue
		}
		if err != nil {
			return control.NamespaceRef{}, fmt.Errorf("open network namespace %q: %w", ref, err)
		}
		defer ns.Close()
		if ns.cookie == l.ns.cookie {
			return control.NamespaceRef{}, fmt.Errorf("open network namespace %q: %w", ref, control.ErrHostNamespace)
		}
		return control.NamespaceRef{Path: path, Cookie: ns.cookie}, nil
	}
	return control.NamespaceRef{}, fmt.Errorf("open network namespace %q: no such pid or file (tried %s): %w",
		ref, strings.Join(candidates, ", "), control.ErrNamespaceGone)
}

func namespaceCandidates(ref string) ([]string, error) {
	switch {
	case ref == "":
		return nil, errors.New("open network namespace: neither path, pid nor name given")
	case strings.Contains(ref, "/"):
		path, err := filepath.Abs(ref)
		if err != nil {
			return nil, fmt.Errorf("open network namespace %q: %w", ref, err)
		}
		return []string{path}, nil
	case ref == "." || ref == ".." || strings.ContainsRune(ref, 0):
		return nil, fmt.Errorf("open network namespace: %q is neither path, pid nor name", ref)
	}
	var paths []string
	if pid, err := strconv.ParseUint(ref, 10, 31); err == nil && pid > 0 {
		paths = append(paths, fmt.Sprintf("/proc/%d/ns/net", pid))
	}
	for _, dir := range namespaceDirs {
		paths = append(paths, filepath.Join(dir, ref))
	}
	return paths, nil
}

// reopen opens a namespace that OpenNamespace resolved earlier, and makes sure that it is still the same one.
func (l *Links) reopen(ref control.NamespaceRef) (*namespace, error) {
	ns, err := openNamespace(ref.Path)
	if vanished(err) {
		return nil, fmt.Errorf("open network namespace %s: %w", ref.Path, control.ErrNamespaceGone)
	}
	if err != nil {
		return nil, fmt.Errorf("open network namespace: %w", err)
	}
	switch {
	case ref.Cookie != 0 && ns.cookie != ref.Cookie:
		err = fmt.Errorf("open network namespace %s: another one took its place: %w", ref.Path, control.ErrNamespaceGone)
	case ns.cookie == l.ns.cookie:
		err = fmt.Errorf("open network namespace %s: %w", ref.Path, control.ErrHostNamespace)
	default:
		return ns, nil
	}
	ns.Close()
	return nil, err
}

// vanished tells that there is nothing under the path: no file, or a process that ended between the look-up of its
// directory and of its namespace.
func vanished(err error) bool { return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) }
