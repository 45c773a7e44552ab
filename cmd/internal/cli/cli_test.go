// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

// walk calls f for every command that is not cobra's own.
func walk(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, c := range cmd.Commands() {
		if c.Name() != "completion" && c.Name() != "help" {
			walk(c, f)
		}
	}
}

func root() *cobra.Command {
	s, _, _ := streams.Test()
	return New(&app.App{Streams: s})
}

func TestEveryCommandIsDocumented(t *testing.T) {
	walk(root(), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: Short %q: want one sentence without a full stop", path, cmd.Short)
		}
		if cmd.Runnable() && !cmd.HasSubCommands() && cmd.Example == "" {
			t.Errorf("%s has no example", path)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" && !f.Hidden {
				t.Errorf("%s --%s has no description", path, f.Name)
			}
		})
	})
}

// TestExamplesParse checks examples without running them; test/scripts runs them.
func TestExamplesParse(t *testing.T) {
	walk(root(), func(cmd *cobra.Command) {
		for _, line := range strings.Split(cmd.Example, "\n") {
			words := strings.Fields(strings.ReplaceAll(line, "'", ""))
			if len(words) == 0 || words[0] != "vethway" {
				continue
			}
			// A fresh tree: flags keep what an earlier example set.
			found, rest, err := root().Find(words[1:])
			if err != nil {
				t.Errorf("%q, an example of %s: %v", line, cmd.CommandPath(), err)
				continue
			}
			if strings.Contains(line, "{{") {
				continue // templates are split at their blanks here
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("%q: %v", line, err)
			} else if err := found.ValidateArgs(found.Flags().Args()); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
	})
}

func TestWrongCommandLines(t *testing.T) {
	for _, line := range []string{
		"", "frobnicate", "network", "network frobnicate", "network create", "network create a b", "network create --frob a",
		"network create --subnet nonsense a", "network create --gateway 10.0.0.1 a", "network create --label = a",
		"network create --subnet 10.0.0.0/24 --gateway 10.1.0.1 a", "network create --aux-address 10.0.0.9 --subnet 10.0.0.0/24 a",
		"network ls -o xml extra", "run", "run true", "exec c1", "port publish c1", "flow ls --address nonsense", "flow flush",
		"network prune", "attach", "run --network web --name ../x true", "run --network web --ip fd00::1 true",
		"run --network web --ip6 10.0.0.1 true", "run --network web --mac nonsense true", "whoami 70000",
	} {
		s, _, errs := streams.Test()
		code := Run(context.Background(), s, append([]string{"--socket=/nonexistent/vethway.sock"}, strings.Fields(line)...))
		if code != int(exit.Usage) {
			t.Errorf("vethway %s: exit code %d, want %d: %s", line, code, exit.Usage, errs)
		}
		lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
		if !strings.HasPrefix(lines[0], "vethway: ") || len(lines) > 2 || len(lines) == 2 && !strings.HasPrefix(lines[1], "hint: ") {
			t.Errorf("vethway %s: want an error in one line and a hint, got\n%s", line, errs)
		}
	}
}

func TestBadInputHasItsOwnCode(t *testing.T) {
	for line, want := range map[string]exit.Code{
		"network create --subnet 10.0.0.1/24 a":     exit.HostBits,
		"run --network web -p 8000-8002:80-81 true": exit.BadPublish,
		"port publish c1 99999":                     exit.BadPublish,
		"attach --network web /nonexistent/ns":      exit.NoNamespace,
		"attach --network web /etc/passwd":          exit.NoNamespace,
		"network ls":                                exit.Code(12),
		"help exit-codes":                           exit.OK,
	} {
		s, _, errs := streams.Test()
		if code := Run(context.Background(), s, append([]string{"--socket=/nonexistent/vethway.sock"}, strings.Fields(line)...)); code != int(want) {
			t.Errorf("vethway %s: exit code %d, want %d: %s", line, code, want, errs)
		}
	}
}

func TestAliases(t *testing.T) {
	for _, line := range []string{
		"run --net web --mac 02:42:00:00:00:01 --network-alias db true",
		"network connect --mac-address 02:42:00:00:00:01 --alias db web c1",
	} {
		found, rest, err := root().Find(strings.Fields(line))
		if err != nil {
			t.Fatal(err)
		}
		if err := found.ParseFlags(rest); err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if got := found.Flags().Lookup("alias").Value.String(); got != "[db]" {
			t.Errorf("%s: alias %s", line, got)
		}
	}
}
