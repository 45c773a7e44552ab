// SPDX-License-Identifier: Apache-2.0

package target

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/rivals"
)

// Forget has the target forget all flows, so that flows which follow are new ones although they may look like old ones.
func (h *hosted) Forget(ctx context.Context) error {
	inner := h.target
	if big, ok := inner.(*rivals.BigTCP); ok {
		inner = big.Target
	}
	if least, ok := inner.(*rivals.LeastNAT); ok {
		if err := least.Forget(); err != nil {
			return fmt.Errorf("flush the flows of %s: %w", h.name, err)
		}
		return nil
	}
	if v, ok := inner.(*rivals.Vethway); ok {
		if _, err := v.Lab().Client.FlushFlows(ctx, api.FlowFilter{}); err != nil {
			return fmt.Errorf("flush the flows of %s: %w", h.name, err)
		}
		return nil
	}
	if err := h.topo.Host.FlushConntrack(); err != nil {
		return fmt.Errorf("flush the flows of %s: %w", h.name, err)
	}
	return nil
}

// unanswered is how long vethway keeps a flow of UDP that nobody has answered.
const unanswered = 120 * time.Second

// Linger tells connection tracking, which would forget such flows after 30 s.
func (h *hosted) Linger() error {
	err := h.topo.Host.SetSysctl("net.netfilter.nf_conntrack_udp_timeout", fmt.Sprint(unanswered.Seconds()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // who has no connection tracking forgets nothing
	}
	return err
}

// Flows counts what vethway has in its table, and connection tracking in its own.
func (h *hosted) Flows(ctx context.Context) (int, bool, error) {
	if v, ok := h.target.(*rivals.Vethway); ok {
		s, err := v.Lab().Client.FlowStats(ctx)
		return s.Flows.Entries / 2, true, err
	}
	if least, ok := h.target.(*rivals.LeastNAT); ok {
		n, err := least.Flows()
		return n, true, err
	}
	if h.manner == routes {
		return 0, false, nil
	}
	text, err := h.topo.Host.Sysctl("net.netfilter.nf_conntrack_count")
	if err != nil {
		return 0, false, fmt.Errorf("count the flows of %s: %w", h.name, err)
	}
	n, err := strconv.Atoi(text)
	return n, true, err
}
