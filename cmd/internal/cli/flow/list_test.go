// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
	"github.com/vethway/vethway/control/api"
)

// backend has so many flows, and no other method.
type backend struct {
	api.Backend
	flows []api.Flow
}

func (b backend) Flows(_ context.Context, f api.FlowFilter) ([]api.Flow, error) {
	if f.Limit > 0 && f.Limit < len(b.flows) {
		return b.flows[:f.Limit], nil
	}
	return b.flows, nil
}

// list runs `flow ls` and returns what it printed, line by line.
func list(t *testing.T, flows []api.Flow, terminal bool, args ...string) (out []string, errs string) {
	t.Helper()
	s, stdout, stderr := streams.Test()
	s.Terminal = terminal
	cmd := newList(&app.App{Streams: s, Backend: backend{flows: flows}})
	cmd.SetArgs(args)
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n"), stderr.String()
}

func TestListDoesNotFloodATerminal(t *testing.T) {
	many := make([]api.Flow, 250)
	for _, c := range []struct {
		flows    int
		terminal bool
		args     string
		lines    int // with the header, where there is one
		told     bool
	}{
		{250, true, "", 101, true}, {100, true, "", 101, false}, {250, true, "--limit 0", 251, false}, {250, true, "--limit 7", 8, false},
		{250, true, "-o table", 101, true}, {250, true, "-o tsv", 250, false}, {250, false, "", 250, false}, {250, false, "-o table", 251, false},
		{250, true, "--format {{.Protocol}}", 250, false},
	} {
		out, errs := list(t, many[:c.flows], c.terminal, strings.Fields(c.args)...)
		if len(out) != c.lines || strings.Contains(errs, "the first 100;") != c.told {
			t.Errorf("%+v: %d lines, and %q", c, len(out), errs)
		}
	}
}

func TestListShowsBothDirections(t *testing.T) {
	tuple := func(src, dst string) api.Tuple {
		return api.Tuple{Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst)}
	}
	out, _ := list(t, []api.Flow{
		{
			Network: "one", Protocol: "tcp", Kind: "published", Container: "c1", State: "ESTABLISHED",
			Original: tuple("192.0.2.3:47882", "192.0.2.2:8080"), Reply: tuple("172.30.1.2:80", "192.0.2.3:47882"),
			Packets: 6, RPackets: 4, Bytes: 323, RBytes: 2048, IdleSeconds: 75,
		},
		{
			Network: "one", Protocol: "icmp", Kind: "masquerade", Container: "c1", State: "ASSURED", Stale: true,
			Original: tuple("172.30.1.2:12720", "192.0.2.3:0"), Reply: tuple("192.0.2.3:0", "192.0.2.2:12721"),
		},
	}, true)
	want := []string{
		"NETWORK  PROTO  KIND        CONTAINER  ORIGINAL                           REPLY                             STATE        PACKETS  BYTES            IDLE",
		"one      tcp    published   c1         192.0.2.3:47882 -> 192.0.2.2:8080  172.30.1.2:80 -> 192.0.2.3:47882  ESTABLISHED  6 / 4    323 B / 2.0 KiB  1m15s",
		"one      icmp   masquerade  c1         172.30.1.2 -> 192.0.2.3 id 12720   192.0.2.3 -> 192.0.2.2 id 12721   stale        0 / 0    0 B / 0 B        0s",
	}
	for i, line := range want {
		if i >= len(out) || out[i] != line {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(out, "\n"), strings.Join(want, "\n"))
			break
		}
	}
}
