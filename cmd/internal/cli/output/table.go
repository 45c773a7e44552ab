// SPDX-License-Identifier: Apache-2.0

package output

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Table is rows of text under headers.
type Table struct {
	headers []string
	rows    [][]string
}

// NewTable returns an empty table.
func NewTable(headers ...string) *Table { return &Table{headers: headers} }

// Row adds a row; cells beyond the headers are a mistake of the caller's and are dropped.
func (t *Table) Row(cells ...string) {
	if len(cells) > len(t.headers) {
		cells = cells[:len(t.headers)]
	}
	t.rows = append(t.rows, cells)
}

// WriteAligned writes headers and rows for a person: columns aligned, an empty cell as a hyphen so that columns can be told apart.
func (t *Table) WriteAligned(w io.Writer) error {
	widths := make([]int, len(t.headers))
	lines := append([][]string{t.headers}, t.rows...)
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(visible(cell)))
		}
	}
	var b strings.Builder
	for _, line := range lines {
		var row strings.Builder
		for i, cell := range line {
			cell = visible(cell)
			row.WriteString(cell)
			row.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		b.WriteString(strings.TrimRight(row.String(), " "))
		b.WriteByte('\n')
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	return nil
}

// WriteTSV writes the rows alone for a program: one tab between cells, no headers, empty cells left empty.
func (t *Table) WriteTSV(w io.Writer) error {
	var b strings.Builder
	clean := strings.NewReplacer("\t", " ", "\n", " ")
	for _, row := range t.rows {
		for i, cell := range row {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(clean.Replace(cell))
		}
		b.WriteByte('\n')
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	return nil
}

func visible(cell string) string {
	if cell == "" {
		return "-"
	}
	return strings.NewReplacer("\t", " ", "\n", " ").Replace(cell)
}

// Headers turns names of fields into a table's headers.
func Headers(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strings.ToUpper(strings.ReplaceAll(n, "_", " "))
	}
	return out
}
