// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// nftRule is what nft lists of one rule.
type nftRule struct {
	Chain   string
	Comment string
	Expr    []map[string]json.RawMessage
}

// nftRules lists the rules of a table or a chain, or of all tables of a family:
// of these alone does nft not read the maps, which may be long.
func (s *site) nftRules(ctx context.Context, what ...string) ([]nftRule, error) {
	out, err := s.topo.Host.Run(ctx, "nft", append([]string{"--json", "--terse", "list"}, what...)...)
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
	rules, err := t.nftRules(ctx, "ruleset", "inet")
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
// they were met. Without proxies and sockets there may be any number of ports,
// and listing their rules takes minutes: then "dnat" is what was sent to look
// for its port, and as nothing else has that, what finds no rule gets nowhere.
func (t *Linear) Counters(ctx context.Context) (Counters, error) {
	c := Counters{}
	for _, f := range []Family{IPv4, IPv6} {
		rules, err := t.rules(ctx, f)
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
		if t.held.proxy.RulesOnly {
			c[by(f, "dnat")] = c[by(f, "local")]
		}
	}
	return c, t.count(c, &t.held)
}

// rules lists the rules of a family, or those of them that are few.
func (t *Linear) rules(ctx context.Context, f Family) ([]nftRule, error) {
	table := []string{nftKeyword(f), "docker-bridges"}
	if !t.held.proxy.RulesOnly {
		return t.nftRules(ctx, append([]string{"table"}, table...)...)
	}
	chains := []string{"nat-PREROUTING", "nat-OUTPUT"}
	for _, n := range t.networks(f) {
		chains = append(chains, "nat-postrouting-out__"+bridgeName(n), "filter-forward-out__"+bridgeName(n))
	}
	var all []nftRule
	for _, chain := range chains {
		rules, err := t.nftRules(ctx, append(append([]string{"chain"}, table...), chain)...)
		if err != nil {
			return nil, err
		}
		all = append(all, rules...)
	}
	return all, nil
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
		c[by(f, "local")] += n
	case r.Chain == "nat-PREROUTING":
		c[by(f, "local")] += n
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
	e, err := dockerEvidence(w, f, t.held.proxy, "forward", "icc")
	if t.held.proxy.RulesOnly {
		// These rules are in the chains of the ports.
		few := func(name string) bool { return name == by(f, "forward") || name == by(f, "icc") }
		e.moved = slices.DeleteFunc(e.moved, few)
	}
	return e, err
}
