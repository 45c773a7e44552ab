// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// judge reads what the machine says, shows a line for each test, and all that a
// test has said if it failed.
type judge struct {
	w       io.Writer
	maySkip map[string]string

	suite    string   // that runs
	test     string   // at the top level, of which lines are
	verdict  string   // of the test; its subtests' verdicts come behind it
	took     string   // as the testing package says
	lines    []string // since the test began
	skips    []string // among the test and its subtests
	passed   int
	skipped  int
	failures []string
	done     bool
}

func newJudge(w io.Writer, maySkip map[string]string) *judge { return &judge{w: w, maySkip: maySkip} }

var (
	running = regexp.MustCompile(`^=== RUN +([^/\s]+)$`)
	result  = regexp.MustCompile(`^( *)--- (PASS|FAIL|SKIP): (\S+) \((\S+)\)$`)
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
	if m := running.FindStringSubmatch(s); m != nil {
		j.flush()
		j.test = m[1]
	}
	j.lines = append(j.lines, s)
	if m := result.FindStringSubmatch(s); m != nil && j.test != "" {
		if m[2] == "SKIP" {
			j.skips = append(j.skips, m[3])
		}
		if m[1] == "" && m[3] == j.test {
			j.verdict, j.took = m[2], m[4]
		}
	}
}

func (j *judge) begin(suite string) {
	j.flush()
	j.suite = suite
	fmt.Fprintln(j.w, "===", suite)
}

// exit takes how a test binary ended.
func (j *judge) exit(rest string) {
	last := j.lines
	name, status, _ := strings.Cut(rest, " ")
	shown := j.flush()
	j.suite = ""
	fmt.Fprintf(j.w, "=== %s: %s\n", name, status)
	if status == "exit status 0" {
		return
	}
	j.fail(name + ": " + status)
	if !shown { // what TestMain has said, too
		j.show(last)
	}
}

// flush judges the test that has been running, and tells whether its lines were shown.
func (j *judge) flush() bool {
	before := len(j.failures)
	if j.test != "" {
		j.judgeTest()
	}
	j.test, j.verdict, j.took, j.lines, j.skips = "", "", "", nil, nil
	return len(j.failures) > before
}

func (j *judge) judgeTest() {
	word, forbidden := "ok", ""
	for _, s := range j.skips {
		if _, ok := j.maySkip[s]; !ok {
			word, forbidden = "SKIP", s
		}
	}
	switch {
	case j.verdict == "FAIL":
		word = "FAIL"
	case j.verdict == "":
		word, j.took = "FAIL", "did not end"
	case forbidden == "" && j.verdict == "SKIP":
		word = "skip"
	}
	name := j.suite + "." + j.test
	fmt.Fprintf(j.w, "%-5s %s (%s)\n", word, name, j.took)
	switch word {
	case "ok":
		j.passed++
	case "skip":
		j.skipped++
		fmt.Fprintf(j.w, "      %s\n", j.maySkip[j.test])
	case "SKIP":
		j.failures = append(j.failures, name+": "+forbidden+" skipped, and has no leave to")
		j.show(j.lines)
	default:
		j.failures = append(j.failures, name)
		j.show(j.lines)
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
