// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

// silence is how long an answer is waited for: long enough for a busy machine, as one that comes too late would count as none.
const silence = 400 * time.Millisecond

// question is one cell of the matrix.
type question struct {
	from     string // R, H or a container
	to       string // a role, see addresses
	port     uint16 // 0: a ping
	protocol string
	family   rivals.Family
}

func (q question) String() string {
	if q.port == 0 {
		return fmt.Sprintf("%s %s to %s/ping", q.family, q.from, q.to)
	}
	return fmt.Sprintf("%s %s to %s:%d/%s", q.family, q.from, q.to, q.port, q.protocol)
}

// addresses are the roles that an address can play, in one family.
func addresses(f rivals.Family) map[string]netip.Addr {
	texts := map[string]string{
		"R": "192.0.2.3", "H": "192.0.2.2", "loopback": "127.0.0.1", "gateway1": "172.30.1.1", "gateway2": "172.30.2.1",
		"c1": "172.30.1.2", "c2": "172.30.1.3", "d1": "172.30.2.2",
	}
	if f == rivals.IPv6 {
		texts = map[string]string{
			"R": "2001:db8:2::3", "H": "2001:db8:2::2", "loopback": "::1", "gateway1": "fd30:1::1", "gateway2": "fd30:2::1",
			"c1": "fd30:1::2", "c2": "fd30:1::3", "d1": "fd30:2::2",
		}
	}
	all := map[string]netip.Addr{}
	for role, text := range texts {
		all[role] = netip.MustParseAddr(text)
	}
	return all
}

// role is the reverse, for what a server saw.
func role(f rivals.Family, a netip.Addr) string {
	for name, addr := range addresses(f) {
		if addr == a {
			return name
		}
	}
	return a.String()
}

// The ports: published of c1; its own; one that nobody published; and the services of R and H.
const (
	published = 8080
	served    = 80
	closed    = 81
	service   = 9000
)

// questions is the whole matrix: who asks, whom, by which address.
func questions() []question {
	var all []question
	for _, f := range []rivals.Family{rivals.IPv4, rivals.IPv6} {
		for _, from := range []string{"R", "H", "c1", "c2", "d1"} {
			for _, q := range asked(from) {
				q.from, q.family = from, f
				if q.port == 0 {
					all = append(all, q)
					continue
				}
				for _, q.protocol = range []string{"tcp", "udp"} {
					all = append(all, q)
				}
			}
		}
	}
	return all
}

func asked(from string) []question {
	var all []question
	// The published port by every address of the host, and one that is not published.
	for _, to := range []string{"H", "gateway1", "gateway2"} {
		all = append(all, question{to: to, port: published}, question{to: to, port: published + 1})
	}
	for _, to := range []string{"gateway1", "gateway2"} {
		all = append(all, question{to: to, port: service}, question{to: to})
	}
	if from == "H" {
		all = append(all, question{to: "loopback", port: published}, question{to: "loopback", port: published + 1})
	}
	// Containers by their own addresses, and by ping.
	for _, to := range []string{"c1", "c2", "d1"} {
		if to == from {
			continue
		}
		all = append(all, question{to: to, port: served}, question{to: to, port: closed}, question{to: to})
	}
	// The services of R and H, and by ping.
	for _, to := range []string{"R", "H"} {
		if to != from {
			all = append(all, question{to: to, port: service}, question{to: to})
		}
	}
	return all
}

// answer asks one question: "c1 sees R", "pong", or how it ended.
func answer(ctx context.Context, s *site, q question) string {
	to := addresses(q.family)[q.to]
	if q.port == 0 {
		_, err := netlab.Ping(ctx, s.at(q.from), to, netlab.PingOptions{ID: 1234, Timeout: silence})
		if err != nil {
			return string(netlab.Classify(err))
		}
		return "pong"
	}
	at := netip.AddrPortFrom(to, q.port)
	seen, err := netlab.WhoAmI(ctx, s.at(q.from), q.protocol, at, netlab.WhoAmIOptions{Timeout: silence})
	if err != nil {
		return string(netlab.Classify(err))
	}
	text := seen.Server + " sees " + role(q.family, seen.Peer.Addr())
	if seen.ClientPeer != at {
		text += ", client told " + seen.ClientPeer.String()
	}
	return text
}
