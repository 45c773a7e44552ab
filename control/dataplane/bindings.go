// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"hash/maphash"
	"time"

	"github.com/vethway/vethway/maps"
)

// boundTo is a binding, and what is to happen to it.
type boundTo struct {
	key   maps.BindingKey
	seen  uint32
	act   bindingAct
	since uint32 // for restBinding
}

type bindingAct int

const (
	restBinding bindingAct = iota
	wakeBinding
	collectBinding // it has rested, or need not
	relieveBinding // it rests, and goes if the table is nearly full
)

// bindings lets the external ports on which no flow hangs any more rest, and collects them once they have rested; those of closed TCP
// sessions, and all when the table is nearly full, at once. Containers that are gone make no difference. It needs to know from the scan
// of the flows which are in use; that no flow was made since is checked in the kernel.
func (c *collector) bindings(ctx context.Context) error {
	table := c.d.maps.Bindings
	var list []boundTo
	entries := 0
	var inner error
	err := table.Each(func(key maps.BindingKey, b maps.Binding) bool {
		entries++
		if !key.Inside {
			return true // it goes with the other one
		}
		if act, some := c.judgeBinding(key, &b); some {
			list = append(list, boundTo{key, b.Seen, act, c.now})
		}
		inner = ctx.Err()
		return inner == nil
	})
	if err == nil {
		err = inner
	}
	if err != nil {
		return err
	}
	full := entries > table.Capacity()*pressureNumerator/pressureDenominator
	for _, b := range list {
		// A binding is a moment older than its first flow.
		if maps.Age(c.now, b.seen) < orphanAge {
			continue
		}
		if err := c.apply(b, full); err != nil {
			return err
		}
	}
	return nil
}

// judgeBinding says what is to happen to a binding, if anything. What lives is said by the flows alone, whoever began them.
func (c *collector) judgeBinding(key maps.BindingKey, b *maps.Binding) (bindingAct, bool) {
	h := maphash.Comparable(c.seed, key)
	switch {
	case c.bound[h] > 0:
		return wakeBinding, b.Rests != 0
	case c.closed[h]:
		return collectBinding, true
	case b.Rests == 0 && c.policy.timeouts(b.Network).PortRest > 0:
		return restBinding, true
	case b.Rests == 0:
		return collectBinding, true
	case time.Duration(maps.Age(c.now, b.Rests))*time.Second >= c.policy.timeouts(b.Network).PortRest:
		return collectBinding, true
	}
	return relieveBinding, true
}

func (c *collector) apply(b boundTo, full bool) error {
	var err error
	switch {
	case b.act == wakeBinding:
		_, err = c.d.loader.RestBinding(b.key, b.seen, 0)
	case b.act == collectBinding || full:
		_, err = c.d.loader.CollectBinding(b.key, b.seen)
	case b.act == restBinding:
		_, err = c.d.loader.RestBinding(b.key, b.seen, b.since)
	}
	return err
}
