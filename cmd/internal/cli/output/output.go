// SPDX-License-Identifier: Apache-2.0

// Package output prints results: tables for people, TSV for pipes, JSON and YAML with a versioned schema for programs.
package output

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

// Schema names the version of what -o json and -o yaml print. Fields may be added under the same version; none is
// renamed or removed.
const Schema = "vethway/v1"

// Document is the outermost object of JSON and YAML output.
type Document struct {
	Schema string `json:"schema"`
	Kind   string `json:"kind"`
	Items  any    `json:"items"`
}

// Options are the output flags of a command.
type Options struct {
	Format   string // -o: empty, table, tsv, json or yaml
	Template string // --format: a Go template for each item, as Docker has it
	Quiet    bool   // -q: names only
}

// Formats lists what -o takes.
func Formats() []string { return []string{"table", "tsv", "json", "yaml"} }

// Help is the paragraph that every listing command's help carries.
const Help = `On a terminal the output is a table; in a pipe it is the same columns as TSV without headers. -o table|tsv|json|yaml
chooses; JSON and YAML are {schema, kind, items}. --format takes a Go template that is printed for each item.`

// AddFlags adds -o, --format and, for listings, -q.
func (o *Options) AddFlags(cmd *cobra.Command, listing bool) {
	f := cmd.Flags()
	f.StringVarP(&o.Format, "output", "o", "", "table, tsv, json or yaml (default: table on a terminal, tsv in a pipe)")
	f.StringVar(&o.Template, "format", "", "Go template printed for each item, such as '{{.Name}}'")
	if listing {
		f.BoolVarP(&o.Quiet, "quiet", "q", false, "print names only")
	}
	// The flag was added two lines above: registering its completion cannot fail.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(Formats(), cobra.ShellCompDirectiveNoFileComp))
}

// ForPerson tells whether Print makes a table for somebody who sits before it.
func (o Options) ForPerson(s *streams.Streams) bool {
	return s.Terminal && !o.Quiet && o.Template == "" && (o.Format == "table" || o.Format == "")
}

// Print writes items, a slice, in the chosen format. Name is an item's for -q; table fills the table.
func Print[T any](s *streams.Streams, o Options, kind string, items []T, name func(T) string, table func([]T) *Table) error {
	if items == nil {
		items = []T{}
	}
	switch {
	case o.Quiet && name != nil:
		for _, item := range items {
			if _, err := fmt.Fprintln(s.Out, name(item)); err != nil {
				return fmt.Errorf("print: %w", err)
			}
		}
		return nil
	case o.Template == "json": // Docker's spelling: one JSON object a line
		return eachJSON(s.Out, items)
	case o.Template != "":
		return eachTemplate(s.Out, o.Template, items)
	}
	switch o.Format {
	case "json", "yaml":
		return Encode(s.Out, o.Format, Document{Schema: Schema, Kind: kind, Items: items})
	case "table":
		return table(items).WriteAligned(s.Out)
	case "tsv":
		return table(items).WriteTSV(s.Out)
	case "":
		if s.Terminal {
			return table(items).WriteAligned(s.Out)
		}
		return table(items).WriteTSV(s.Out)
	}
	return exit.Errorf(exit.Usage, "-o %s: want %s", o.Format, strings.Join(Formats(), ", "))
}

// Encode writes v as indented JSON or as YAML.
func Encode(w io.Writer, format string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	text = append(text, '\n')
	if format == "yaml" {
		if text, err = yaml.JSONToYAML(text); err != nil {
			return fmt.Errorf("encode output: %w", err)
		}
	}
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

func eachJSON[T any](w io.Writer, items []T) error {
	enc := json.NewEncoder(w)
	for _, item := range items {
		if err := enc.Encode(item); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

func eachTemplate[T any](w io.Writer, text string, items []T) error {
	t, err := template.New("format").Funcs(template.FuncMap{"json": marshal, "join": join}).Parse(text)
	if err != nil {
		return exit.Errorf(exit.Usage, "--format: %w", err)
	}
	for _, item := range items {
		if err := t.Execute(w, item); err != nil {
			return exit.Errorf(exit.Usage, "--format: %w", err)
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

// marshal and join are the functions that Docker's templates use most.
func marshal(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

func join(list any, separator string) string {
	v := reflect.ValueOf(list)
	if v.Kind() != reflect.Slice {
		return fmt.Sprint(list)
	}
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = fmt.Sprint(v.Index(i).Interface())
	}
	return strings.Join(parts, separator)
}
