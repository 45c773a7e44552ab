// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"testing"

	"github.com/vethway/vethway/bpf"
)

// A container's packet leaves with the host's address, and the answer finds
// back, for each protocol.
func TestMasquerade(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D10")
		base := f.from("c1", f.remote(), 5000, 80)
		asUDP := base
		asUDP.proto = udp
		for name, out := range map[string]packet{"tcp": base, "udp": asUDP, "ping": f.ping(base, 5000)} {
			f.clear(t)
			sent := out
			sent.src = f.host()
			f.run(t, name+" first", step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2})
			flow := f.flow(t, out)
			if flow.Kind != bpf.VethwayFlowKindFLOW_MASQUERADE || flow.Action != bpf.VethwayFlowActionFLOW_TO_UPLINK ||
				flow.Oif != f.uplinks["eth0"].ifindex || fromAddr(flow.NextHop) != f.remote() {
				t.Errorf("%s: flow\n%s", name, f.describe(t))
			}

			answer := f.arriving("eth0", sent.answer())
			back := answer
			back.dst = out.src
			f.run(t, name+" answer", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("c1", back)})

			out.flags, sent.flags = ack, ack
			f.run(t, name+" again", step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent)})
		}
	})
}
