// SPDX-License-Identifier: Apache-2.0

package scripts

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vethway/vethway/test/behaviour"
)

// fixture is what every example finds: two networks, and one container with ports published.
const fixture = `
vethway network create --ipv6 --subnet 172.31.1.0/24 --subnet 2001:db8:31:1::/64 --label tier=db web
vethway network create --subnet 172.31.2.0/24 backend
vethway run --network backend --name c1 -p 8070:80 -d -- sleep 100
vethway network create --ipv6 --subnet 172.30.2.0/24 --subnet 2001:db8:31:2::/64 two
`

// special are the commands whose examples need a fixture of their own, in place of the common one.
func special() map[string]string {
	return map[string]string{
		"vethway":                    "",
		"vethway network create":     "",
		"vethway network rm":         "vethway network create web",
		"vethway network disconnect": fixture + "vethway network connect web c1",
		"vethway run":                "vethway network create --subnet 172.30.1.0/24 web",
		"vethway whoami":             "vethway network create web",
		"vethway port unpublish":     fixture + "vethway port publish c1 8081:80 127.0.0.1:5353:53/udp",
		"vethway detach":             fixture + "vethway attach --network web --name c2 $OTHER",
		"vethway attach":             fixture,
		"vethway deny rm":            "vethway deny add 192.0.2.0/24",
	}
}

// TestExamples runs every example of every command's help, line by line, as a shell would.
func TestExamples(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nsenter", "ip", "curl")
	visit(t, "vethway")
}

// visit runs the examples of a command, and visits the commands that its help lists.
func visit(t *testing.T, path string) {
	out, err := exec.CommandContext(t.Context(), "sh", "-c", path+" --help").Output()
	if err != nil {
		t.Fatalf("%s --help: %v", path, err)
	}
	help := sections(string(out))
	if len(help["Examples:"]) > 0 && path != "vethway uninstall" { // r11_uninstall.txtar runs that one
		t.Run(strings.ReplaceAll(path, " ", "_"), func(t *testing.T) { runExamples(t, path, help["Examples:"]) })
	}
	for _, line := range help["Available Commands:"] {
		name := strings.Fields(line)[0]
		if name != "completion" && name != "help" {
			visit(t, path+" "+name)
		}
	}
}

// sections takes a help text apart: the lines below each heading.
func sections(help string) map[string][]string {
	out := map[string][]string{}
	heading := ""
	for _, line := range strings.Split(help, "\n") {
		switch {
		case line == "":
			heading = ""
		case strings.HasSuffix(line, ":") && !strings.HasPrefix(line, " "):
			heading = line
		default:
			out[heading] = append(out[heading], line)
		}
	}
	return out
}

func runExamples(t *testing.T, path string, examples []string) {
	l, err := newLab(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	})
	other, err := l.topo.AddContainer("c2")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.startDaemon(os.Environ(), nil); err != nil {
		t.Fatal(err)
	}
	before, ok := special()[path]
	if !ok {
		before = fixture
	}
	env := append(os.Environ(), "OTHER="+other.Path())
	for key, value := range l.variables() {
		env = append(env, key+"="+value)
	}
	for _, line := range append(strings.Split(before, "\n"), examples...) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		// In the host's namespace, where a reader of the help would be.
		sh := exec.CommandContext(ctx, "nsenter", "--net="+l.topo.Host.Path(), "--", "sh", "-c", line)
		sh.Env = env
		out, err := sh.CombinedOutput()
		cancel()
		if err != nil {
			t.Fatalf("%s: %v\n%s", strings.TrimSpace(line), err, out)
		}
	}
}
