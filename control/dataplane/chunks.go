// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// chunkSize is how many ports are spelled out at a time, at most.
	chunkSize = 4096
	// chunkLeast is how many it takes for another CPU to be worth its while.
	chunkLeast = 512
)

// stretch is a part of a run, on its face.
type stretch struct {
	face face
	run  run
}

// inChunks parts stretches into chunks of few enough ports, and has them done by all CPUs at a time: entries of a hash that is
// not allocated beforehand cost the kernel most of what a great request takes. It returns the first error.
func inChunks(all []stretch, do func(chunk []stretch) error) error {
	workers := uint32(runtime.GOMAXPROCS(0))
	chunks := cut(all, min(chunkSize, max(chunkLeast, (portsOf(all)+workers-1)/workers)))
	if len(chunks) == 1 {
		return do(chunks[0])
	}
	var (
		wg     sync.WaitGroup
		next   atomic.Int32
		failed atomic.Pointer[error]
	)
	for range min(int(workers), len(chunks)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(chunks) && failed.Load() == nil; i = next.Add(1) - 1 {
				if err := do(chunks[i]); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func portsOf(all []stretch) (n uint32) {
	for _, s := range all {
		n += s.run.end - s.run.first
	}
	return n
}

// cut makes chunks of size ports.
func cut(all []stretch, size uint32) [][]stretch {
	var chunks [][]stretch
	var chunk []stretch
	room := size
	for _, s := range all {
		for at := s.run.first; at < s.run.end; {
			n := min(room, s.run.end-at)
			chunk = append(chunk, stretch{s.face, s.run.part(at, at+n)})
			at += n
			if room -= n; room == 0 {
				chunks, chunk, room = append(chunks, chunk), nil, size
			}
		}
	}
	if len(chunk) > 0 {
		chunks = append(chunks, chunk)
	}
	return chunks
}
