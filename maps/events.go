// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/vethway/vethway/bpf"
)

// Events is what the programs report. Each event is read once, by whoever reads first: what comes while nobody reads waits,
// as far as there is room.
type Events struct{ m *ebpf.Map }

// Event tells that a container was refused a flow. There is at most one a second for each container.
type Event struct {
	Key     FlowKey // of the packet
	Reason  uint32  // Names.Reason spells it
	Second  uint32  // CLOCK_MONOTONIC
	Refused uint64  // flows, since the container was attached
}

// wireEvent is struct event of bpf/lib/layout.h. Only code refers to that, so that the object has no type information of
// it; a test compares the two.
type wireEvent struct {
	Key     bpf.VethwayFlowKey
	Reason  uint32
	Ifindex uint32
	Network uint32
	Second  uint32
	Refused uint64
}

// Read calls yield for each event until ctx ends. It sleeps while there are none.
func (e *Events) Read(ctx context.Context, yield func(Event)) error {
	r, err := ringbuf.NewReader(e.m)
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = r.Close() // again below, which says whether it failed
	})
	err = readEvents(r, yield)
	if !stop() {
		<-closed
	}
	if ctx.Err() != nil && errors.Is(err, os.ErrClosed) {
		err = nil
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return nil
}

func readEvents(r *ringbuf.Reader, yield func(Event)) error {
	var record ringbuf.Record
	for {
		if err := r.ReadInto(&record); err != nil {
			return err
		}
		// A newer program may say more.
		if len(record.RawSample) < int(unsafe.Sizeof(wireEvent{})) {
			continue
		}
		var w wireEvent
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&w)), unsafe.Sizeof(w)), record.RawSample)
		yield(Event{
			Key: fromFlowKey(w.Key), Reason: w.Reason, Second: w.Second, Refused: w.Refused,
		})
	}
}
