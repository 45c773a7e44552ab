// SPDX-License-Identifier: Apache-2.0

package scripts

import (
	"os"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
)

// changing is what differs from run to run, and what golden files have in its place.
func changing() []struct {
	pattern *regexp.Regexp
	stands  string
} {
	return []struct {
		pattern *regexp.Regexp
		stands  string
	}{
		{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "ID"},
		{regexp.MustCompile(`\b(vw-|vwv)[0-9a-f]{12}\b`), "${1}0123456789ab"},
		// As long as what it stands for, or tables would not be aligned.
		{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "0123456789ab"},
		{regexp.MustCompile(`\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b`), "MAC"},
		{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
		{regexp.MustCompile(`/tmp/(vethway-script|netlab)-[0-9-]+`), "DIR"},
		{regexp.MustCompile(`(?i)("(?:Pid|Cookie|UptimeSeconds|IdleSeconds)":) [0-9.e+-]+`), "${1} N"},
		{regexp.MustCompile(`\b\d+s\b`), "Ns"},
	}
}

// normalise writes the last output to a file with all that changes replaced, to be compared with a golden file.
func normalise(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: normalise FILE")
	}
	text := ts.ReadFile("stdout")
	for _, c := range changing() {
		text = c.pattern.ReplaceAllString(text, c.stands)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}
