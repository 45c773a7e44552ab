// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"strings"
	"testing"
)

const good = "=== RUN   TestA\r\n=== RUN   TestA/x\r\n    a_test.go:1: all is well\r\n--- PASS: TestA (1.50s)\r\n    --- PASS: TestA/x (0.10s)\r\n"

const parallel = "=== RUN   TestP\n=== PAUSE TestP\n=== RUN   TestQ\n=== PAUSE TestQ\n=== CONT  TestP\n=== RUN   TestP/x\n=== CONT  TestQ\n" +
	"    q_test.go:1: q says\n=== NAME  TestP/x\n    p_test.go:1: p says\n--- PASS: TestP (2.00s)\n    --- PASS: TestP/x (0.10s)\n--- PASS: TestQ (3.00s)\n"

// Every way for a run to go wrong is one that the judge must see.
func TestJudge(t *testing.T) {
	const begin, end, done = beginMark + "s\n", exitMark + "s exit status 0\n", doneMark + "\n"
	for _, c := range []struct {
		name, in string
		bad      bool
		shows    string // somewhere
		hides    string // nowhere
	}{
		{"well", begin + good + "PASS\n" + end + done, false, "ok    s.TestA (1.50s)\n", "all is well"},
		{"a failure", begin + good + "=== RUN   TestB\n    b_test.go:7: not this\n--- FAIL: TestB (0.00s)\nFAIL\n" + exitMark + "s exit status 1\n" + done, true, "b_test.go:7: not this", "all is well"},
		{"a failed subtest", begin + "=== RUN   TestB\n=== RUN   TestB/y\n    b_test.go:7: not this\n--- FAIL: TestB (0.00s)\n    --- FAIL: TestB/y (0.00s)\n" + exitMark + "s exit status 1\n" + done, true, "    --- FAIL: TestB/y", ""},
		{"a leak after all tests", begin + good + "PASS\nleft: a link\n" + exitMark + "s exit status 1\n" + done, true, "left: a link", ""},
		{"a panic", begin + good + "=== RUN   TestB\npanic: oh\n" + exitMark + "s exit status 2\n" + done, true, "panic: oh", "all is well"},
		{"a signal", begin + good + exitMark + "s signal: killed\n" + done, true, "signal: killed", ""},
		{"a skip", begin + good + "=== RUN   TestB\n    b_test.go:3: too old\n--- SKIP: TestB (0.00s)\n" + end + done, true, "too old", ""},
		{"a skipped subtest", begin + "=== RUN   TestB\n--- PASS: TestB (0.00s)\n    --- SKIP: TestB/y (0.00s)\n" + end + done, true, "TestB/y skipped, and has no leave to", ""},
		{"a skip that may be", begin + good + "=== RUN   TestOld\n--- SKIP: TestOld (0.00s)\n" + end + done, false, "since 6.9", ""},
		{"a subtest's skip that may be", begin + "=== RUN   TestOld\n--- PASS: TestOld (0.00s)\n    --- SKIP: TestOld/x (0.00s)\n" + end + done, false, "TestOld/x left out: since 6.9", ""},
		{"in parallel", begin + parallel + "PASS\n" + end + done, false, "ok    s.TestP (2.00s)\nok    s.TestQ (3.00s)\n", "p says"},
		{"a failure in parallel", begin + strings.Replace(parallel, "--- PASS: TestQ", "--- FAIL: TestQ", 1) + "FAIL\n" + exitMark + "s exit status 1\n" + done, true, "q says", "p says"},
		{"the machine stops in parallel", begin + parallel[:strings.Index(parallel, "--- PASS: TestP")], true, "s.TestQ (did not end)", ""},
		{"nothing ran", begin + "testing: warning: no tests to run\nPASS\n" + end + done, true, "", ""},
		{"the machine stops in a test", begin + good + "=== RUN   TestB\n", true, "s.TestB (did not end)", ""},
		{"the machine stops between tests", begin + good + end, true, "", ""},
		{"the machine cannot begin", errorMark + "load x: no\n", true, "load x: no", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			j := newJudge(&out, []leave{{regexp.MustCompile("^TestOld(/x)?$"), "since 6.9"}})
			for line := range strings.Lines(c.in) {
				j.line(line)
			}
			j.end()
			err := j.summary("6.1", 0)
			if (err != nil) != c.bad {
				t.Errorf("judged %v", err)
			}
			if !strings.Contains(out.String(), c.shows) || c.hides != "" && strings.Contains(out.String(), c.hides) {
				t.Errorf("says\n%s", &out)
			}
		})
	}
}

// What is left out by itself is not all.
func TestDefaultSkip(t *testing.T) {
	for _, l := range leftOut {
		if l.why == "" || !strings.Contains(defaultSkip(), l.pattern) {
			t.Errorf("%+v in %q", l, defaultSkip())
		}
	}
}
