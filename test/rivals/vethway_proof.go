// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/vethway/vethway/control/api"
)

// Counters reads the packets at the containers' interfaces ("carried"), those
// that the host's stack received from its bridges ("stack"), the flows that are
// known now and their packets, and what netfilter tracks, which is nothing.
func (t *Vethway) Counters(ctx context.Context) (Counters, error) {
	c := Counters{}
	for _, count := range []func(context.Context, Counters) error{t.countFlows, t.countCarried, t.countStack, t.countTracked} {
		if err := count(ctx, c); err != nil {
			return nil, fmt.Errorf("read counters of %s: %w", t.Name(), err)
		}
	}
	return c, nil
}

func (t *Vethway) countFlows(ctx context.Context, c Counters) error {
	flows, err := t.lab.Client.Flows(ctx, api.FlowFilter{})
	if err != nil {
		return err
	}
	c["flows"] = uint64(len(flows))
	for _, f := range flows {
		c["in flows"] += f.Packets + f.RPackets
	}
	return nil
}

func (t *Vethway) countCarried(_ context.Context, c Counters) error {
	for _, ns := range t.containers {
		l, err := ns.Link(containerDev)
		if err != nil {
			return err
		}
		c["carried"] += l.RxPackets + l.TxPackets
	}
	return nil
}

func (t *Vethway) countStack(ctx context.Context, c Counters) error {
	networks, err := t.lab.Client.Networks(ctx, nil)
	if err != nil {
		return err
	}
	for _, network := range networks {
		l, err := t.topo.Host.Link(network.Bridge)
		if err != nil {
			return err
		}
		c["stack"] += l.RxPackets
	}
	return nil
}

func (t *Vethway) countTracked(_ context.Context, c Counters) (err error) {
	c["tracked"], err = conntrackCount(t.topo.Host)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the kernel has no connection tracking loaded
	}
	return err
}

// Proof shows that connection tracking knows nothing of what containers
// carried, and tells how much of it the host's stack saw.
func (t *Vethway) Proof(ctx context.Context) (string, error) {
	shown, err := proof(ctx, t, "carried")
	if err != nil {
		return "", err
	}
	c := Counters{}
	if err := t.countTracked(ctx, c); err != nil {
		return "", fmt.Errorf("prove %s: %w", t.Name(), err)
	}
	if c["tracked"] != 0 {
		return "", fmt.Errorf("prove %s: connection tracking has %d entries", t.Name(), c["tracked"])
	}
	return shown, nil
}

// evidence: what goes between the host's own processes and containers is
// translated at the socket and takes the plain stack. Nothing else does.
func (t *Vethway) evidence(w Way, _ Family) (evidence, error) {
	e := evidence{moved: []string{"carried"}, none: []string{"tracked"}, few: "stack", many: "carried"}
	switch w {
	case Way(FromHost), Way(FromLoopback):
		e.moved, e.few, e.many = append(e.moved, "stack"), "", ""
	case Inside: // no flow is kept of it
	default:
		e.some = []string{"flows"}
	}
	return e, nil
}
