// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/rivals"
)

// difference is one that is meant.
type difference struct {
	reason string
	is     func(q question, docker, ours string) bool
}

// allowed lists them all.
func allowed() []difference {
	return []difference{
		{
			"Docker masquerades what leaves a network by another interface, the bridge of the publisher's included: the server sees its " +
				"own gateway in place of the client. Here it sees the client (D06).",
			func(q question, docker, ours string) bool {
				return q.from == "d1" && q.port == published && docker == "c1 sees gateway1" && ours == "c1 sees d1"
			},
		},
		{
			"Without its userland proxy Docker does not serve [::1], which cannot be routed off the host. Here it is served without a " +
				"packet ever having that address (D03).",
			func(q question, docker, ours string) bool {
				return q.from == "H" && q.to == "loopback" && q.port == published && q.family == rivals.IPv6 &&
					docker == "times out" && ours == "c1 sees gateway1"
			},
		},
		{
			"Docker leaves it to the host whether its services, and its ping, answer outside by a gateway's address, for whoever has a " +
				"route there. Here no private address is ever on the wire of a masqueraded network (N21), so that nobody but containers " +
				"and the host itself speaks with a gateway; a published port is reached by it all the same.",
			func(q question, docker, ours string) bool {
				return q.from == "R" && (q.to == "gateway1" || q.to == "gateway2") && q.port != published && ours == "times out"
			},
		},
		{
			"Docker's masquerade takes a gateway's address for a container's even in what the host says to itself over lo: its service sees " +
				"the uplink's address. Here nobody touches what the host says to itself.",
			func(q question, docker, ours string) bool {
				return q.from == "H" && q.port == service && docker == "H sees H" && ours == "H sees "+q.to
			},
		},
	}
}

func TestParity(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "iptables-nft", "ip6tables-nft", "nsenter")
	for _, id := range []string{"D01", "D02", "D03", "D04", "D05", "D06", "D07", "D08", "D09", "D10", "D11"} {
		behaviour.Covers(t, id, behaviour.Both)
	}
	docker, err := rivals.NewIptables(rivals.IptablesConfig{Backend: rivals.NFT})
	if err != nil {
		t.Fatal(err)
	}
	ours, err := rivals.NewVethway(rivals.VethwayConfig{})
	if err != nil {
		t.Fatal(err)
	}
	targets := []rivals.Target{docker, ours}
	answers := make([][]string, len(targets))
	asked := questions()
	t.Run("ask", func(t *testing.T) {
		for i, target := range targets {
			t.Run(target.Name(), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, target)
				for _, q := range asked {
					answers[i] = append(answers[i], answer(t.Context(), s, q))
				}
				proof, err := target.Proof(t.Context())
				if err != nil {
					t.Error(err)
				}
				t.Log(proof)
			})
		}
	})
	if t.Failed() {
		return
	}
	compare(t, asked, answers[0], answers[1])
}

// compare fails for each difference that is not allowed, and for each allowed one that does not occur. It prints the table.
func compare(t *testing.T, asked []question, docker, ours []string) {
	t.Helper()
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "QUESTION\tIPTABLES\tVETHWAY\t")
	used := make([]int, len(allowed()))
	for i, q := range asked {
		verdict := "same"
		if docker[i] != ours[i] {
			verdict = "DIFFERENT"
			for n, d := range allowed() {
				if d.is(q, docker[i], ours[i]) {
					verdict = fmt.Sprintf("difference %d", n+1)
					used[n]++
				}
			}
			if verdict == "DIFFERENT" {
				t.Errorf("%s: iptables: %s; vethway: %s", q, docker[i], ours[i])
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", q, docker[i], ours[i], verdict)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for n, d := range allowed() {
		fmt.Fprintf(&table, "difference %d: %s\n", n+1, d.reason)
		if used[n] == 0 {
			t.Errorf("difference %d does not occur any more: %s", n+1, d.reason)
		}
	}
	t.Logf("\n%s", table.String())
}
