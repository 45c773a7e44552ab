// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	got := names("package a\n\nfunc FuzzA(f *testing.F) {\n\tx()\n}\nfunc (t T) FuzzNot(f *testing.F) {}\nfunc fuzzNot() {}\nfunc FuzzB1(f *testing.F) { y() }\n")
	if want := "[FuzzA FuzzB1]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestList(t *testing.T) {
	got, err := list(t.Context(), []string{"../../../control/ports", "../../../bpf"})
	if err != nil || len(got) != 1 || got[0].name != "FuzzParse" || !strings.HasSuffix(got[0].pkg, "/control/ports") {
		t.Errorf("got %+v, %v", got, err)
	}
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

// The end of the time is no failure; an input that fails is one, also in the last moment.
func TestJudge(t *testing.T) {
	failed := errors.New("exit status 1")
	for out, want := range map[string]error{
		"--- FAIL: FuzzA (31.75s)\n    context deadline exceeded\nFAIL\n":                                   nil,
		"--- FAIL: FuzzA (1.0s)\n    --- FAIL: FuzzA (0.00s)\n        a_test.go:5: wrong\n":                 failed,
		"    context deadline exceeded\n    Failing input written to testdata/fuzz/FuzzA/8c5f\nFAIL\n":      failed,
		"        a_test.go:5: reading: context deadline exceeded\n    Failing input written to testdata/\n": failed,
		"panic: runtime error\n": failed,
	} {
		var one target
		if err := one.follow(strings.NewReader(out), io.Discard); err != nil {
			t.Fatal(err)
		}
		if got := one.judge(failed); got != want {
			t.Errorf("%v for\n%s", got, out)
		}
	}
}
