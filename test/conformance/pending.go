// SPDX-License-Identifier: Apache-2.0

package conformance

// Pending is a case that vethway does not pass yet. One that passes is an error: the table only ever shrinks.
type Pending struct {
	Case   string // "N01 udp to several destinations"
	Family string // "ipv4", "ipv6"; empty: both
	Why    string
}

func (p Pending) families() []string {
	if p.Family != "" {
		return []string{p.Family}
	}
	return []string{"ipv4", "ipv6"}
}

// Why cases are pending.
const (
	noOrder    = "fragments that come before the first one are dropped"
	noInTooBig = "an uplink does not forward, so nobody answers"
	noInTTL    = noInTooBig
	noExtQuote = "a quoted packet with extension headers is not looked into"
)

// pending is the table.
func pending() []Pending {
	return []Pending{
		{"N04 udp from outside does not refresh", "", "every packet refreshes"},
		{"N09 ping answer too big for the container", "", noInTooBig},
		{"N09 tcp answer too big for the container", "", noInTooBig},
		{"N09 udp answer too big for the container", "", noInTooBig},
		{"N09 udp to a published port, too big for the container", "", noInTooBig},
		{"N09 udp too big for the container without DF is fragmented", "ipv4", noInTooBig},
		{"N10 ping answer, last first", "", noOrder},
		{"N10 ping answer, middle first", "", noOrder},
		{"N10 ping out, last first", "", noOrder},
		{"N10 ping out, middle first", "", noOrder},
		{"N10 udp answer, last first", "", noOrder},
		{"N10 udp answer, middle first", "", noOrder},
		{"N10 udp out, last first", "", noOrder},
		{"N10 udp out, middle first", "", noOrder},
		{"N10 udp to a published port, last first", "", noOrder},
		{"N10 udp to a published port, middle first", "", noOrder},
		{"N13 about ping from outside, quoting IP options and 8 bytes of it", "ipv6", noExtQuote},
		{"N13 about ping from outside, quoting IP options and all of it", "ipv6", noExtQuote},
		{"N13 about tcp from outside, quoting IP options and 8 bytes of it", "ipv6", noExtQuote},
		{"N13 about tcp from outside, quoting IP options and all of it", "ipv6", noExtQuote},
		{"N13 about udp from outside, quoting IP options and 8 bytes of it", "ipv6", noExtQuote},
		{"N13 about udp from outside, quoting IP options and all of it", "ipv6", noExtQuote},
		{"N13 of the host about TTL 1 to a published port", "", noInTTL},
		{"N16 another container does not get a freed port of tcp", "", "tcp has no bindings that could rest"},
		{"N17 data after an RST revives", "", "flags are never forgotten"},
		{"N17 one FIN leaves the session as it is", "", "the first FIN ends it"},
		{"N19 time exceeded for TTL 1 to a published port of another network", "", "it is dropped without a word"},
		{"N22 made-up trace 0", "", "fragments out of order, and TTL 1 from outside"},
		{"N22 made-up trace 1", "", "fragments out of order, and TTL 1 from outside"},
		{"N22 made-up trace 2", "", "fragments out of order, and TTL 1 from outside"},
		{"N22 made-up trace 3", "", "fragments out of order, and TTL 1 from outside"},
	}
}
