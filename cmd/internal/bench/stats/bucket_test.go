// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A histogram that went through its list of buckets is the same one.
func TestBucketsKeepTheHistogram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var whole, again Histogram
		var lists [][]Bucket
		for _, part := range rapid.SliceOf(rapid.SliceOf(rapid.Int64Range(-5, 1<<40))).Draw(t, "parts") {
			var h Histogram
			for _, v := range part {
				whole.Record(time.Duration(v))
				h.Record(time.Duration(v))
			}
			lists = append(lists, h.Buckets())
		}
		again.Add(Sum(lists...))
		if again != whole {
			t.Fatalf("%v became %v", whole.Buckets(), again.Buckets())
		}
	})
}
