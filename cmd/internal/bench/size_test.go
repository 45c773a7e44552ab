// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/size"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/hostlab"
)

func TestSizeFromEndToEnd(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nsenter")
	noLeaks(t)
	bin := t.TempDir()
	if _, err := hostlab.Build(t.Context(), bin); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	file := filepath.Join(t.TempDir(), "size.json")
	io, out, stderr := streams.Test()
	code := Main([]string{
		"size", "--containers", "2", "--ports", "3", "--more", "5", "--crowd", "3", "--rounds", "2", "--settle", "10ms", "-o", "json", "--out", file,
	}, io)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var printed size.Report
	if err := json.Unmarshal(out.Bytes(), &printed); err != nil {
		t.Fatalf("the output is not JSON: %v\n%s", err, out)
	}
	var names []string
	for _, res := range printed.Results {
		names = append(names, res.Name)
		// What five ports take is lost in what the daemon happens to have resident.
		if res.Median <= 0 && res.Name != "memory-port" || len(res.Samples) != 2 {
			t.Errorf("an implausible result: %+v", res)
		}
	}
	// Only the daemon was built: what the command takes is left out, with a warning.
	if got := strings.Join(names, " "); got != "attach memory memory-flows memory-flows-least-ipv4 memory-flows-least-ipv6 "+
		"publish publish-range unpublish unpublish-range kernel-batch kernel-batch-least "+
		"publish publish-range unpublish unpublish-range kernel-batch kernel-batch-least start memory-full memory-port attach-last detach-last" {
		t.Errorf("results are %q", got)
	}
	if !strings.Contains(stderr.String(), "the command is not measured") {
		t.Errorf("no warning about the command: %s", stderr)
	}
	readme := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(readme, []byte("# x\n"+size.Begin+"\n"+size.End+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code := Main([]string{"readme", "--size", file, "--readme", readme}, io); code != 0 {
		t.Fatalf("readme: exit code %d: %s", code, stderr)
	}
	text, err := os.ReadFile(readme)
	if err != nil || !strings.Contains(string(text), "| attach 2 containers, one request each | ") {
		t.Errorf("the README has become: %v\n%s", err, text)
	}
}
