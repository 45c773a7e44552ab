// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
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
	cgroup := "" // where this process is
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

func serve(order Order, cgroup *string) (Reply, error) {
	if order.Cgroup != "" && order.Cgroup != *cgroup {
		if err := join(order.Cgroup); err != nil {
			return Reply{}, err
		}
		*cgroup = order.Cgroup
	}
	return Run(order)
}

// join has this process make its sockets in a cgroup from now on.
func join(dir string) error {
	const self = "0"
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(self), 0); err != nil {
		return fmt.Errorf("join a cgroup: %w", err)
	}
	return nil
}
