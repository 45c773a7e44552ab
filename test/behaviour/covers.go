// SPDX-License-Identifier: Apache-2.0

package behaviour

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

// ResultsEnv names the file that results are appended to; unset means that
// nobody is collecting them.
const ResultsEnv = "VETHWAY_COMPLIANCE"

// Address families a test can prove a behaviour over.
const (
	IPv4 = "ipv4"
	IPv6 = "ipv6"
	// Both is for one test that exercises IPv4 and IPv6 and fails if either does.
	Both = "both"
	// None is for behaviours in which the family plays no part.
	None = "-"
)

// The outcomes of a test, and what stands in for one that does not exist.
const (
	Pass    = "pass"
	Fail    = "fail"
	Skipped = "skip"
	Missing = "missing"
)

// Result is one line of the compliance report: what one test says about one
// behaviour.
type Result struct {
	ID     string `json:"id"`
	Family string `json:"family"`
	Test   string `json:"test"`
	Result string `json:"result"`
}

// Covers declares that t proves behaviour id over family, and records t's
// outcome when it ends. Call it first: cleanups run in reverse order, so that
// what fails in a later cleanup still counts. Call it once per family if a test
// loops over both without subtests, or use Both.
//
// An id that is not in behaviours.tsv, or an unknown family, is a mistake in the
// test and fails it.
func Covers(t testing.TB, id, family string) {
	t.Helper()
	if _, ok := Lookup(id); !ok {
		t.Fatalf("behaviour %q is not listed in test/behaviour/behaviours.tsv", id)
	}
	if !validFamily(family) {
		t.Fatalf("behaviour %s: family %q is none of ipv4, ipv6, both, -", id, family)
	}
	path := os.Getenv(ResultsEnv)
	if path == "" {
		return
	}
	t.Cleanup(func() {
		r := Result{ID: id, Family: family, Test: testName(t), Result: outcome(t)}
		if err := appendResult(path, r); err != nil {
			t.Errorf("record behaviour %s: %v", id, err)
		}
	})
}

// CoversScript reads the "# covers: D07 ipv4" lines of a script and declares
// each. A script without such a line covers nothing, which is fine. Several
// pairs may follow each other, separated by commas.
func CoversScript(t testing.TB, script string) {
	t.Helper()
	for _, line := range strings.Split(script, "\n") {
		pairs, ok := strings.CutPrefix(strings.TrimSpace(line), "# covers:")
		if !ok {
			continue
		}
		for _, pair := range strings.Split(pairs, ",") {
			f := strings.Fields(pair)
			if len(f) != 2 {
				t.Fatalf("%q: want \"# covers: ID FAMILY[, ID FAMILY...]\"", line)
			}
			Covers(t, f[0], f[1])
		}
	}
}

func validFamily(f string) bool {
	switch f {
	case IPv4, IPv6, Both, None:
		return true
	}
	return false
}

func outcome(t testing.TB) string {
	switch {
	case t.Failed():
		return Fail
	case t.Skipped():
		return Skipped
	}
	return Pass
}

// testName is the test's name with its package, relative to the module: names
// alone are not unique across packages.
func testName(t testing.TB) string {
	if pkg := testPackage(); pkg != "" {
		return pkg + "." + t.Name()
	}
	return t.Name()
}

// testPackage is the package under test, without the module's own prefix. The
// test binary knows it; a stack walk would name a helper's package instead.
func testPackage() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	pkg := strings.TrimSuffix(info.Path, ".test")
	if info.Main.Path != "" {
		pkg = strings.TrimPrefix(pkg, info.Main.Path+"/")
	}
	return pkg
}

// appendResult writes the line in one O_APPEND write, which the kernel keeps
// whole, as packages may be tested by several processes at once.
func appendResult(path string, r Result) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	f, err := os.OpenFile(filepath.Clean(path), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the results file: %w", err)
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		f.Close()
		return fmt.Errorf("append to %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("close %s: %w", path, err)
	}
	return nil
}
