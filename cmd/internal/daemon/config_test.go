// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/control"
)

func TestConfigRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  Config
		says string
	}{
		{"instance", Config{Instance: "../x"}, "instance"},
		{"relative path", Config{StateDir: "state"}, "absolute"},
		{"long socket", Config{Socket: "/" + strings.Repeat("x", 120)}, "at most"},
		{"attach", Config{Attach: "xdp"}, "auto, tcx or clsact"},
		{"uplink", Config{Uplinks: []string{"eth[0"}}, "not a pattern"},
		{"ports", Config{NATPorts: "4000"}, "FIRST-LAST"},
		{"backward ports", Config{NATPorts: "5000-4000"}, "FIRST-LAST"},
		{"no ports", Config{NATPorts: "0-0"}, "at least 256 ports"},
		{"one port", Config{NATPorts: "20000-20000"}, "at least 256 ports"},
		{"too high ports", Config{NATPorts: "60000-70000"}, "FIRST-LAST"},
		{"low ports", Config{NATPorts: "80-4000"}, "below 1024"},
		{"base", Config{Bases: []string{"ten"}}, "prefix"},
		{"base with host bits", Config{Bases: []string{"10.1.2.3/16"}}, "did you mean 10.1.0.0/16"},
		{"small base", Config{Bases: []string{"10.1.2.0/25"}}, "too small"},
		{"mtu", Config{MTU: 100}, "576"},
		{"level", Config{LogLevel: "loud"}, "debug, info, warn or error"},
		{"format", Config{LogFormat: "xml"}, "text or json"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.cfg.Complete()
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("Complete = %v, want something with %q", err, tc.says)
			}
			if code, _ := exit.Classify(err); code != exit.BadConfig {
				t.Errorf("exit code %d, want %d", code, exit.BadConfig)
			}
		})
	}
}

func TestConfigDefaults(t *testing.T) {
	c := Config{Instance: "lab"}
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		c.StateDir: "/var/lib/vethway/lab", c.Socket: "/run/vethway/lab/vethway.sock",
		c.ReadOnlySocket(): "/run/vethway/lab/vethway-ro.sock", c.BPFFS: "/sys/fs/bpf/vethway/lab",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestConfigFile(t *testing.T) {
	path := write(t, "instance: lab\nuplink: [eth0, wg*]\nmtu: 1400\nlog-level: debug\n")
	var c Config
	flags := pflag.NewFlagSet("vethwayd", pflag.ContinueOnError)
	c.addFlags(flags)
	if err := flags.Parse([]string{"--log-level=warn"}); err != nil {
		t.Fatal(err)
	}
	if err := applyFile(path, flags); err != nil {
		t.Fatal(err)
	}
	if c.Instance != "lab" || strings.Join(c.Uplinks, " ") != "eth0 wg*" || c.MTU != 1400 {
		t.Errorf("the file gave %+v", c)
	}
	if c.LogLevel != "warn" {
		t.Errorf("log level %s: the command line must win", c.LogLevel)
	}
}

func TestConfigFileRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"instanze: x":       `unknown key "instanze"`,
		"config: /etc/x":    `unknown key "config"`,
		"mtu: high":         "mtu",
		"mtu: 1400\nmtu: 1": "mtu",
		"instance:":         "no value",
		"uplink: {a: b}":    "want a word",
		": : :":             "config",
	} {
		var c Config
		flags := pflag.NewFlagSet("vethwayd", pflag.ContinueOnError)
		c.addFlags(flags)
		err := applyFile(write(t, text), flags)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want something with %q", text, err, says)
			continue
		}
		if code, _ := exit.Classify(err); code != exit.BadConfig {
			t.Errorf("%q: exit code %d, want %d", text, code, exit.BadConfig)
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vethwayd.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestGuardConfig(t *testing.T) {
	for _, tc := range []struct {
		args string
		want control.Guard
		says string
	}{
		{"", control.Guard{XDP: control.XDPUplinks{Auto: true}}, ""},
		{"--xdp=off", control.Guard{}, ""},
		{"--xdp=eth0,ens* --xdp-generic", control.Guard{XDP: control.XDPUplinks{Names: []string{"eth0", "ens*"}, Generic: true}}, ""},
		{"--xdp=off --drop-closed-ports=1-1023 --max-source-rate=50 --max-source-burst=200",
			control.Guard{ClosedPorts: control.PortSpan{First: 1, Last: 1023}, SourceRate: 50, SourceBurst: 200}, ""},
		{"--xdp=auto,eth0", control.Guard{}, "xdp"},
		{"--xdp=[", control.Guard{}, "xdp"},
		{"--xdp-generic", control.Guard{}, "names no interface"},
		{"--drop-closed-ports=80", control.Guard{}, "want FIRST-LAST"},
		{"--drop-closed-ports=0-80", control.Guard{}, "want FIRST-LAST"},
		{"--drop-closed-ports=90-80", control.Guard{}, "want FIRST-LAST"},
		{"--max-source-rate=-1", control.Guard{}, "max-source-rate -1"},
		{"--max-source-burst=5", control.Guard{}, "without max-source-rate"},
	} {
		var c Config
		flags := pflag.NewFlagSet("vethwayd", pflag.ContinueOnError)
		c.addFlags(flags)
		if err := flags.Parse(strings.Fields(tc.args)); err != nil {
			t.Fatal(err)
		}
		err := c.Complete()
		if tc.says != "" {
			if code, _ := exit.Classify(err); code != exit.BadConfig || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s: %v, want something with %q", tc.args, err, tc.says)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.args, err)
			continue
		}
		if got, err := c.Guard.guard(); err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v, %v, want %+v", tc.args, got, err, tc.want)
		}
	}
}
