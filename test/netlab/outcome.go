// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Outcome is how an attempt to reach something ended.
type Outcome string

// The outcomes that tests tell apart.
const (
	OK          Outcome = "ok"
	Refused     Outcome = "refused"     // RST, or ICMP port unreachable
	TimesOut    Outcome = "times out"   // silence
	Unreachable Outcome = "unreachable" // ICMP, no route, no neighbour
	Prohibited  Outcome = "prohibited"  // ICMP administratively prohibited, or EPERM
	Reset       Outcome = "reset"       // RST on an established connection
	InUse       Outcome = "in use"      // bind refused
	Failed      Outcome = "failed"      // anything else
)

// Classify tells how a probe ended from the error that it returned.
func Classify(err error) Outcome {
	var timeout net.Error
	switch {
	case err == nil:
		return OK
	case errors.Is(err, unix.ECONNREFUSED):
		return Refused
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return Reset
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
		return Unreachable
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return Prohibited
	case errors.Is(err, unix.EADDRINUSE):
		return InUse
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, unix.ETIMEDOUT),
		errors.As(err, &timeout) && timeout.Timeout():
		return TimesOut
	default:
		return Failed
	}
}

// Try asks a whoami server and tells how it ended. Silence counts as TimesOut
// after timeout, so keep it short where silence is expected.
func Try(ctx context.Context, ns *Namespace, network string, addr netip.AddrPort, timeout time.Duration) Outcome {
	_, err := WhoAmI(ctx, ns, network, addr, WhoAmIOptions{Timeout: timeout})
	return Classify(err)
}
