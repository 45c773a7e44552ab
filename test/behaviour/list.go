// SPDX-License-Identifier: Apache-2.0

package behaviour

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed behaviours.tsv
var listText string

// Behaviour is one promise, as behaviours.tsv lists it.
type Behaviour struct {
	ID string
	// Required says that this release must prove it.
	Required bool
	// Families is Both if IPv4 and IPv6 must each be proven, None if the
	// address family plays no part.
	Families string
	// Summary is the promise in one line.
	Summary string
}

// All returns every listed behaviour in the order of the list.
func All() []Behaviour {
	list, err := parseList(listText)
	if err != nil {
		// The text is compiled in, and TestListParses reads it.
		panic(err)
	}
	return list
}

// Lookup finds a behaviour by its number.
func Lookup(id string) (Behaviour, bool) {
	for _, b := range All() {
		if b.ID == id {
			return b, true
		}
	}
	return Behaviour{}, false
}

// parseList reads tab-separated lines: id, required or later, families, summary.
// Empty lines and lines starting with # are comments.
func parseList(text string) ([]Behaviour, error) {
	var list []Behaviour
	seen := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 4 {
			return nil, fmt.Errorf("behaviours.tsv line %d: %d columns, want 4", i+1, len(f))
		}
		b := Behaviour{ID: f[0], Required: f[1] == "required", Families: f[2], Summary: f[3]}
		if f[1] != "required" && f[1] != "later" {
			return nil, fmt.Errorf("behaviours.tsv line %d: %q is neither required nor later", i+1, f[1])
		}
		if b.Families != Both && b.Families != None {
			return nil, fmt.Errorf("behaviours.tsv line %d: families %q is neither both nor -", i+1, f[2])
		}
		if seen[b.ID] {
			return nil, fmt.Errorf("behaviours.tsv line %d: %s is listed twice", i+1, b.ID)
		}
		seen[b.ID] = true
		list = append(list, b)
	}
	return list, nil
}
