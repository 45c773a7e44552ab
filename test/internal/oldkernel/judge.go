// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// leave is what tests may skip, as TestName or TestName/subtest.
type leave struct {
	tests *regexp.Regexp
	why   string
}

// judge reads what the machine says, shows a line for each test, and all that a
// test has said if it failed. Tests that run in parallel speak in turn.
type judge struct {
	w       io.Writer
	maySkip []leave

	suite    string           // that runs
	tests    map[string]*test // that have begun and are not judged, by the name at the top level
	current  *test            // whose the next line is; nil: nobody's
	rest     []string         // nobody's lines: TestMain's
	passed   int
	skipped  int
	failures []string
	done     bool
}

// test is one test at the top level, with its subtests.
type test struct {
	name    string
	verdict string   // its subtests' verdicts come behind it
	took    string   // as the testing package says
	lines   []string // since it began
	skips   []string // among the test and its subtests
}

func newJudge(w io.Writer, maySkip []leave) *judge { return &judge{w: w, maySkip: maySkip} }

var (
	speaks = regexp.MustCompile(`^=== (?:RUN|CONT|NAME|PAUSE) +([^/\s]+)`)
	result = regexp.MustCompile(`^( *)--- (PASS|FAIL|SKIP): (\S+) \((\S+)\)$`)
)

// line takes the next line.
func (j *judge) line(s string) {
	s = strings.TrimRight(s, "\r\n")
	if name, ok := strings.CutPrefix(s, beginMark); ok {
		j.begin(name)
		return
	}
	if rest, ok := strings.CutPrefix(s, exitMark); ok {
		j.exit(rest)
		return
	}
	if rest, ok := strings.CutPrefix(s, errorMark); ok {
		j.flush()
		j.fail("the machine: " + rest)
		return
	}
	if s == doneMark {
		j.flush()
		j.done = true
		return
	}
	if m := speaks.FindStringSubmatch(s); m != nil {
		j.turn(m[1])
	} else if m := result.FindStringSubmatch(s); m != nil && m[1] == "" {
		j.turn(m[3])
	}
	if j.current == nil {
		j.rest = append(j.rest, s)
		return
	}
	t := j.current
	t.lines = append(t.lines, s)
	if m := result.FindStringSubmatch(s); m != nil {
		if m[2] == "SKIP" {
			t.skips = append(t.skips, m[3])
		}
		if m[1] == "" {
			t.verdict, t.took = m[2], m[4]
		}
	}
}

// turn takes that a test has the word; one that had it and is over is judged.
func (j *judge) turn(name string) {
	if j.current != nil && j.current.name == name {
		return
	}
	j.over()
	if j.tests[name] == nil {
		j.tests[name] = &test{name: name}
	}
	j.current = j.tests[name]
}

// over judges the test that has the word, if it has ended.
func (j *judge) over() {
	if t := j.current; t != nil && t.verdict != "" {
		j.judgeTest(t)
		delete(j.tests, t.name)
	}
	j.current = nil
}

func (j *judge) begin(suite string) {
	j.flush()
	j.suite, j.tests, j.rest = suite, make(map[string]*test), nil
	fmt.Fprintln(j.w, "===", suite)
}

// exit takes how a test binary ended.
func (j *judge) exit(rest string) {
	before := len(j.failures)
	var last []string
	if j.current != nil {
		last = j.current.lines
	}
	j.flush()
	name, status, _ := strings.Cut(rest, " ")
	j.suite = ""
	fmt.Fprintf(j.w, "=== %s: %s\n", name, status)
	if status == "exit status 0" {
		return
	}
	shown := len(j.failures) > before
	j.fail(name + ": " + status)
	if !shown { // what TestMain has said, too
		j.show(append(j.rest, last...))
	}
}

// flush judges the tests that have not been judged.
func (j *judge) flush() {
	j.over()
	for _, name := range slices.Sorted(maps.Keys(j.tests)) {
		j.judgeTest(j.tests[name])
	}
	j.tests = nil
}

// skipsFor says why a test may skip itself; empty: it may not.
func (j *judge) skipsFor(name string) string {
	for _, l := range j.maySkip {
		if l.tests.MatchString(name) {
			return l.why
		}
	}
	return ""
}

func (j *judge) judgeTest(t *test) {
	word, forbidden := "ok", ""
	for _, s := range t.skips {
		if j.skipsFor(s) == "" {
			word, forbidden = "SKIP", s
		}
	}
	switch {
	case t.verdict == "FAIL":
		word = "FAIL"
	case t.verdict == "":
		word, t.took = "FAIL", "did not end"
	case forbidden == "" && t.verdict == "SKIP":
		word = "skip"
	}
	name := j.suite + "." + t.name
	fmt.Fprintf(j.w, "%-5s %s (%s)\n", word, name, t.took)
	for _, s := range t.skips {
		if why := j.skipsFor(s); why != "" {
			fmt.Fprintf(j.w, "      %s left out: %s\n", s, why)
		}
	}
	switch word {
	case "ok":
		j.passed++
	case "skip":
		j.skipped++
	case "SKIP":
		j.failures = append(j.failures, name+": "+forbidden+" skipped, and has no leave to")
		j.show(t.lines)
	default:
		j.failures = append(j.failures, name)
		j.show(t.lines)
	}
}

func (j *judge) fail(what string) {
	j.failures = append(j.failures, what)
	fmt.Fprintln(j.w, "FAIL ", what)
}

func (j *judge) show(lines []string) {
	for _, l := range lines {
		fmt.Fprintln(j.w, "    ", l)
	}
}

// end takes the end of the machine, however it came.
func (j *judge) end() {
	suite := j.suite
	j.flush()
	if suite != "" {
		j.fail(suite + ": did not end")
	}
	j.suite = ""
}

// summary says how it went, and returns an error unless it went well.
func (j *judge) summary(release string, d time.Duration) error {
	fmt.Fprintf(j.w, "\nLinux %s: %d passed, %d skipped, %d failures in %s\n", release, j.passed, j.skipped, len(j.failures), d.Round(time.Second))
	for _, f := range j.failures {
		fmt.Fprintln(j.w, "FAIL ", f)
	}
	switch {
	case len(j.failures) > 0:
		return fmt.Errorf("%d failures", len(j.failures))
	case !j.done:
		return errors.New("the machine did not get to its end")
	case j.passed == 0:
		return errors.New("no test has run")
	}
	return nil
}
