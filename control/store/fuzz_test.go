// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
)

// FuzzFile opens any file at all: it is a state file, or is called corrupt and
// left as it is.
func FuzzFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "whole.db")
	db, err := Open(Config{Path: path})
	if err != nil {
		f.Fatal(err)
	}
	for i := range 20 {
		r := control.Record{Kind: control.KindNetwork, Key: strconv.Itoa(i), Value: bytes.Repeat([]byte("x"), 300)}
		if err := db.Commit(context.Background(), []control.Record{r}); err != nil {
			f.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	// A file of many pages is too large to be changed much: change is what is written to it, at and after an offset.
	f.Add(uint32(len(whole)), uint32(0), []byte{})
	for _, at := range []uint32{8, 16, 24, 4096 + 64, 8192, 8192 + 8, 8192 + 16, 12288 + 12, 16384 + 20} {
		f.Add(uint32(len(whole)), at, []byte{0xff, 0xff})
		f.Add(at, uint32(0), []byte{})
	}
	f.Fuzz(func(t *testing.T, size, at uint32, change []byte) {
		damaged := bytes.Clone(whole[:min(int(size), len(whole))])
		if int(at) < len(damaged) {
			copy(damaged[at:], change)
		}
		path := filepath.Join(t.TempDir(), "state.db")
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(Config{Path: path})
		if err == nil {
			err = errors.Join(db.Load(context.Background(), func(control.Record) error { return nil }), db.Close())
			if err != nil && !errors.Is(err, api.Corrupt) {
				t.Errorf("%d bytes, %x at %d: %v", size, change, at, err)
			}
			return
		}
		if !errors.Is(err, api.Corrupt) {
			t.Errorf("%d bytes, %x at %d: %v, want an error that says corrupt", size, change, at, err)
		}
		if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, damaged) {
			t.Errorf("%d bytes, %x at %d: the file has changed, %v", size, change, at, err)
		}
	})
}
