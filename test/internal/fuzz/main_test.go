// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseList(t *testing.T) {
	got := parseList("ok  \tm/none\t0.1s\nFuzzA\nFuzzB\nok  \tm/a\t0.1s\nno test files\n?   \tm/b\t[no test files]\nFuzzC\nok  \tm/c\t(cached)\n")
	if want := "[m/a FuzzA m/a FuzzB m/c FuzzC]"; fmt.Sprint(names(got)) != want {
		t.Errorf("got %v, want %s", names(got), want)
	}
}

func names(all []target) []string {
	var s []string
	for _, t := range all {
		s = append(s, t.pkg+" "+t.name)
	}
	return s
}

// What a target says about its progress is shown now and then, everything else at once.
func TestFollow(t *testing.T) {
	var in strings.Builder
	for i := range 15 {
		fmt.Fprintf(&in, "fuzz: elapsed: %ds, execs: %d (33/sec), new interesting: %d (total: 9)\n", i, 100*i, i)
	}
	in.WriteString("--- FAIL: FuzzA\n")
	var one target
	var out strings.Builder
	if err := one.follow(strings.NewReader(in.String()), &out); err != nil {
		t.Fatal(err)
	}
	if one.executions != "1400" || one.interesting != "14" {
		t.Errorf("%s executions, %s inputs", one.executions, one.interesting)
	}
	if got := strings.Count(out.String(), "elapsed"); got != 2 || !strings.Contains(out.String(), "FAIL") {
		t.Errorf("shown %d times:\n%s", got, &out)
	}
	out.Reset()
	table(&out, []target{{pkg: "m", name: "FuzzA", executions: "7", interesting: "1", err: fmt.Errorf("x")}})
	if !strings.Contains(out.String(), "FAIL") {
		t.Errorf("the table says\n%s", &out)
	}
}
