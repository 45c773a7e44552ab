// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// Row is one decoded entry of a map. Names of fields are stable and in a stable order: fields may be added, none is
// renamed or removed. Values are numbers, strings, lists of strings, and types that marshal to text.
type Row []Field

// Field is one column of a Row.
type Field struct {
	Name  string
	Value any
}

// MarshalJSON writes the row as an object that keeps the order of the fields.
func (r Row) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range r {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(f.Value)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", f.Name, err)
		}
		fmt.Fprintf(&b, "%q:%s", f.Name, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Names of the fields.
func (r Row) Names() []string {
	names := make([]string, len(r))
	for i, f := range r {
		names[i] = f.Name
	}
	return names
}

// Text is each value as a table shows it; what is absent is a hyphen.
func (r Row) Text() []string {
	text := make([]string, len(r))
	for i, f := range r {
		switch v := f.Value.(type) {
		case nil:
			text[i] = "-"
		case []string:
			text[i] = strings.Join(v, ",")
		default:
			text[i] = fmt.Sprint(v)
		}
		if text[i] == "" {
			text[i] = "-"
		}
	}
	return text
}

// Get returns the value of a field, nil if there is none of that name.
func (r Row) Get(name string) any {
	for _, f := range r {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}

// optional is the value of a field whose address may be absent.
func optional(a netip.Addr) any {
	if !a.IsValid() {
		return nil
	}
	return a
}

// bitNames names the bits that are set, from the lowest on; one without a name is given by its number.
func bitNames(bits uint32, names ...string) []string {
	set := []string{}
	for i := range 32 {
		switch {
		case bits&(1<<i) == 0:
		case i < len(names):
			set = append(set, names[i])
		default:
			set = append(set, fmt.Sprintf("bit%d", i))
		}
	}
	return set
}
