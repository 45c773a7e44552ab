// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
)

func TestNATOptions(t *testing.T) {
	behaviour.Covers(t, "N05", behaviour.None)
	behaviour.Covers(t, "N03", behaviour.None)
	common := control.DefaultTimeouts()
	common.ICMP = 90 * time.Second
	w := newWorld(t, func(c *control.Config) { c.MaxFlows, c.MaxFlowRate, c.Timeouts = 1000, 50, common })
	w.network("plain")
	w.network("open", option(api.OptionFiltering, api.FilteringIndependent), option(api.OptionInboundRefresh, "true"),
		option(api.OptionTimeout+"udp-stream", "10m"), option(api.OptionPortRest, "0"))
	w.network("closed", option(api.OptionFiltering, api.FilteringDependent), option(api.OptionTimeout+"tcp-established", "86400"))
	w.restart()
	if err := w.engine.Reconcile(context.Background()); err != nil {
		t.Fatal(err)
	}
	s := w.plane.State()
	if s.MaxFlows != 1000 || s.MaxFlowRate != 50 || s.Timeouts != common {
		t.Errorf("all networks: %d flows, %d a second, %+v", s.MaxFlows, s.MaxFlowRate, s.Timeouts)
	}
	open, closed := common, common
	open.UDPStream, open.PortRest, open.InboundRefresh = 10*time.Minute, 0, true
	closed.TCPEstablished = 24 * time.Hour
	// By name.
	for i, want := range []struct {
		anyRemote bool
		timeouts  *control.Timeouts
	}{{false, &closed}, {true, &open}, {false, nil}} {
		got := s.Networks[i]
		if got.AnyRemote != want.anyRemote || (got.Timeouts == nil) != (want.timeouts == nil) ||
			got.Timeouts != nil && *got.Timeouts != *want.timeouts {
			t.Errorf("network %d: any remote %v, timeouts %+v, want %+v", i, got.AnyRemote, got.Timeouts, want)
		}
	}
}

func TestNATOptionsRefused(t *testing.T) {
	behaviour.Covers(t, "N03", behaviour.None)
	w := newWorld(t)
	for _, c := range []struct{ key, value, text string }{
		{api.OptionFiltering, "none", `"none" is not valid`},
		{api.OptionInboundRefresh, "maybe", `"maybe" is not valid`},
		{api.OptionTimeout + "udp", "119s", "option com.vethway.nat.timeout.udp: 1m59s is below the 2m0s that RFC 4787 REQ-5 asks for"},
		{api.OptionTimeout + "udp-stream", "60", "1m0s is below the 2m0s that RFC 4787 REQ-5 asks for"},
		{api.OptionTimeout + "tcp-established", "2h", "2h0m0s is below the 2h4m0s that RFC 5382 REQ-5 asks for"},
		{api.OptionTimeout + "tcp-transitory", "239s", "below the 4m0s that RFC 5382 REQ-5 asks for"},
		{api.OptionTimeout + "icmp", "30s", "below the 1m0s that RFC 5508 REQ-2 asks for"},
		{api.OptionTimeout + "udp", "soon", `"soon" is not a time`},
		{api.OptionTimeout + "udp", "0", "0s is too short"},
		{api.OptionTimeout + "udp", "-5m", "-5m0s is too short"},
		{api.OptionTimeout + "udp", "120500ms", "whole seconds"},
		{api.OptionTimeout + "udp", "9000h", "longer than a year"},
		{api.OptionTimeout + "port-rest", "120s", "unknown network option"},
		{api.OptionTimeout + "sctp", "120s", "unknown network option"},
		{api.OptionPortRest, "-1s", "too short"},
	} {
		_, err := w.engine.CreateNetwork(context.Background(), api.NetworkCreate{Name: "x", Options: map[string]string{c.key: c.value}})
		if e := api.AsError(err); err == nil || e.Code != api.InvalidArgument || !strings.Contains(e.Message, c.text) || e.Hint == "" && strings.Contains(c.text, "RFC") {
			t.Errorf("%s=%s: %v, want %q", c.key, c.value, err, c.text)
		}
	}
	short := newWorld(t, func(c *control.Config) { c.AllowShortTimeouts = true })
	short.network("hasty", option(api.OptionTimeout+"udp", "5s"))
	if got := short.plane.State().Networks[0].Timeouts; got == nil || got.UDP != 5*time.Second {
		t.Errorf("the network has %+v", got)
	}
}
