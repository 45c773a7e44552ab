// SPDX-License-Identifier: Apache-2.0

package packet

import "testing"

// conversation is a session whose four packets are known: asked and answered,
// each before and after its translation.
type conversation struct {
	name                               string
	asked, delivered, answer, answered packet
	from, to                           string // containers; empty: the outside
}

// conversations opens one session of each kind.
func (f family) conversations(t *testing.T, proto byte) []conversation {
	t.Helper()
	all := f.conversationsOf(proto)
	for _, c := range all {
		s := step{prog: f.FromUplink, in: c.asked, ctx: f.atUplink("eth0"), verdict: redirect, out: &c.delivered, flows: 2}
		if c.from != "" {
			s.prog, s.ctx = f.FromContainer, f.at(c.from)
		}
		f.run(t, c.name, s)
		s = step{prog: f.FromUplink, in: c.answer, ctx: f.atUplink("eth0"), verdict: redirect, out: &c.answered}
		if c.to != "" {
			s.prog, s.ctx = f.FromContainer, f.at(c.to)
		}
		f.run(t, c.name+", answer", s)
	}
	return all
}

func (f family) conversationsOf(proto byte) []conversation {
	all := []conversation{f.masqueraded(proto), f.routedOut(proto)}
	if proto == f.icmpProto() {
		return all
	}
	all = append(all, f.published(proto))
	for _, from := range []string{"c2", "d1", "c1"} {
		all = append(all, f.hairpinned(proto, from))
	}
	return all
}

func (f family) masqueraded(proto byte) conversation {
	c := conversation{name: "masquerade", asked: f.from("c1", f.remote(), 5000, 443), from: "c1"}
	c.asked.proto = proto
	if proto == f.icmpProto() {
		c.asked = f.ping(c.asked, 5000)
	}
	c.delivered = c.asked
	c.delivered.src = f.host()
	c.delivered = *outOf(c.delivered)
	c.answer = f.arriving("eth0", c.delivered.answer())
	c.answered = c.answer
	c.answered.dst = c.asked.src
	c.answered = *f.into("c1", c.answered)
	return c
}

// routedOut is what a network without masquerade says to the outside.
func (f family) routedOut(proto byte) conversation {
	c := conversation{name: "no masquerade", asked: f.from("p1", f.remote(), 5000, 443), from: "p1"}
	c.asked.proto = proto
	if proto == f.icmpProto() {
		c.asked = f.ping(c.asked, 5000)
	}
	c.delivered = *outOf(c.asked)
	c.answer = f.arriving("eth0", c.delivered.answer())
	c.answered = *f.into("p1", c.answer)
	return c
}

// publishedPorts are c1's published port and its own. SCTP keeps its port: its
// checksum covers it.
func publishedPorts(proto byte) (port, target uint16) {
	if proto == sctp {
		return sctpPort, sctpPort
	}
	return 8080, 80
}

func (f family) published(proto byte) conversation {
	port, target := publishedPorts(proto)
	c := conversation{name: "published", asked: f.inbound("eth0", f.remote(), f.host(), 40000, port), to: "c1"}
	c.asked.proto = proto
	c.delivered = c.asked
	c.delivered.dst, c.delivered.dport = f.container("c1"), target
	c.delivered = *f.into("c1", c.delivered)
	c.answer = c.delivered.answer()
	c.answered = c.answer
	c.answered.src, c.answered.sport = f.host(), port
	c.answered = *outOf(c.answered)
	return c
}

func (f family) hairpinned(proto byte, from string) conversation {
	port, target := publishedPorts(proto)
	c := conversation{name: "hairpin from " + from, asked: f.from(from, f.host(), 6000, port), from: from, to: "c1"}
	c.asked.proto = proto
	c.delivered = c.asked
	c.delivered.dst, c.delivered.dport = f.container("c1"), target
	if from == "c1" {
		c.delivered.src = f.gateway("c1")
	}
	c.delivered = *f.into("c1", c.delivered)
	c.answer = c.delivered.answer()
	c.answered = c.answer
	c.answered.src, c.answered.sport, c.answered.dst = f.host(), port, c.asked.src
	c.answered = *f.into(from, c.answered)
	return c
}
