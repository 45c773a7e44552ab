// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// member is what a reader makes of an entry.
type member struct {
	name               string
	mode, major, minor int
	data               []byte
}

// unpack reads the format by its definition, not by our writer.
func unpack(t *testing.T, b []byte) []member {
	t.Helper()
	var all []member
	for at := 0; ; {
		if at%4 != 0 || len(b) < at+110 || string(b[at:at+6]) != "070701" {
			t.Fatalf("no header at %d of %d", at, len(b))
		}
		field := func(i int) int {
			v, err := strconv.ParseUint(string(b[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(v)
		}
		size, name := field(6), field(11)
		m := member{name: string(b[at+110 : at+110+name-1]), mode: field(1), major: field(9), minor: field(10)}
		if b[at+110+name-1] != 0 {
			t.Fatalf("the name %q has no end", m.name)
		}
		at = (at + 110 + name + 3) &^ 3
		m.data = b[at : at+size]
		at = (at + size + 3) &^ 3
		if m.name == "TRAILER!!!" {
			if at != len(b) {
				t.Errorf("%d bytes behind the trailer", len(b)-at)
			}
			return all
		}
		all = append(all, m)
	}
}

func TestArchive(t *testing.T) {
	from := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(from, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := archive{dirs: []string{"dev", "tests"}}
	a.add("tests/packet", from)
	job := plan{Modules: []string{"/modules/veth.ko"}, Suites: []suite{{Name: "packet", Args: []string{"-test.v"}}}}
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := a.pack(&b, job); err != nil {
		t.Fatal(err)
	}
	want := []member{
		{"dev", 0o040755, 0, 0, nil},
		{"tests", 0o040755, 0, 0, nil},
		{"dev/console", 0o020600, 5, 1, nil},
		{"dev/null", 0o020666, 1, 3, nil},
		{"plan.json", 0o100644, 0, 0, text},
		{"tests/packet", 0o100755, 0, 0, []byte("12345")},
	}
	got := unpack(t, b.Bytes())
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i, w := range want {
		if g := got[i]; g.name != w.name || g.mode != w.mode || g.major != w.major || g.minor != w.minor || !bytes.Equal(g.data, w.data) {
			t.Errorf("entry %d: %+v, want %+v", i, g, w)
		}
	}
}

func TestArchiveErrors(t *testing.T) {
	a := archive{}
	a.add("x", filepath.Join(t.TempDir(), "nothing"))
	if err := a.pack(&bytes.Buffer{}, plan{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := (&archive{}).pack(full{}, plan{}); !errors.Is(err, errFull) {
		t.Errorf("a full disk: %v", err)
	}
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
