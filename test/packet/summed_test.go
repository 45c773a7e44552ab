// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"testing"

	"github.com/cilium/ebpf"
)

// BPF_F_TEST_SKB_CHECKSUM_COMPLETE (6.12): the packet comes with the sum that a
// device has made of it, and the kernel compares it with the packet afterwards.
const testChecksumComplete = 1 << 2

// A packet is translated the same, whatever the kernel knows of its checksum
// and whoever corrects it; and what the kernel knows stays true.
func TestChecksumKnowledge(t *testing.T) {
	for name, k := range map[string]knobs{"by the program": {}, "by the helper": {helperChecksums: true}} {
		t.Run(name, func(t *testing.T) {
			eachFamily(t, k, func(t *testing.T, f family) {
				f.covers(t, "N13", "N20")
				for name, out := range f.translated() {
					f.clear(t)
					_, err := run(f.FromContainer, out.bytes(), f.at("c1"))
					check(t, err)
					sent := out
					sent.src, sent.sport = f.host(), wire(f.flow(t, out).N_sport)
					answer := f.arriving("eth0", sent.answer())
					back := answer
					back.dst, back.dport = out.src, out.sport
					for _, flags := range []uint32{0, testChecksumComplete} {
						if out.noSum && flags != 0 {
							continue // nobody will judge it
						}
						f.runWith(t, name, flags, step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent)})
						f.runWith(t, name+" answer", flags, step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: redirect,
							out: f.into("c1", back)})
					}
				}
			})
		})
	}
}

// translated is a packet of each protocol that has a checksum of its own.
func (f family) translated() map[string]packet {
	base := f.from("c1", f.remote(), 40000, 80)
	base.flags = ack
	asUDP := base
	asUDP.proto = udp
	packets := map[string]packet{"tcp": base, "udp": asUDP, "ping": f.ping(base, 40000)}
	if !f.six {
		asUDP.noSum = true
		packets["udp without checksum"] = asUDP
	}
	return packets
}

// runWith runs a step with flags of BPF_PROG_TEST_RUN.
func (f family) runWith(t *testing.T, name string, flags uint32, s step) {
	t.Helper()
	in := s.in.bytes()
	r, err := runOptions(s.prog, in, ebpf.RunOptions{Context: s.ctx, Flags: flags})
	if err != nil {
		t.Fatalf("%s, flags %d: %v", name, flags, err)
	}
	if r.verdict != s.verdict {
		t.Fatalf("%s, flags %d: verdict %s\n%s", name, flags, verdictName(r.verdict), f.describe(t))
	}
	f.compare(t, name, in, s, r)
}
