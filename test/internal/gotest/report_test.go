// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
)

// replay reads events and returns what was printed, the summary included.
func replay(t *testing.T, events ...string) (*report, string) {
	t.Helper()
	var b strings.Builder
	r := newReport(&b)
	if err := r.read(strings.NewReader(strings.Join(events, "\n"))); err != nil {
		t.Fatal(err)
	}
	r.summary(1500 * time.Millisecond)
	return r, b.String()
}

func wantIn(t *testing.T, got string, wants ...string) {
	t.Helper()
	for _, w := range wants {
		if !strings.Contains(got, w) {
			t.Errorf("no %q in:\n%s", w, got)
		}
	}
}

func TestPassIsQuiet(t *testing.T) {
	r, got := replay(t,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}`,
		`{"Action":"pass","Package":"p","Test":"TestA","Elapsed":1.25}`,
		`{"Action":"output","Package":"p","Output":"PASS\n"}`,
		`{"Action":"output","Package":"p","Output":"ok  \tp\t0.01s\n"}`,
		`{"Action":"pass","Package":"p","Elapsed":0.01}`,
		`{"Action":"skip","Package":"empty"}`)
	wantIn(t, got, "ok  \tp\t0.01s\n", "packages: 1 ok, 0 failed, 1 without tests", "1 passed, 0 failed, 0 skipped, in 1.5s", "   1.25 s  p TestA")
	if strings.Contains(got, "chatter") || r.bad() {
		t.Errorf("a pass is not quiet:\n%s", got)
	}
}

func TestFailureIsShown(t *testing.T) {
	r, got := replay(t,
		`{"Action":"output","Package":"p","Test":"TestA/x","Output":"it broke\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestA/x"}`,
		`{"Action":"fail","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Output":"FAIL\tp\t0.01s\n"}`,
		`{"Action":"fail","Package":"p"}`)
	wantIn(t, got, "it broke\n", "FAIL\tp\t0.01s\n", "failed:\n  p TestA/x\n  p TestA\n", "0 ok, 1 failed")
	if strings.Contains(got, "the package itself") || !r.bad() {
		t.Errorf("failure reported wrongly:\n%s", got)
	}
}

func TestPackageFailsWithoutAVerdict(t *testing.T) {
	r, got := replay(t,
		`{"Action":"output","Package":"p","Test":"TestHung","Output":"panic: test timed out\n"}`,
		`{"Action":"fail","Package":"p"}`,
		`{"ImportPath":"q","Action":"build-output","Output":"q.go:1: undefined\n"}`,
		`{"Action":"fail","Package":"q"}`,
		`go: something else`)
	wantIn(t, got, "panic: test timed out", "q.go:1: undefined", "p (the package itself)", "q (the package itself)", "go: something else")
	if !r.bad() {
		t.Error("a failed build counts as good")
	}
}

func TestSkipSaysWhy(t *testing.T) {
	r, got := replay(t,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}`,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: skipped: needs root\n"}`,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}`,
		`{"Action":"skip","Package":"p","Test":"TestA"}`,
		`{"Action":"pass","Package":"p"}`)
	wantIn(t, got, "skipped:\n  p TestA: needs root\n", "1 skipped")
	if err := r.strict(); err == nil || !strings.Contains(err.Error(), "p TestA") {
		t.Errorf("strict: %v", err)
	}
	if r, _ := replay(t, `{"Action":"pass","Package":"p"}`); r.strict() != nil {
		t.Errorf("strict without a skip: %v", r.strict())
	}
}

func TestSharedReasonIsCounted(t *testing.T) {
	var events []string
	for _, name := range []string{"A", "B", "C", "D"} {
		events = append(events,
			`{"Action":"output","Package":"p","Test":"Test`+name+`","Output":"    a_test.go:3: skipped: needs root\n"}`,
			`{"Action":"skip","Package":"p","Test":"Test`+name+`"}`)
	}
	_, got := replay(t, events...)
	wantIn(t, got, "skipped:\n  4 tests: needs root\n", "4 skipped")
	_, got = replay(t, events[:4]...)
	wantIn(t, got, "skipped:\n  p TestA, p TestB: needs root\n")
}
