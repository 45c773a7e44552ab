// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"
	"time"
)

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Elapsed    float64
	Output     string
}

// testID names a test; an empty test is the package itself.
type testID struct{ pkg, test string }

const (
	// slowest is how many of the slowest tests the summary names.
	slowest = 5
	// manySkips for one reason are counted, not named.
	manySkips = 3
)

// position is where the testing package says that a line comes from.
var position = regexp.MustCompile(`^\w+\.go:\d+: (skipped: )?`)

// report keeps the output of every test until its verdict is known, and shows
// that of the failed ones only.
type report struct {
	w      io.Writer
	output map[testID]*strings.Builder

	packages, noTests, passed int
	failedPackages            []string
	failed                    []testID
	skipped                   []skip
	times                     []timing
}

type skip struct {
	id  testID
	why string
}

type timing struct {
	id testID
	d  time.Duration
}

func newReport(w io.Writer) *report {
	return &report{w: w, output: map[testID]*strings.Builder{}}
}

// read consumes events until the end. What is not an event, such as a message
// of the go command, is passed on.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.event(e)
			} else {
				fmt.Fprint(r.w, string(line))
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
	}
}

func (r *report) event(e event) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.w, e.Output)
	case "output":
		if r.output[id] == nil {
			r.output[id] = &strings.Builder{}
		}
		r.output[id].WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e)
		} else {
			r.endTest(e)
		}
	}
}

func (r *report) endTest(e event) {
	id := testID{e.Package, e.Test}
	text := r.take(id)
	switch e.Action {
	case "pass":
		r.passed++
	case "skip":
		r.skipped = append(r.skipped, skip{id, reason(text)})
	case "fail":
		r.failed = append(r.failed, id)
		fmt.Fprint(r.w, text)
	}
	// A parent's time is that of its subtests over again.
	if !strings.Contains(e.Test, "/") {
		r.times = append(r.times, timing{id, time.Duration(e.Elapsed * float64(time.Second))})
	}
}

func (r *report) endPackage(e event) {
	text := r.take(testID{e.Package, ""})
	switch e.Action {
	case "skip":
		r.noTests++
		r.dropUnfinished(e.Package, false)
		return
	case "fail":
		r.packages++
		r.failedPackages = append(r.failedPackages, e.Package)
		r.dropUnfinished(e.Package, true)
		fmt.Fprint(r.w, text)
		return
	}
	r.packages++
	r.dropUnfinished(e.Package, false)
	for _, line := range strings.SplitAfter(text, "\n") {
		if strings.HasPrefix(line, "ok") {
			fmt.Fprint(r.w, line)
		}
	}
}

// dropUnfinished forgets the tests of a package that never got a verdict, and
// shows them if the package failed: one of them is why.
func (r *report) dropUnfinished(pkg string, show bool) {
	var left []testID
	for id := range r.output {
		if id.pkg == pkg {
			left = append(left, id)
		}
	}
	sort.Slice(left, func(i, j int) bool { return left[i].test < left[j].test })
	for _, id := range left {
		text := r.take(id)
		if show {
			fmt.Fprint(r.w, text)
		}
	}
}

func (r *report) take(id testID) string {
	b := r.output[id]
	if b == nil {
		return ""
	}
	delete(r.output, id)
	return b.String()
}

// reason is what a skipped test said last before it ended.
func reason(text string) string {
	why := "no reason given"
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			why = position.ReplaceAllString(line, "")
		}
	}
	return why
}

// bad reports whether anything failed.
func (r *report) bad() bool { return len(r.failed) > 0 || len(r.failedPackages) > 0 }

// strict is an error if anything was skipped.
func (r *report) strict() error {
	if len(r.skipped) == 0 {
		return nil
	}
	return fmt.Errorf("STRICT=1, and %d tests were skipped, %s first", len(r.skipped), r.skipped[0].id)
}
