// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// watchBuffer holds the events of some ten thousand routes, so that a routing daemon's start does not overrun it.
const watchBuffer = 4 << 20

// Watch signals changes of the host's links, addresses, routes and rules until ctx ends, when it closes the channel. Signals are
// coalesced; the receiver looks for itself at what changed. That we attach and remove endpoints is no change, nor is a message that says
// what the one before it did.
func (l *Links) Watch(ctx context.Context) (<-chan struct{}, error) {
	s, err := l.subscribe()
	if err != nil {
		return nil, fmt.Errorf("watch the host's network: %w", err)
	}
	changed := make(chan struct{}, 1)
	go l.watch(ctx, s, changed)
	return changed, nil
}

func (l *Links) subscribe() (*nl.NetlinkSocket, error) {
	s, err := nl.SubscribeAt(netns.NsHandle(l.ns.fd()), netns.None(), unix.NETLINK_ROUTE,
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
		unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		return nil, fmt.Errorf("subscribe to rtnetlink: %w", err)
	}
	if err := s.SetReceiveBufferSize(watchBuffer, true); err != nil {
		l.log.Debug("rtnetlink keeps its small buffer", "error", err)
	}
	return s, nil
}

// watch reads events until ctx ends. After any error but an overrun the socket is replaced; what happened meanwhile is
// unknown, and so it signals.
func (l *Links) watch(ctx context.Context, s *nl.NetlinkSocket, changed chan<- struct{}) {
	defer close(changed)
	for ctx.Err() == nil {
		err := l.receive(ctx, s, changed)
		s.Close()
		if ctx.Err() != nil {
			return
		}
		l.log.Warn("watching the host's network starts anew", "error", err)
		if s = l.resubscribe(ctx); s == nil {
			return
		}
		l.reroutings.Add(1)
		signal(changed)
	}
}

func (l *Links) resubscribe(ctx context.Context) *nl.NetlinkSocket {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(100 * time.Millisecond):
		}
		s, err := l.subscribe()
		if err == nil {
			return s
		}
		l.log.Error("cannot watch the host's network", "error", err)
	}
}

// receive returns when the socket fails, or soon after ctx ended.
func (l *Links) receive(ctx context.Context, s *nl.NetlinkSocket, changed chan<- struct{}) error {
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	heard := newNews()
	for {
		messages, _, err := s.Receive()
		// An overrun lost events, but the socket goes on.
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
		if err != nil {
			heard = newNews()
		}
		if err != nil || slices.ContainsFunc(messages, changesRouting) {
			l.reroutings.Add(1)
		}
		changes := err != nil
		for _, m := range messages {
			if changesHost(m) && !heard.repeats(m) && !changes {
				changes = !l.ourDoing(m)
			}
		}
		if changes {
			signal(changed)
		}
	}
}

// changesHost leaves out what a bridge says of its ports as such: that message comes for every timer of every port, last when
// forward_delay has passed, 15 s after the port came up. Of an interface that joins or leaves a bridge another message tells.
func changesHost(m syscall.NetlinkMessage) bool {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return len(m.Data) == 0 || m.Data[0] != unix.AF_BRIDGE
	}
	return true
}

// changesRouting: the message is about where packets leave the host, and by which address.
func changesRouting(m syscall.NetlinkMessage) bool {
	switch m.Header.Type {
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE, unix.RTM_NEWRULE, unix.RTM_DELRULE:
		return true
	}
	return false
}

func signal(changed chan<- struct{}) {
	select {
	case changed <- struct{}{}:
	default: // one is pending, and covers this change as well
	}
}
