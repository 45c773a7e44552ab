// SPDX-License-Identifier: Apache-2.0

package output

import (
	"strings"
	"testing"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

type fruit struct {
	Name   string   `json:"Name"`
	Colour string   `json:"Colour"`
	Sizes  []string `json:"Sizes"`
}

func TestPrint(t *testing.T) {
	fruits := []fruit{{"apple", "red", []string{"S", "L"}}, {"fig", "", nil}}
	for _, tc := range []struct {
		name     string
		o        Options
		terminal bool
		want     string
	}{
		{"terminal", Options{}, true, "NAME   COLOUR\napple  red\nfig    -\n"},
		{"pipe", Options{}, false, "apple\tred\nfig\t\n"},
		{"table in a pipe", Options{Format: "table"}, false, "NAME   COLOUR\napple  red\nfig    -\n"},
		{"tsv on a terminal", Options{Format: "tsv"}, true, "apple\tred\nfig\t\n"},
		{"quiet", Options{Quiet: true}, true, "apple\nfig\n"},
		{"template", Options{Template: `{{.Name}}={{join .Sizes "+"}}`}, true, "apple=S+L\nfig=\n"},
		{"template json", Options{Template: "json"}, true, `{"Name":"apple","Colour":"red","Sizes":["S","L"]}` + "\n" + `{"Name":"fig","Colour":"","Sizes":null}` + "\n"},
		{"yaml", Options{Format: "yaml"}, true, "items:\n- Colour: red\n  Name: apple\n  Sizes:\n  - S\n  - L\n- Colour: \"\"\n  Name: fig\n  Sizes: null\nkind: FruitList\nschema: vethway/v1\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, out, _ := streams.Test()
			s.Terminal = tc.terminal
			if err := Print(s, tc.o, "FruitList", fruits, func(f fruit) string { return f.Name }, table); err != nil {
				t.Fatal(err)
			}
			if out.String() != tc.want {
				t.Errorf("printed\n%s, want\n%s", out, tc.want)
			}
		})
	}
}

func TestPrintNothing(t *testing.T) {
	s, out, _ := streams.Test()
	if err := Print(s, Options{Format: "json"}, "FruitList", nil, nil, table); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"items": []`) {
		t.Errorf("an empty list is printed as %s", out)
	}
}

func TestPrintRefuses(t *testing.T) {
	for _, o := range []Options{{Format: "xml"}, {Template: "{{.Nope}}"}, {Template: "{{"}} {
		s, _, _ := streams.Test()
		err := Print(s, o, "FruitList", []fruit{{}}, nil, table)
		if code, _ := exit.Classify(err); err == nil || code != exit.Usage {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func table(list []fruit) *Table {
	t := NewTable("NAME", "COLOUR")
	for _, f := range list {
		t.Row(f.Name, f.Colour)
	}
	return t
}
