// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vethway/vethway/control/api"
)

const (
	// eventsKept is how many events are remembered.
	eventsKept = 1000
	// eventRetry is how long to wait when events cannot be read.
	eventRetry = time.Minute
)

// events are the last ones.
type events struct {
	mu   sync.Mutex
	list []api.Event // the oldest first
	// refused asks collectLoop for a collection.
	refused chan struct{}
}

func (e *Engine) eventLoop(ctx context.Context) {
	for {
		err := e.cfg.Dataplane.Events(ctx, e.note)
		if ctx.Err() != nil {
			return
		}
		e.cfg.Log.Warn("events of the packet programs are not read", "error", err)
		if !sleep(ctx, eventRetry) {
			return
		}
	}
}

// note remembers an event, and says it in the log.
func (e *Engine) note(ev Event) {
	container, network := e.state.Load().endpointAt(ev.Src.Addr())
	v := api.Event{
		Time: time.Now().Add(-ev.Age), Container: container, Network: network, Reason: ev.Reason, Protocol: ev.Proto, Source: ev.Src, Destination: ev.Dst, Refused: ev.Refused,
	}
	e.cfg.Log.Warn("container was refused a flow", "container", v.Container, "network", v.Network, "reason", v.Reason,
		"protocol", v.Protocol, "source", v.Source, "destination", v.Destination, "refused", v.Refused)
	e.events.mu.Lock()
	defer e.events.mu.Unlock()
	if n := len(e.events.list) - eventsKept + 1; n > 0 {
		e.events.list = slices.Delete(e.events.list, 0, n)
	}
	e.events.list = append(e.events.list, v)
	select {
	case e.events.refused <- struct{}{}:
	default: // asked for already
	}
}

// endpointAt names the container that has an address, and the network; empty: nobody has it any more.
func (s *state) endpointAt(addr netip.Addr) (container, network string) {
	for _, c := range s.containers {
		for _, ep := range c.Endpoints {
			if ep.IPv4 == addr || ep.IPv6 == addr {
				return c.Name, s.networks[ep.Network].Name
			}
		}
	}
	return "", ""
}

// Events lists what was refused to containers lately, the oldest first. It fails with ErrNotFound for a container that is
// not there.
func (e *Engine) Events(_ context.Context, filter api.EventFilter) ([]api.Event, error) {
	name := ""
	if filter.Container != "" {
		c, err := e.state.Load().container(filter.Container)
		if err != nil {
			return nil, err
		}
		name = c.Name
	}
	e.events.mu.Lock()
	defer e.events.mu.Unlock()
	var list []api.Event
	for _, v := range e.events.list {
		if (name == "" || v.Container == name) && !v.Time.Before(filter.Since) {
			list = append(list, v)
		}
	}
	return list, nil
}
