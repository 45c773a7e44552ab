// SPDX-License-Identifier: Apache-2.0

package controltest

import (
	"context"
	"maps"
	"sync"

	"github.com/vethway/vethway/control"
)

// Store keeps records in memory. It outlives the engine that writes to it, as a file does.
type Store struct {
	*Faults
	mu      sync.Mutex
	records map[key][]byte
	commits int
}

type key struct {
	kind control.Kind
	key  string
}

var _ control.Store = (*Store)(nil)

// NewStore makes an empty Store.
func NewStore(faults *Faults) *Store { return &Store{Faults: faults, records: map[key][]byte{}} }

// Load implements control.Store.
func (s *Store) Load(_ context.Context, yield func(control.Record) error) error {
	return s.run("Load", func() error {
		s.mu.Lock()
		records := maps.Clone(s.records)
		s.mu.Unlock()
		for k, value := range records {
			if err := yield(control.Record{Kind: k.kind, Key: k.key, Value: value}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Commit implements control.Store.
func (s *Store) Commit(ctx context.Context, records []control.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.run("Commit", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.commits++
		for _, r := range records {
			if r.Value == nil {
				delete(s.records, key{r.Kind, r.Key})
			} else {
				s.records[key{r.Kind, r.Key}] = r.Value
			}
		}
		return nil
	})
}

// Put writes a record behind the engine's back.
func (s *Store) Put(kind control.Kind, name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[key{kind, name}] = []byte(value)
}

// Len counts the records of a kind.
func (s *Store) Len(kind control.Kind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for k := range s.records {
		if k.kind == kind {
			n++
		}
	}
	return n
}

// Commits is how often Commit succeeded.
func (s *Store) Commits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commits
}
