// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
)

func TestNATPortsBesideTheHosts(t *testing.T) {
	for _, c := range []struct {
		nat      control.PortSpan
		reserved []control.PortSpan
		says     string
	}{
		{control.PortSpan{}, nil, ""},
		{control.PortSpan{First: 20000, Last: 32767}, nil, ""},
		{control.PortSpan{First: 61000, Last: 65535}, nil, ""},
		{control.PortSpan{First: 20000, Last: 32768}, nil, "may choose 32768"},
		{control.PortSpan{First: 60999, Last: 61255}, nil, "may choose 60999"},
		{control.PortSpan{First: 1024, Last: 65535}, nil, "may choose 32768"},
		{control.PortSpan{First: 40000, Last: 41000}, []control.PortSpan{{First: 40000, Last: 40499}, {First: 40500, Last: 41000}}, ""},
		{control.PortSpan{First: 40000, Last: 41000}, []control.PortSpan{{First: 40000, Last: 40499}, {First: 40501, Last: 41000}}, "may choose 40500"},
	} {
		err := control.CheckHostRange(control.HostFacts{PortRange: [2]uint16{32768, 60999}, ReservedPorts: c.reserved}, c.nat)
		if c.says == "" && err != nil || c.says != "" && (!errors.Is(err, control.ErrConflict) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%v with %v reserved: %v, want %q", c.nat, c.reserved, err, c.says)
		}
	}
}

func TestNATPortsAreNotPublished(t *testing.T) {
	w := newWorld(t)
	w.network("web")
	w.mustAttach("c1", "web", "-p 20010:80/udp")
	ctx := context.Background()
	nat := control.PortSpan{First: 20000, Last: 20255}
	refused(t, control.CheckNATPorts(ctx, w.store, nat), api.Conflict, "port 20010/udp, which container c1 publishes")
	if err := control.CheckNATPorts(ctx, w.store, control.PortSpan{}); err != nil {
		t.Error(err)
	}
	if err := control.CheckNATPorts(ctx, w.store, control.PortSpan{First: 21000, Last: 21255}); err != nil {
		t.Error(err)
	}
}
