// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Counters reads the packet counters of the rules that translate and forward:
// those of nat count flows. The rules of single ports are told apart as far as
// they were met. Without proxies and sockets there may be any number of ports,
// and listing their rules takes minutes: then "dnat" is what was sent to look
// for its port, and as nothing else has that, what finds no rule gets nowhere.
func (t *Iptables) Counters(ctx context.Context) (Counters, error) {
	c := Counters{}
	for _, f := range []Family{IPv4, IPv6} {
		rules, err := t.saved(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("read counters of %s: %w", t.Name(), err)
		}
		for line := range strings.Lines(rules) {
			countSaved(c, f, line)
		}
		if t.cfg.UserlandProxy.RulesOnly {
			c[by(f, "dnat")] = c[by(f, "local")]
		}
	}
	for name := range t.containers {
		l, err := t.topo.Host.Link(vethName(name))
		if err != nil {
			return nil, fmt.Errorf("read counters of %s: %w", t.Name(), err)
		}
		c["delivered"] += l.TxPackets
	}
	return c, t.count(c, &t.held)
}

// saved lists rules with their counters.
func (t *Iptables) saved(ctx context.Context, f Family) (string, error) {
	if !t.cfg.UserlandProxy.RulesOnly {
		return t.topo.Host.Run(ctx, t.binary(f, "-save"), "-c")
	}
	var all strings.Builder
	for _, chain := range [][2]string{{"nat", "PREROUTING"}, {"nat", "OUTPUT"}, {"nat", "POSTROUTING"}, {"filter", "FORWARD"}} {
		rules, err := t.topo.Host.Run(ctx, t.binary(f, ""), "-w", "-t", chain[0], "-v", "-S", chain[1])
		if err != nil {
			return "", err
		}
		all.WriteString(rules)
	}
	return all.String(), nil
}

// countSaved takes in one line of iptables-save -c, "[packets:bytes] -A ...", or
// of iptables -v -S, "-A ... -c packets bytes -j ...".
func countSaved(c Counters, f Family, line string) {
	rule := strings.TrimSpace(line)
	packets := word(rule, "-c")
	if count, rest, found := strings.Cut(strings.TrimPrefix(rule, "["), "] "); found {
		packets, _, _ = strings.Cut(count, ":")
		rule = rest
	} else {
		rule = strings.Replace(rule, " -c "+packets+" "+word(rule, packets), "", 1)
	}
	n, err := strconv.ParseUint(packets, 10, 64)
	if err != nil || n == 0 {
		return
	}
	switch {
	case strings.Contains(rule, "-j DNAT"):
		c[by(f, "dnat")] += n
		c[by(f, "dnat "+word(rule, "--dport")+"/"+word(rule, "-p"))] += n
	case strings.Contains(rule, "-j MASQUERADE"):
		c[by(f, "masquerade")] += n
	case strings.HasPrefix(rule, "-A FORWARD -j DOCKER-FORWARD"):
		c[by(f, "forward")] += n
	case strings.HasPrefix(rule, "-A OUTPUT"):
		c[by(f, "output")] += n
		c[by(f, "local")] += n
	case strings.HasPrefix(rule, "-A PREROUTING") && strings.Contains(rule, "-j DOCKER"):
		c[by(f, "local")] += n
	}
}

// word is what follows a flag.
func word(rule, flag string) string {
	_, rest, _ := strings.Cut(rule, " "+flag+" ")
	value, _, _ := strings.Cut(rest, " ")
	return value
}

// Proof tells what the rules have counted.
func (t *Iptables) Proof(ctx context.Context) (string, error) {
	return proof(ctx, t, by(IPv4, "dnat"), by(IPv4, "masquerade"), by(IPv4, "forward"),
		by(IPv6, "dnat"), by(IPv6, "masquerade"), by(IPv6, "forward"))
}

func (t *Iptables) evidence(w Way, f Family) (evidence, error) {
	if w == Inside && t.cfg.PlainBridge {
		return evidence{moved: []string{"delivered"}, still: []string{by(f, "forward"), by(f, "dnat"), by(f, "masquerade"), "accepted"}}, nil
	}
	return dockerEvidence(w, f, t.cfg.UserlandProxy, "forward", "forward")
}

// dockerEvidence is what the rules of Docker must show, whichever backend made
// them. Two counters have other names in each: that of whatever is forwarded,
// and that of whatever goes from one port of a bridge to another.
func dockerEvidence(w Way, f Family, proxy UserlandProxy, forward, bridged string) (evidence, error) {
	dnat, masquerade, output := by(f, "dnat"), by(f, "masquerade"), by(f, "output")
	forward, bridged = by(f, forward), by(f, bridged)
	e := evidence{some: []string{"tracked"}, still: []string{"accepted"}}
	switch w {
	case Way(FromRemote):
		e.moved, e.still = []string{dnat, forward}, append(e.still, masquerade)
	case Way(FromHost):
		e.moved = []string{dnat, output}
		if proxy.On {
			e.still = append(e.still, masquerade)
		}
	case Way(FromOther):
		e.moved = []string{dnat, forward, masquerade}
	case Way(FromLoopback), Way(FromNeighbour), Way(FromSelf):
		switch {
		case proxy.On:
			e.moved, e.still = []string{"proxied"}, []string{dnat}
		case w == Way(FromLoopback):
			e.moved = []string{dnat, output, masquerade}
		case w == Way(FromSelf):
			e.moved = []string{dnat, masquerade}
		default:
			e.moved = []string{dnat}
		}
	case Outward:
		e.moved, e.still = []string{masquerade, forward}, append(e.still, dnat)
	case Inside:
		e.moved, e.still = []string{bridged}, append(e.still, dnat, masquerade)
	default:
		return evidence{}, fmt.Errorf("unknown way %q", w)
	}
	return e, nil
}

// count adds what netfilter tracks, and what proxies do: what they have worked,
// and the TCP connections that the host has accepted, which are all theirs.
func (s *site) count(c Counters, h *held) (err error) {
	if c["tracked"], err = conntrackCount(s.topo.Host); err != nil {
		return err
	}
	snmp, err := s.topo.Host.ProcNet("snmp")
	if err != nil {
		return err
	}
	if c["accepted"], err = snmpValue(snmp, "Tcp:", "PassiveOpens"); err != nil {
		return err
	}
	c["proxied"], err = h.proxied()
	return err
}
