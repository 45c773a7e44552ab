// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"math/bits"
	"time"
)

// A value falls into one of 32 equal steps of its power of two, so a percentile is right to about 3 %.
const (
	stepBits = 5
	steps    = 1 << stepBits
	buckets  = (64 - stepBits + 1) * steps
)

// Histogram counts durations in a fixed array: recording allocates nothing and takes a few nanoseconds.
type Histogram struct {
	counts [buckets]uint64
	total  uint64
}

// Record counts one duration; a negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	h.counts[bucketOf(uint64(max(d, 0)))]++
	h.total++
}

// Count is the number of durations recorded.
func (h *Histogram) Count() uint64 { return h.total }

// Merge adds the other histogram's counts.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// Percentile returns the lower bound of the bucket that holds the p-th percentile (0 < p <= 100), zero when empty.
func (h *Histogram) Percentile(p float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(uint64(p/100*float64(h.total)+0.5), 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return time.Duration(lowerBound(i))
		}
	}
	return time.Duration(lowerBound(buckets - 1))
}

func bucketOf(v uint64) int {
	if v < steps {
		return int(v)
	}
	exponent := bits.Len64(v) - stepBits - 1
	return (exponent+1)<<stepBits + int(v>>exponent) - steps
}

func lowerBound(bucket int) uint64 {
	if bucket < steps {
		return uint64(bucket)
	}
	exponent := bucket>>stepBits - 1
	return uint64(steps+bucket&(steps-1)) << exponent
}
