// SPDX-License-Identifier: Apache-2.0

// Package report is what a benchmark leaves behind: the JSON, the table on the terminal, the table in the README.
package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Write writes the report as JSON, a line for each result: their samples and histograms are too many for one each.
func (r *Report) Write(w io.Writer) error {
	machine, err := json.MarshalIndent(r.Machine, "  ", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n  \"machine\": %s", machine)
	err = errors.Join(
		writeLines(&b, "results", r.Results), writeLines(&b, "cross_checks", r.CrossChecks), writeLines(&b, "goals", r.Goals))
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	b.WriteString("\n}\n")
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func writeLines[T any](b *bytes.Buffer, name string, list []T) error {
	fmt.Fprintf(b, ",\n  %q: [", name)
	for i, item := range list {
		line, err := json.Marshal(item)
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    ")
		b.Write(line)
	}
	if len(list) > 0 {
		b.WriteString("\n  ")
	}
	b.WriteByte(']')
	return nil
}

// Save writes the report to a file.
func (r *Report) Save(path string) error { return SaveTo(path, r.Write) }

// SaveTo makes a file of what a function writes.
func SaveTo(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("save report: %w", err)
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("save report: %w", err)
	}
	return nil
}

// Load reads a report from a file.
func Load(path string) (*Report, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load report: %w", err)
	}
	r := new(Report)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("load report %s: %w", path, err)
	}
	return r, nil
}
