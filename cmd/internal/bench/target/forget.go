// SPDX-License-Identifier: Apache-2.0

package target

import (
	"context"
	"fmt"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/rivals"
)

// Forget has the target forget all flows, so that flows which follow are new ones although they may look like old ones.
func (h *hosted) Forget(ctx context.Context) error {
	inner := h.target
	if big, ok := inner.(*rivals.BigTCP); ok {
		inner = big.Target
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
