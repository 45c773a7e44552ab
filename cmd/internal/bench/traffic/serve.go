// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"runtime/debug"
)

// Serve is the subprocess: it carries out the orders that come in, one after the other, until there are no more.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	// The main thread stays out of every namespace and off every CPU list.
	runtime.LockOSThread()
	// A collection would wait for threads that sit in raw system calls; it is done between samples instead.
	debug.SetGCPercent(-1)
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	cgroup := "" // where this process has gone
	for ctx.Err() == nil {
		var order Order
		if err := decoder.Decode(&order); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read order: %w", err)
		}
		reply, err := serve(order, &cgroup)
		if err != nil {
			reply = Reply{Error: err.Error()}
		}
		if err := encoder.Encode(reply); err != nil {
			return fmt.Errorf("write reply: %w", err)
		}
		runtime.GC()
	}
	return ctx.Err()
}

// serve carries out an order. Threads can join only what is part of the cgroup that their process is in, so that goes there first: once, since it
// takes a grace period.
func serve(order Order, cgroup *string) (Reply, error) {
	if above := filepath.Dir(order.Cgroup); order.Cgroup != "" && above != *cgroup {
		if err := join(above, "cgroup.procs"); err != nil {
			return Reply{}, err
		}
		*cgroup = above
	}
	return Run(order)
}
