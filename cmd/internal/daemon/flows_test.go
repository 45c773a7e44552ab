// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/test/behaviour"
)

// parse reads flags and, if there is one, a configuration file.
func parse(t *testing.T, file string, args ...string) (Config, error) {
	t.Helper()
	var c Config
	flags := pflag.NewFlagSet("vethwayd", pflag.ContinueOnError)
	c.addFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	if file != "" {
		if err := applyFile(write(t, file), flags); err != nil {
			return c, err
		}
	}
	return c, c.Complete()
}

func TestFlowFlags(t *testing.T) {
	behaviour.Covers(t, "N03", behaviour.None)
	behaviour.Covers(t, "N15", behaviour.None)
	c, err := parse(t, "udp-timeout: 150\nicmp-timeout: 2m\nmax-flow-rate: 10\n", "--udp-timeout=180s", "--port-rest=0", "--inbound-refresh",
		"--tcp-mapping=endpoint-independent")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Flows.timeouts()
	if err != nil {
		t.Fatal(err)
	}
	if got.UDP != 180*time.Second || got.ICMP != 120*time.Second || got.UDPStream != 300*time.Second || got.PortRest != 0 || !got.InboundRefresh {
		t.Errorf("timeouts %+v", got)
	}
	if c.Flows.TCPMapping != tcpIndependent {
		t.Errorf("mapping of TCP: %s", c.Flows.TCPMapping)
	}
	if c.Flows.MaxFlows != DefaultMaxFlows || c.Flows.MaxFlowRate != 10 {
		t.Errorf("limits %d, %d", c.Flows.MaxFlows, c.Flows.MaxFlowRate)
	}
	if got := c.Flows.entries(); got != 524288 {
		t.Errorf("a flow table of %d entries", got)
	}
	if c, err = parse(t, "flow-table-size: 500000\n"); err != nil || c.Flows.entries() != 1000000 {
		t.Errorf("a table of 500,000 flows: %d entries, %v", c.Flows.entries(), err)
	}
	if c, err = parse(t, "", "--udp-timeout=5s", "--allow-short-timeouts"); err != nil {
		t.Error(err)
	} else if got, err := c.Flows.timeouts(); err != nil || got.UDP != 5*time.Second {
		t.Errorf("short timeouts that are allowed: %+v, %v", got, err)
	}
}

func TestFlowFlagsRefused(t *testing.T) {
	behaviour.Covers(t, "N03", behaviour.None)
	behaviour.Covers(t, "N15", behaviour.None)
	for _, tc := range []struct{ file, flag, says string }{
		{"", "--udp-timeout=119s", "udp-timeout: 1m59s is below the 2m0s that RFC 4787 REQ-5 asks for"},
		{"udp-stream-timeout: 60", "", "udp-stream-timeout: 1m0s is below the 2m0s that RFC 4787 REQ-5 asks for"},
		{"", "--tcp-established-timeout=7439s", "below the 2h4m0s that RFC 5382 REQ-5 asks for"},
		{"", "--tcp-transitory-timeout=10s", "below the 4m0s that RFC 5382 REQ-5 asks for"},
		{"", "--icmp-timeout=59s", "below the 1m0s that RFC 5508 REQ-2 asks for"},
		{"udp-timeout: soon", "", `"soon" is not a time`},
		{"port-rest: -1s", "", "too short"},
		{"", "--max-flows=-1", "max-flows -1: want"},
		{"", "--flow-table-size=65535", "flow-table-size 65535: want 65536 to 4194304 flows"},
		{"flow-table-size: 4194305", "", "flow-table-size 4194305: want"},
		{"tcp-mapping: any", "", `tcp-mapping "any": want address-and-port-dependent or endpoint-independent`},
		{"", "--max-flow-rate=4294967296", "max-flow-rate 4294967296: want"},
	} {
		args := strings.Fields(tc.flag)
		_, err := parse(t, tc.file, args...)
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s%s: %v, want %q", tc.file, tc.flag, err, tc.says)
			continue
		}
		if code, _ := exit.Classify(err); code != exit.BadConfig {
			t.Errorf("%s%s: exit code %d", tc.file, tc.flag, code)
		}
	}
	c := FlowConfig{MaxFlows: 262145}
	if err := c.checkRoom(262144); err == nil || !strings.Contains(err.Error(), "the flow table holds 262144") {
		t.Errorf("more flows than the table holds: %v", err)
	}
}
