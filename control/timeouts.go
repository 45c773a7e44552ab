// SPDX-License-Identifier: Apache-2.0

package control

import (
	"strconv"
	"time"

	"github.com/vethway/vethway/control/api"
)

// Timeouts say how long a flow may be idle before it is forgotten.
type Timeouts struct {
	TCPEstablished time.Duration
	TCPTransitory  time.Duration // before it is established, and after FIN or RST
	UDP            time.Duration // while nobody has answered
	UDPStream      time.Duration // once somebody has
	ICMP           time.Duration
	// PortRest is how long an external port stays with whom it was given to after the last flow; 0: not at all.
	PortRest time.Duration
	// InboundRefresh has what arrives keep a masqueraded flow as well; otherwise only what the container sends does.
	InboundRefresh bool
}

// DefaultTimeouts are the RFCs' least or recommended times.
func DefaultTimeouts() Timeouts {
	var t Timeouts
	for _, timer := range Timers() {
		*timer.Of(&t) = timer.Default
	}
	return t
}

// Timer is one of the Timeouts, as users name it.
type Timer struct {
	Name    string // as a flag: "udp-timeout"; as a network option: api.OptionTimeout + "udp"
	Usage   string
	Default time.Duration
	Least   time.Duration // by Rule
	Rule    string        // the requirement that asks for it; empty: none does
	Of      func(*Timeouts) *time.Duration
}

// Timers lists all of them.
func Timers() []Timer {
	return []Timer{
		{
			"tcp-established", "how long an established TCP connection may be idle", 7440 * time.Second, 7440 * time.Second,
			"RFC 5382 REQ-5", func(t *Timeouts) *time.Duration { return &t.TCPEstablished },
		},
		{
			"tcp-transitory", "how long a TCP connection that is being opened or closed may be idle", 240 * time.Second, 240 * time.Second,
			"RFC 5382 REQ-5", func(t *Timeouts) *time.Duration { return &t.TCPTransitory },
		},
		{
			"udp", "how long UDP that nobody has answered may be idle", 120 * time.Second, 120 * time.Second,
			"RFC 4787 REQ-5", func(t *Timeouts) *time.Duration { return &t.UDP },
		},
		{
			"udp-stream", "how long UDP that somebody has answered may be idle", 300 * time.Second, 120 * time.Second,
			"RFC 4787 REQ-5", func(t *Timeouts) *time.Duration { return &t.UDPStream },
		},
		{
			"icmp", "how long a ping may be idle", 60 * time.Second, 60 * time.Second,
			"RFC 5508 REQ-2", func(t *Timeouts) *time.Duration { return &t.ICMP },
		},
		{
			PortRest, "how long a source port rests before another container gets it; 0: not at all", 120 * time.Second, 0,
			"", func(t *Timeouts) *time.Duration { return &t.PortRest },
		},
	}
}

// PortRest is the name of the timer that is no timeout of a flow.
const PortRest = "port-rest"

// longestTimeout is beyond what anybody waits for; the packet programs' clock wraps around after 136 years.
const longestTimeout = 365 * 24 * time.Hour

// Parse reads a time: 300s, 5m, or a number of seconds. It fails with ErrInvalidArgument, also if it is shorter than the
// RFC that Rule names allows and allowShort is not set.
func (t Timer) Parse(s string, allowShort bool) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if seconds, notNumber := strconv.ParseInt(s, 10, 32); notNumber == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil {
		return 0, api.Errorf(api.InvalidArgument, "%q is not a time", s).WithHint("such as 300s or 5m")
	}
	switch {
	case d%time.Second != 0:
		return 0, api.Errorf(api.InvalidArgument, "%s is not a number of whole seconds", d)
	case d == 0 && t.Name == PortRest:
		return 0, nil
	case d <= 0:
		return 0, api.Errorf(api.InvalidArgument, "%s is too short for anything", d)
	case d > longestTimeout:
		return 0, api.Errorf(api.InvalidArgument, "%s is longer than a year", d)
	case d < t.Least && !allowShort:
		return 0, api.Errorf(api.InvalidArgument, "%s is below the %s that %s asks for", d, t.Least, t.Rule).
			WithHint("vethwayd --allow-short-timeouts, if you know what depends on it")
	}
	return d, nil
}
