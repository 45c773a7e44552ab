// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// modulePrefix is cut off package names, which are long enough without it.
const modulePrefix = "github.com/vethway/vethway/"

func (id testID) String() string {
	return strings.TrimPrefix(id.pkg, modulePrefix) + " " + id.test
}

// summary prints the closing lines.
func (r *report) summary(took time.Duration) {
	fmt.Fprintln(r.w)
	r.skips()
	if len(r.times) > 0 {
		sort.SliceStable(r.times, func(i, j int) bool { return r.times[i].d > r.times[j].d })
		fmt.Fprintln(r.w, "slowest:")
		for _, t := range r.times[:min(slowest, len(r.times))] {
			fmt.Fprintf(r.w, "  %7.2f s  %s\n", t.d.Seconds(), t.id)
		}
	}
	if r.bad() {
		fmt.Fprintln(r.w, "failed:")
		for _, id := range r.failed {
			fmt.Fprintf(r.w, "  %s\n", id)
		}
		for _, pkg := range r.packagesFailedAlone() {
			fmt.Fprintf(r.w, "  %s (the package itself)\n", strings.TrimPrefix(pkg, modulePrefix))
		}
	}
	fmt.Fprintf(r.w, "packages: %d ok, %d failed, %d without tests\n",
		r.packages-len(r.failedPackages), len(r.failedPackages), r.noTests)
	fmt.Fprintf(r.w, "tests:    %d passed, %d failed, %d skipped, in %s\n",
		r.passed, len(r.failed), len(r.skipped), took.Round(time.Second/10))
	if r.bad() {
		fmt.Fprintln(r.w, "FAIL")
	} else {
		fmt.Fprintln(r.w, "PASS")
	}
}

// skips lists what was skipped by reason; a reason that many share is counted.
func (r *report) skips() {
	if len(r.skipped) == 0 {
		return
	}
	fmt.Fprintln(r.w, "skipped:")
	byReason := map[string][]string{}
	var order []string
	for _, s := range r.skipped {
		if byReason[s.why] == nil {
			order = append(order, s.why)
		}
		byReason[s.why] = append(byReason[s.why], s.id.String())
	}
	for _, why := range order {
		who := strings.Join(byReason[why], ", ")
		if n := len(byReason[why]); n > manySkips {
			who = fmt.Sprintf("%d tests", n)
		}
		fmt.Fprintf(r.w, "  %s: %s\n", who, why)
	}
}

// packagesFailedAlone are those that failed without a failed test: they did not
// build, panicked, timed out or leaked.
func (r *report) packagesFailedAlone() []string {
	named := map[string]bool{}
	for _, id := range r.failed {
		named[id.pkg] = true
	}
	var alone []string
	for _, pkg := range r.failedPackages {
		if !named[pkg] {
			alone = append(alone, pkg)
		}
	}
	return alone
}
