// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// loadNext loads "return TC_ACT_UNSPEC" by the bare system call: the library that loads programs is not for this package.
func loadNext(t *testing.T) int {
	t.Helper()
	insns := []uint64{0xffffffff_0000_00b7, 0x95} // r0 = -1; exit
	license := []byte("GPL\x00")
	attr := struct {
		kind, count    uint32
		insns, license uint64
		_              [96]byte
	}{
		kind: unix.BPF_PROG_TYPE_SCHED_CLS, count: uint32(len(insns)),
		insns: uint64(uintptr(unsafe.Pointer(&insns[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0]))),
	}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(insns)
	runtime.KeepAlive(license)
	if errno != 0 {
		t.Fatalf("load a program: %v", errno)
	}
	t.Cleanup(func() { unix.Close(int(fd)) })
	return int(fd)
}

func (l *lab) filterNames() []string {
	l.Helper()
	filters, err := l.ListClsact()
	if err != nil {
		l.Fatal(err)
	}
	var names []string
	for _, f := range filters {
		names = append(names, f.Name)
	}
	return names
}

func TestClsact(t *testing.T) {
	l := newLab(t)
	index := l.bridge(bridgeSpec()).Index
	prog := loadNext(t)
	attach := func(ingress bool, name string) {
		t.Helper()
		if err := l.AttachClsact(index, ingress, prog, name, 50); err != nil {
			t.Fatal(err)
		}
	}
	detach := func(ingress bool, name string) {
		t.Helper()
		if err := l.DetachClsact(index, ingress, name, 50); err != nil {
			t.Fatal(err)
		}
	}
	attach(true, "vw_from_uplink")
	attach(false, "vw_to_uplink")
	attach(true, "vw_from_uplink")
	if got := l.filterNames(); !slices.Equal(got, []string{"vw_from_uplink", "vw_to_uplink"}) {
		t.Errorf("attached are %v", got)
	}
	l.want(l.host, "tc filter show dev "+bridgeName+" ingress", "pref 50 bpf", "handle 0x1 vw_from_uplink direct-action")

	// Somebody else's filter stays, is not counted as ours, and keeps the qdisc.
	l.run(l.host, "tc filter add dev "+bridgeName+" ingress pref 60 protocol all u32 match u32 0 0")
	if err := l.AttachClsact(index, true, prog, "vw_other", 60); !errors.Is(err, ErrForeign) {
		t.Errorf("a priority that is taken: %v", err)
	}
	detach(false, "vw_to_uplink")
	detach(true, "vw_from_uplink")
	detach(true, "vw_from_uplink")
	if got := l.filterNames(); len(got) != 0 {
		t.Errorf("left are %v", got)
	}
	l.want(l.host, "tc qdisc show dev "+bridgeName, "clsact")
	l.run(l.host, "tc filter del dev "+bridgeName+" ingress pref 60")
	attach(true, "vw_from_uplink")
	detach(true, "vw_from_uplink")
	l.wantNone(l.host, "tc qdisc show dev "+bridgeName, "clsact")

	// A qdisc that was there before stays.
	l.run(l.host, "tc qdisc add dev "+bridgeName+" clsact")
	attach(false, "vw_to_uplink")
	detach(false, "vw_to_uplink")
	l.want(l.host, "tc qdisc show dev "+bridgeName, "clsact")
	if err := l.AttachClsact(index, true, prog, "foreign", 50); err == nil {
		t.Error("a filter without our prefix was attached")
	}
	if err := l.DetachClsact(99, true, "vw_from_uplink", 50); err != nil {
		t.Errorf("detach from an interface that is gone: %v", err)
	}
}

// TestClsactRemembersItsQdiscs: another process, after a restart, still tells the qdiscs that we made from those of others.
func TestClsactRemembersItsQdiscs(t *testing.T) {
	behaviour.Covers(t, "R11", "-")
	behaviour.NeedRoot(t)
	host, dir, prog := newNamespace(t, "host"), t.TempDir(), loadNext(t)
	for _, dev := range []string{"ours", "theirs", "joined"} {
		addBridge(t, host, dev)
	}
	start := func() *lab {
		links, err := New(Config{Namespace: host.Path(), StateDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return &lab{T: t, host: host, Links: links}
	}
	end := func(l *lab) {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	l := start()
	l.run(host, "tc qdisc add dev theirs clsact")
	for _, dev := range []string{"ours", "theirs", "joined"} {
		if err := l.AttachClsact(index(l, dev), true, prog, "vw_from_uplink", 50); err != nil {
			t.Fatal(err)
		}
	}
	end(l)

	l = start()
	l.run(host, "tc filter add dev joined egress pref 60 protocol all u32 match u32 0 0")
	for _, dev := range []string{"ours", "theirs", "joined"} {
		if err := l.DetachClsact(index(l, dev), true, "vw_from_uplink", 50); err != nil {
			t.Fatal(err)
		}
	}
	l.wantNone(host, "tc qdisc show dev ours", "clsact")
	l.want(host, "tc qdisc show dev theirs", "clsact")
	l.want(host, "tc qdisc show dev joined", "clsact")
	end(l)

	// Who used ours beside us is gone: uninstalling removes it. What never was ours stays even then.
	l = start()
	l.run(host, "tc filter del dev joined egress pref 60")
	if err := l.RemoveAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.wantNone(host, "tc qdisc show dev joined", "clsact")
	l.want(host, "tc qdisc show dev theirs", "clsact")
	end(l)
}

// TestClsactForgetsOtherTimes: interface numbers of another boot or namespace, and a damaged file, say nothing.
func TestClsactForgetsOtherTimes(t *testing.T) {
	behaviour.NeedRoot(t)
	host := newNamespace(t, "host")
	addBridge(t, host, "theirs")
	boot, err := os.ReadFile(bootIDPath)
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(string(boot))
	for name, record := range map[string]string{
		"boot":      fmt.Sprintf(`{"Boot":"another","Netns":%d,"Interfaces":[1,2]}`, host.Cookie()),
		"namespace": fmt.Sprintf(`{"Boot":%q,"Netns":%d,"Interfaces":[1,2]}`, id, host.Cookie()+1),
		"gone":      fmt.Sprintf(`{"Boot":%q,"Netns":%d,"Interfaces":[77]}`, id, host.Cookie()),
		"damaged":   "{",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, QdiscFile), []byte(record), 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := New(Config{Namespace: host.Path(), StateDir: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if len(l.qdiscs.made) != 0 {
				t.Errorf("it takes %v for ours", l.qdiscs.made)
			}
		})
	}
}

func addBridge(t *testing.T, ns *netlab.Namespace, name string) {
	t.Helper()
	if out, err := ns.Run(t.Context(), "ip", "link", "add", name, "type", "bridge"); err != nil {
		t.Fatal(err, out)
	}
}

func index(l *lab, dev string) int {
	l.Helper()
	link, err := l.h.LinkByName(dev)
	if err != nil {
		l.Fatal(err)
	}
	return link.Attrs().Index
}
