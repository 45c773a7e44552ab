// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vethway/vethway/test/behaviour"
)

func netnsLink(t *testing.T) string {
	t.Helper()
	l, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newNamespace(t *testing.T, cfg NamespaceConfig) *Namespace {
	t.Helper()
	behaviour.NeedRoot(t)
	n, err := NewNamespace(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func TestNamespaceDo(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, NamespaceConfig{Name: "a"})
	outside := netnsLink(t)
	var inside string
	if err := n.Do(func() error { inside = netnsLink(t); return nil }); err != nil {
		t.Fatal(err)
	}
	if inside == outside {
		t.Errorf("Do stayed in %s", outside)
	}
	if got := netnsLink(t); got != outside {
		t.Errorf("Do left the thread in %s, want %s", got, outside)
	}
	if n.Cookie() == 0 || n.Cookie() == 1 {
		t.Errorf("cookie %d, want one that is not the machine's", n.Cookie())
	}
	out, err := n.Run(t.Context(), "readlink", "/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(out) != inside {
		t.Errorf("a command runs in %q, want %s", out, inside)
	}
}

// A namespace has a number in another one, and keeps it.
func TestNamespaceNumber(t *testing.T) {
	n := newNamespace(t, NamespaceConfig{})
	numbers := map[int]bool{}
	for range 2 {
		other := newNamespace(t, NamespaceConfig{})
		first, err := n.Number(other)
		if err != nil {
			t.Fatal(err)
		}
		again, err := n.Number(other)
		if err != nil || again != first || first < 0 || numbers[first] {
			t.Errorf("number %d, then %d, %v; others have %v", first, again, err, numbers)
		}
		numbers[first] = true
	}
}

func TestNamespaceSysctl(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, NamespaceConfig{})
	for _, want := range []string{"1", "0"} {
		if err := n.SetSysctl("net.ipv4.ip_forward", want); err != nil {
			t.Fatal(err)
		}
		if got, err := n.Sysctl("net.ipv4.ip_forward"); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	if err := n.SetSysctl("net.ipv4.no_such_thing", "1"); err == nil {
		t.Error("a sysctl that does not exist could be set")
	}
}

func TestNamespacePublic(t *testing.T) {
	t.Parallel()
	name := fmt.Sprintf("netlabtest%d", os.Getpid())
	n := newNamespace(t, NamespaceConfig{Name: name, Public: true})
	if want := filepath.Join(namedDir, name); n.Path() != want {
		t.Errorf("path %s, want %s", n.Path(), want)
	}
	if _, err := NewNamespace(NamespaceConfig{Name: name, Public: true}); err == nil {
		t.Error("two namespaces got the same public name")
	}
	opened, err := OpenNamespace("again", n.Path())
	if err != nil {
		t.Fatal(err)
	}
	if opened.Cookie() != n.Cookie() {
		t.Errorf("opened %d, want %d", opened.Cookie(), n.Cookie())
	}
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(namedDir, name)); !os.IsNotExist(err) {
		t.Errorf("closed, and still there: %v", err)
	}
}

func TestLeakedDirIsReported(t *testing.T) {
	// Not parallel: CheckLeaks looks at the whole process.
	n := newNamespace(t, NamespaceConfig{})
	err := Leaks()
	if err == nil || !strings.Contains(err.Error(), "leaked mount "+n.path) {
		t.Errorf("an open namespace is not reported: %v", err)
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	a, b := newNamespace(t, NamespaceConfig{Name: "a"}), newNamespace(t, NamespaceConfig{Name: "b"})
	if err := a.AddVeth("eth0", b, "eth0"); err != nil {
		t.Fatal(err)
	}
	la, err := a.Link("eth0")
	if err != nil {
		t.Fatal(err)
	}
	lb, err := b.Link("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if la.Peer != lb.Index || lb.Peer != la.Index || !la.Up || !lb.Up || la.Kind != "veth" {
		t.Errorf("not a pair: %+v and %+v", la, lb)
	}
	p := netip.MustParsePrefix("2001:db8::1/64")
	if err := a.AddAddr("eth0", p); err != nil {
		t.Fatal(err)
	}
	if addrs, err := a.Addrs("eth0"); err != nil || !slices.Contains(addrs, p) {
		t.Errorf("addresses %v, %v, want %s among them", addrs, err, p)
	}
	if err := errors.Join(a.AddBridge("br0"), a.AddAddr("br0", netip.MustParsePrefix("2001:db8:1::1/64"))); err != nil {
		t.Errorf("a bridge without ports: %v", err)
	}
	if err := a.DelAddr("eth0", p); err != nil {
		t.Fatal(err)
	}
	if err := a.DeleteLink("eth0"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Link("eth0"); err == nil {
		t.Error("one end of the pair is left")
	}
}
