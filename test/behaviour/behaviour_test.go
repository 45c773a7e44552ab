// SPDX-License-Identifier: Apache-2.0

package behaviour

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeTB stands in for a test whose outcome we choose. Fatalf and Skipf panic
// with themselves, as the real ones end the goroutine.
type fakeTB struct {
	testing.TB
	failed, skipped bool
	message         string
	cleanups        []func()
}

func (f *fakeTB) Helper()           {}
func (f *fakeTB) Name() string      { return "TestFake" }
func (f *fakeTB) Failed() bool      { return f.failed }
func (f *fakeTB) Skipped() bool     { return f.skipped }
func (f *fakeTB) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }
func (f *fakeTB) Fatalf(format string, args ...any) {
	f.failed, f.message = true, fmt.Sprintf(format, args...)
	panic(f)
}
func (f *fakeTB) Skipf(format string, args ...any) {
	f.skipped, f.message = true, fmt.Sprintf(format, args...)
	panic(f)
}

// run calls body with a fake test, then its cleanups, last first.
func run(t *testing.T, body func(testing.TB)) *fakeTB {
	t.Helper()
	f := &fakeTB{TB: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(f) {
				panic(r)
			}
		}()
		body(f)
	}()
	for i := len(f.cleanups) - 1; i >= 0; i-- {
		f.cleanups[i]()
	}
	return f
}

func readResults(t *testing.T, path string) []Result {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []Result
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		var r Result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		got = append(got, r)
	}
	return got
}

func TestCoversRecordsTheOutcome(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results")
	t.Setenv(ResultsEnv, path)
	run(t, func(tb testing.TB) { Covers(tb, "D07", IPv4) })
	run(t, func(tb testing.TB) { Covers(tb, "D08", IPv6); tb.Fatalf("broken") })
	run(t, func(tb testing.TB) { Covers(tb, "R01", Both); tb.Skipf("not here") })
	run(t, func(tb testing.TB) {
		Covers(tb, "R09", None)
		tb.Cleanup(func() { tb.(*fakeTB).failed = true })
	})

	const name = "test/behaviour.TestFake"
	want := []Result{
		{"D07", IPv4, name, Pass},
		{"D08", IPv6, name, Fail},
		{"R01", Both, name, Skipped},
		{"R09", None, name, Fail},
	}
	got := readResults(t, path)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("recorded\n%v, want\n%v", got, want)
	}
}

func TestCoversRefusesMistakes(t *testing.T) {
	for _, c := range []struct{ id, family string }{{"D99", IPv4}, {"", None}, {"D07", "v4"}, {"D07", ""}} {
		if f := run(t, func(tb testing.TB) { Covers(tb, c.id, c.family) }); !f.failed {
			t.Errorf("Covers(%q, %q) was accepted", c.id, c.family)
		}
	}
}

func TestCoversScript(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results")
	t.Setenv(ResultsEnv, path)
	run(t, func(tb testing.TB) {
		CoversScript(tb, "exec true\n# covers: D16 -, D18 -\n# words\n  # covers: D20 both\n")
	})
	got := readResults(t, path)
	// Cleanups run last first.
	if len(got) != 3 || got[0].ID != "D20" || got[1].ID != "D18" || got[2].ID != "D16" {
		t.Errorf("recorded %v", got)
	}
	for _, bad := range []string{"# covers: D16", "# covers: D16 - D18 -", "# covers:", "# covers: D99 -"} {
		if f := run(t, func(tb testing.TB) { CoversScript(tb, bad) }); !f.failed {
			t.Errorf("script line %q was accepted", bad)
		}
	}
}

func TestSkipIsAFailureUnderStrict(t *testing.T) {
	t.Setenv(StrictEnv, "")
	f := run(t, func(tb testing.TB) { Skip(tb, "no kernel") })
	if !f.skipped || f.failed || !strings.Contains(f.message, "no kernel") {
		t.Errorf("relaxed: %+v", f)
	}
	t.Setenv(StrictEnv, "1")
	f = run(t, func(tb testing.TB) { Skip(tb, "no kernel") })
	if f.skipped || !f.failed || !strings.Contains(f.message, "no kernel") {
		t.Errorf("strict: %+v", f)
	}
	f = run(t, func(tb testing.TB) { NeedTool(tb, "sh", "vethway-no-such-tool") })
	if !f.failed || !strings.Contains(f.message, "vethway-no-such-tool") {
		t.Errorf("missing tool: %+v", f)
	}
	if f = run(t, func(tb testing.TB) { NeedTool(tb, "sh") }); f.failed {
		t.Errorf("a tool that is there: %+v", f)
	}
}

func TestListParses(t *testing.T) {
	list, err := parseList(listText)
	if err != nil {
		t.Fatal(err)
	}
	required := 0
	for _, b := range list {
		if b.Required {
			required++
		}
		if b.Summary == "" {
			t.Errorf("%s has no summary", b.ID)
		}
	}
	if required == 0 {
		t.Error("nothing is required")
	}
}

func TestListRefusesMistakes(t *testing.T) {
	for _, bad := range []string{
		"D01\trequired\tboth",
		"D01\tsometimes\tboth\tx",
		"D01\trequired\tipv5\tx",
		"D01\trequired\tboth\tx\nD01\tlater\tboth\ty",
	} {
		if _, err := parseList(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
