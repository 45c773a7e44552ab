// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
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
