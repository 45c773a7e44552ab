// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
)

// Tries is a histogram: how often the programs had to try until a session had a source port that was free.
type Tries struct{ m *ebpf.Map }

// TriesFailed is the number of the last class: no port was free after the most tries.
const TriesFailed = 8

// Name of the map.
func (t *Tries) Name() string { return bpf.VethwayMapTries }

// Counts are the sessions of each class, on all CPUs together.
func (t *Tries) Counts() ([]uint64, error) {
	counts := make([]uint64, TriesFailed+1)
	for i := range counts {
		var err error
		if counts[i], err = t.count(uint32(i)); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

func (t *Tries) count(class uint32) (uint64, error) {
	var perCPU []uint64
	if err := t.m.Lookup(&class, &perCPU); err != nil {
		return 0, fmt.Errorf("read tries[%d]: %w", class, err)
	}
	var total uint64
	for _, n := range perCPU {
		total += n
	}
	return total, nil
}

// TriesOf names a class by its tries: "1", "2", "3-4", and "failed" for the last.
func TriesOf(class int) string {
	switch {
	case class >= TriesFailed:
		return "failed"
	case class < 2:
		return fmt.Sprint(1 << class)
	}
	return fmt.Sprintf("%d-%d", 1<<(class-1)+1, 1<<class)
}

func triesDecoder(m *ebpf.Map) decoder {
	t := &Tries{m}
	row := func(class uint32) (Row, error) {
		n, err := t.count(class)
		return Row{{"class", class}, {"tries", TriesOf(int(class))}, {"sessions", n}}, err
	}
	return decoder{
		each: func(yield func(Row) bool) error {
			for class := range uint32(TriesFailed + 1) {
				if r, err := row(class); err != nil || !yield(r) {
					return err
				}
			}
			return nil
		},
		get: func(s string) (Row, error) {
			class, err := parseNumber(s)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrBadKey, err)
			}
			if class > TriesFailed {
				return nil, fmt.Errorf("%s %s: %w", t.Name(), s, ErrNoEntry)
			}
			return row(class)
		},
	}
}
