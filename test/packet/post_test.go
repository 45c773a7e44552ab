// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
)

// guardPost is a program that drops before others look: they are to judge alike.
type guardPost struct {
	name       string
	prog       *ebpf.Program
	hook       hook
	pass, drop uint32
	xdp        bool
}

func (w *world) guardPosts() []guardPost {
	return []guardPost{
		{name: "vw_xdp", prog: w.XDP, hook: bpf.VethwayHookHOOK_XDP, pass: 2, drop: 1, xdp: true},
		{name: "vw_xdp_generic", prog: w.XDPGeneric, hook: bpf.VethwayHookHOOK_XDP, pass: 2, drop: 1, xdp: true},
		{name: "vw_guard", prog: w.Guard, hook: bpf.VethwayHookHOOK_GUARD, pass: next, drop: drop},
	}
}

// send runs a packet through the guard; what runs before there is a buffer has no context.
func (post guardPost) send(in []byte, ctx skBuff) (result, error) {
	if !post.xdp {
		return run(post.prog, in, ctx)
	}
	return runOptions(post.prog, in, ebpf.RunOptions{})
}

// guardCase is a packet, and why it is dropped; zero: it is passed.
type guardCase struct {
	name   string
	in     packet
	raw    []byte
	reason reason
}

// watch runs a packet through each of the programs, and compares verdicts and counters.
func (f family) watch(t *testing.T, post guardPost, c guardCase) {
	t.Helper()
	in := c.raw
	if in == nil {
		in = c.in.bytes()
	}
	before := f.drops(t)
	r, err := post.send(in, f.atUplink("eth0"))
	check(t, err)
	verdict, want := post.pass, map[bpf.VethwayCounterKey]uint64{}
	if c.reason != 0 {
		verdict, want = post.drop, map[bpf.VethwayCounterKey]uint64{{Hook: post.hook, Reason: c.reason}: 1}
	}
	if r.verdict != verdict {
		t.Errorf("%s: %s: verdict %d, want %d", post.name, c.name, r.verdict, verdict)
	}
	if since := f.dropsSince(t, before); fmt.Sprint(since) != fmt.Sprint(want) {
		t.Errorf("%s: %s: counted the drops %v, want %v", post.name, c.name, since, want)
	}
	if verdict == post.pass && !slices.Equal(r.out, in) {
		t.Errorf("%s: %s: the packet was changed", post.name, c.name)
	}
}

// guard has the guards look for v until the test ends.
func (w *world) guard(t *testing.T, v bpf.VethwayGuardValue) {
	t.Helper()
	check(t, w.Guards.Put(uint32(0), v))
	t.Cleanup(func() { check(t, w.Guards.Put(uint32(0), bpf.VethwayGuardValue{})) })
}

func (w *world) deny(t testing.TB, p netip.Prefix) {
	t.Helper()
	check(t, w.Denied.Put(prefixKey(p), bpf.VethwayDeniedValue{}))
}
