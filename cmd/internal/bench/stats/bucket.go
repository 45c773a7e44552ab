// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"slices"
	"time"
)

// Bucket is one step of a histogram that is not empty: Count durations were at least From and below the next step, which
// is 3 % further.
type Bucket struct {
	From  time.Duration `json:"ns"`
	Count uint64        `json:"n"`
}

// Buckets lists the steps that are not empty.
func (h *Histogram) Buckets() []Bucket {
	var list []Bucket
	for i, n := range h.counts {
		if n > 0 {
			list = append(list, Bucket{From: time.Duration(lowerBound(i)), Count: n})
		}
	}
	return list
}

// Add counts what another histogram has listed.
func (h *Histogram) Add(list []Bucket) {
	for _, b := range list {
		h.counts[bucketOf(uint64(max(b.From, 0)))] += b.Count
		h.total += b.Count
	}
}

// Sum puts lists of buckets together.
func Sum(lists ...[]Bucket) []Bucket {
	if len(lists) == 0 || !slices.ContainsFunc(lists, func(l []Bucket) bool { return len(l) > 0 }) {
		return nil
	}
	h := new(Histogram)
	for _, l := range lists {
		h.Add(l)
	}
	return h.Buckets()
}
