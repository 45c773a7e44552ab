// SPDX-License-Identifier: Apache-2.0

// Command compliance turns what the tests recorded about the behaviours into
// test/compliance.json and the table in test/README.md.
//
//	compliance -results FILE -write   write both
//	compliance -results FILE -check   compare with the committed test/compliance.json
//
// Either way it fails if a behaviour required for this release has no test, or
// if a test of any behaviour did not pass.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/behaviour"
)

func main() {
	var c config
	flag.StringVar(&c.results, "results", "", "file of results that the tests appended to")
	flag.StringVar(&c.dir, "dir", "test", "folder of compliance.json and README.md")
	flag.BoolVar(&c.write, "write", false, "write compliance.json and the table in README.md")
	flag.BoolVar(&c.check, "check", false, "fail if compliance.json differs from these results")
	flag.Parse()
	if err := run(c); err != nil {
		fmt.Fprintln(os.Stderr, "compliance:", err)
		os.Exit(1)
	}
}

type config struct {
	results, dir string
	write, check bool
}

func run(c config) error {
	if c.results == "" {
		return errors.New("name the file of results: -results bin/compliance.jsonl")
	}
	data, err := os.ReadFile(c.results)
	if err != nil {
		return fmt.Errorf("read results: %w", err)
	}
	recorded, err := parseResults(data)
	if err != nil {
		return fmt.Errorf("parse %s: %w", c.results, err)
	}
	rows := merge(recorded, behaviour.All())
	fmt.Println(tally(rows))
	var errs []error
	if c.write {
		errs = append(errs, writeReport(c.dir, rows))
	}
	if c.check {
		errs = append(errs, checkReport(c.dir, rows))
	}
	return errors.Join(append(errs, verdict(rows))...)
}

// encode is the form of compliance.json: a list with one row a line, so that a
// change reads well in a diff.
func encode(rows []behaviour.Result) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("[\n")
	for i, r := range rows {
		line, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", r.ID, err)
		}
		b.Write(line)
		if i < len(rows)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("]\n")
	return b.Bytes(), nil
}

func writeReport(dir string, rows []behaviour.Result) error {
	data, err := encode(rows)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "compliance.json"), data, 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	readme := filepath.Join(dir, "README.md")
	text, err := os.ReadFile(readme)
	if err != nil {
		return fmt.Errorf("read the README: %w", err)
	}
	release, err := kernelRelease()
	if err != nil {
		return err
	}
	filled, err := fill(string(text), table(rows, behaviour.All(), release))
	if err != nil {
		return fmt.Errorf("%s: %w", readme, err)
	}
	if err := os.WriteFile(readme, []byte(filled), 0o644); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// checkReport fails if the committed report is not what these results give.
func checkReport(dir string, rows []behaviour.Result) error {
	path := filepath.Join(dir, "compliance.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the report: %w", err)
	}
	var committed []behaviour.Result
	if err := json.Unmarshal(data, &committed); err != nil {
		return fmt.Errorf("parse %s: %w", path, err)
	}
	if diff := difference(committed, rows); diff != "" {
		return fmt.Errorf("%s is out of date, run sudo make compliance:\n%s", path, diff)
	}
	return nil
}

// difference lists the rows that only one side has; empty if there are none.
func difference(old, current []behaviour.Result) string {
	in := func(rows []behaviour.Result) map[behaviour.Result]bool {
		m := map[behaviour.Result]bool{}
		for _, r := range rows {
			m[r] = true
		}
		return m
	}
	var lines []string
	inOld, inCurrent := in(old), in(current)
	for _, r := range old {
		if !inCurrent[r] {
			lines = append(lines, "- "+rowString(r))
		}
	}
	for _, r := range current {
		if !inOld[r] {
			lines = append(lines, "+ "+rowString(r))
		}
	}
	return strings.Join(lines, "\n")
}

func rowString(r behaviour.Result) string {
	return strings.Join([]string{r.ID, r.Family, r.Test, r.Result}, " ")
}

func kernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("ask for the kernel's release: %w", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}
