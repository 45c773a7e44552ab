// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vethway/vethway/test/behaviour"
)

// The table stands between these lines of test/README.md.
const (
	beginMark = "<!-- compliance:begin -->"
	endMark   = "<!-- compliance:end -->"
)

// table renders the rows as Markdown. The summary stands at the first row of a
// behaviour only.
func table(rows []behaviour.Result, list []behaviour.Behaviour, kernel string) string {
	summary := map[string]string{}
	for _, b := range list {
		summary[b.ID] = b.Summary
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Written by `sudo make compliance` on Linux %s; %s.\n\n", kernel, tally(rows))
	b.WriteString("| id | behaviour | family | test | result |\n|---|---|---|---|---|\n")
	last := ""
	for _, r := range rows {
		id, text := r.ID, summary[r.ID]
		if id == last {
			id, text = "", ""
		}
		last = r.ID
		test := ""
		if r.Test != "" {
			test = "`" + escape(r.Test) + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", id, escape(text), r.Family, test, r.Result)
	}
	return b.String()
}

// escape keeps a cell in its column.
func escape(cell string) string { return strings.ReplaceAll(cell, "|", `\|`) }

// fill replaces what stands between the marks.
func fill(text, table string) (string, error) {
	head, rest, ok := strings.Cut(text, beginMark)
	if !ok {
		return "", errors.New("no line " + beginMark)
	}
	_, tail, ok := strings.Cut(rest, endMark)
	if !ok {
		return "", errors.New("no line " + endMark)
	}
	return head + beginMark + "\n" + table + endMark + tail, nil
}
