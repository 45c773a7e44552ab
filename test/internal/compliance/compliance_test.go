// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vethway/vethway/test/behaviour"
)

var list = []behaviour.Behaviour{
	{ID: "D01", Required: true, Families: behaviour.Both, Summary: "first"},
	{ID: "D02", Required: true, Families: behaviour.None, Summary: "second | with a bar"},
	{ID: "D03", Required: false, Families: behaviour.Both, Summary: "third"},
}

func row(id, family, test, result string) behaviour.Result {
	return behaviour.Result{ID: id, Family: family, Test: test, Result: result}
}

func TestMerge(t *testing.T) {
	for name, c := range map[string]struct{ in, want []behaviour.Result }{
		"nothing recorded": {nil, []behaviour.Result{
			row("D01", "ipv4", "", "missing"), row("D01", "ipv6", "", "missing"), row("D02", "-", "", "missing")}},
		"one family": {[]behaviour.Result{row("D02", "ipv4", "b", "pass"), row("D01", "ipv6", "a", "pass")}, []behaviour.Result{
			row("D01", "ipv4", "", "missing"), row("D01", "ipv6", "a", "pass"), row("D02", "ipv4", "b", "pass")}},
		"both": {[]behaviour.Result{row("D01", "both", "a", "pass"), row("D02", "-", "b", "skip")}, []behaviour.Result{
			row("D01", "both", "a", "pass"), row("D02", "-", "b", "skip")}},
		"no family where it matters": {[]behaviour.Result{row("D01", "-", "a", "pass"), row("D02", "-", "b", "pass")}, []behaviour.Result{
			row("D01", "-", "a", "pass"), row("D01", "ipv4", "", "missing"), row("D01", "ipv6", "", "missing"), row("D02", "-", "b", "pass")}},
		"worst of two runs, several tests": {[]behaviour.Result{
			row("D01", "both", "b", "fail"), row("D01", "both", "b", "pass"), row("D01", "both", "a", "pass"),
			row("D02", "-", "c", "pass"), row("D03", "ipv4", "d", "pass")}, []behaviour.Result{
			row("D01", "both", "a", "pass"), row("D01", "both", "b", "fail"),
			row("D02", "-", "c", "pass"), row("D03", "ipv4", "d", "pass")}},
	} {
		if got := merge(c.in, list); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s:\ngot  %v\nwant %v", name, got, c.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	if err := verdict([]behaviour.Result{row("D01", "both", "a", "pass")}); err != nil {
		t.Error(err)
	}
	for _, result := range []string{"fail", "skip", "missing", "what"} {
		err := verdict([]behaviour.Result{row("D01", "both", "a", "pass"), row("D02", "-", "b", result)})
		if err == nil || !strings.Contains(err.Error(), "D02") || strings.Contains(err.Error(), "D01") {
			t.Errorf("%s: %v", result, err)
		}
	}
}

func TestTable(t *testing.T) {
	rows := []behaviour.Result{row("D01", "ipv4", "p.TestA", "pass"), row("D01", "ipv6", "p.TestA", "fail"), row("D02", "-", "", "missing")}
	text, err := fill("above\n"+beginMark+"\nold\n"+endMark+"\nbelow\n", table(rows, list, "6.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"above\n", "\nbelow\n", "Linux 6.1",
		"| D01 | first | ipv4 | `p.TestA` | pass |\n", "|  |  | ipv6 | `p.TestA` | fail |\n",
		`| D02 | second \| with a bar | - |  | missing |`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "old") {
		t.Error("the old table is still there")
	}
	for _, bad := range []string{"", beginMark, endMark + beginMark} {
		if _, err := fill(bad, "x"); err == nil {
			t.Errorf("filled %q", bad)
		}
	}
}

func TestWriteThenCheck(t *testing.T) {
	dir := t.TempDir()
	readme := filepath.Join(dir, "README.md")
	if err := os.WriteFile(readme, []byte(beginMark+"\n"+endMark+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	rows := []behaviour.Result{row("D01", "both", "p.TestA", "pass"), row("D02", "-", "p.TestB", "pass")}
	if err := writeReport(dir, rows); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "compliance.json"))
	if err != nil {
		t.Fatal(err)
	}
	var parsed []map[string]string
	if err := json.Unmarshal(data, &parsed); err != nil {
		t.Fatal(err)
	}
	if len(parsed) != 2 || len(parsed[0]) != 4 || parsed[1]["id"] != "D02" || parsed[1]["test"] != "p.TestB" {
		t.Errorf("wrote %s", data)
	}
	if err := checkReport(dir, rows); err != nil {
		t.Errorf("unchanged: %v", err)
	}
	rows[1].Result = "fail"
	if err := checkReport(dir, rows); err == nil || !strings.Contains(err.Error(), "- D02 - p.TestB pass\n+ D02 - p.TestB fail") {
		t.Errorf("changed: %v", err)
	}
	if err := checkReport(dir, rows[:1]); err == nil {
		t.Error("a row that vanished went unnoticed")
	}
}

func TestParseResults(t *testing.T) {
	rows, err := parseResults([]byte(`{"id":"D01","family":"ipv4","test":"a","result":"pass"}` + "\n\n"))
	if err != nil || len(rows) != 1 || rows[0] != row("D01", "ipv4", "a", "pass") {
		t.Errorf("got %v, %v", rows, err)
	}
	if _, err := parseResults([]byte("{\"id\":\n")); err == nil {
		t.Error("half a line was accepted")
	}
}

func TestRunNeedsResults(t *testing.T) {
	if err := run(config{}); err == nil {
		t.Error("no -results was accepted")
	}
	if err := run(config{results: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a results file that does not exist was accepted")
	}
}
