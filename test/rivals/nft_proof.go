// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// nftRule is what nft lists of one rule.
type nftRule struct {
	Chain   string
	Comment string
	Expr    []map[string]json.RawMessage
}

// nftRules lists the rules of a table.
func (s *site) nftRules(ctx context.Context, family, table string) ([]nftRule, error) {
	out, err := s.topo.Host.Run(ctx, "nft", "--json", "list", "table", family, table)
	if err != nil {
		return nil, err
	}
	var doc struct{ Nftables []struct{ Rule *nftRule } }
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		return nil, fmt.Errorf("read nft's listing: %w", err)
	}
	var rules []nftRule
	for _, item := range doc.Nftables {
		if item.Rule != nil {
			rules = append(rules, *item.Rule)
		}
	}
	return rules, nil
}

// packets is the rule's counter; a rule without one counts nothing.
func (r nftRule) packets() (uint64, error) {
	var counter struct{ Packets uint64 }
	for _, expr := range r.Expr {
		if raw, ok := expr["counter"]; ok {
			if err := json.Unmarshal(raw, &counter); err != nil {
				return 0, fmt.Errorf("read nft's counter: %w", err)
			}
		}
	}
	return counter.Packets, nil
}

// port is the destination port that the rule asks for: "8080/tcp".
func (r nftRule) port() string {
	for _, expr := range r.Expr {
		var match struct {
			Left struct {
				Payload struct{ Protocol, Field string }
			}
			Right uint16
		}
		// Other matches have other shapes.
		if json.Unmarshal(expr["match"], &match) == nil && match.Left.Payload.Field == "dport" {
			return fmt.Sprintf("%d/%s", match.Right, match.Left.Payload.Protocol)
		}
	}
	return ""
}

// Counters reads the counters of rules by their comments. Those that translate
// count flows, and "dnat" and "between" as well.
func (t *Nftables) Counters(ctx context.Context) (Counters, error) {
	rules, err := t.nftRules(ctx, "inet", "rival")
	if err != nil {
		return nil, fmt.Errorf("read counters of %s: %w", t.Name(), err)
	}
	c := Counters{}
	for _, r := range rules {
		n, err := r.packets()
		if err != nil {
			return nil, err
		}
		c[r.Comment] += n
	}
	return c, t.count(c, &t.held)
}

// Proof tells what the rules have counted.
func (t *Nftables) Proof(ctx context.Context) (string, error) {
	return proof(ctx, t, "dnat", "masquerade", "between")
}

func (t *Nftables) evidence(w Way, f Family) (evidence, error) {
	lookup, output := by(f, "prerouting"), by(f, "output")
	// Nothing is wanted of "masquerade" where it should stand still: the host's
	// own multicast on its bridges is counted as well.
	e := evidence{some: []string{"tracked"}}
	switch w {
	case Way(FromRemote), Way(FromNeighbour):
		e.moved = []string{lookup, "dnat"}
	case Way(FromHost), Way(FromLoopback):
		e.moved = []string{output, "masquerade"}
	case Way(FromSelf), Way(FromOther):
		e.moved = []string{lookup, "dnat", "masquerade"}
	case Outward:
		e.moved, e.still = []string{"masquerade"}, []string{"dnat"}
	case Inside:
		e.moved, e.still = []string{"between"}, []string{"dnat"}
	default:
		return evidence{}, fmt.Errorf("unknown way %q", w)
	}
	return e, nil
}

// Counters reads the counters of the rules that translate, which count flows,
// and of those that forward. The rules of single ports are told apart as far as
// they were met.
func (t *Linear) Counters(ctx context.Context) (Counters, error) {
	c := Counters{}
	for _, f := range []Family{IPv4, IPv6} {
		rules, err := t.nftRules(ctx, nftKeyword(f), "docker-bridges")
		if err != nil {
			return nil, fmt.Errorf("read counters of %s: %w", t.Name(), err)
		}
		for _, r := range rules {
			n, err := r.packets()
			if err != nil {
				return nil, err
			}
			if n > 0 {
				r.countLinear(c, f, n)
			}
		}
	}
	return c, t.count(c, &t.held)
}

func (r nftRule) countLinear(c Counters, f Family, n uint64) {
	switch {
	case r.Comment == "DNAT":
		c[by(f, "dnat")] += n
		c[by(f, "dnat "+r.port())] += n
	case strings.HasPrefix(r.Comment, "MASQ"):
		c[by(f, "masquerade")] += n
	case r.Comment == "ICC":
		c[by(f, "icc")] += n
	case r.Chain == "nat-OUTPUT":
		c[by(f, "output")] += n
	case strings.HasPrefix(r.Chain, "filter-forward-"):
		c[by(f, "forward")] += n
	}
}

// Proof tells what the rules have counted.
func (t *Linear) Proof(ctx context.Context) (string, error) {
	return proof(ctx, t, by(IPv4, "dnat"), by(IPv4, "masquerade"), by(IPv4, "icc"),
		by(IPv6, "dnat"), by(IPv6, "masquerade"), by(IPv6, "icc"))
}

func (t *Linear) evidence(w Way, f Family) (evidence, error) {
	return dockerEvidence(w, f, t.held.proxy, "forward", "icc")
}
