// SPDX-License-Identifier: Apache-2.0

package controltest

import "sync"

// Fault is what should go wrong with one call.
type Fault struct {
	// Err is returned.
	Err error
	// After has the call do its work before it fails.
	After bool
}

// Faults decides what goes wrong. The zero value has nothing go wrong.
type Faults struct {
	mu     sync.Mutex
	decide func(op string) Fault
}

// Set has decide called before every operation, with its name, such as "EnsureBridge"; nil ends that.
func (f *Faults) Set(decide func(op string) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.decide = decide
}

// run does an operation, unless it is to fail.
func (f *Faults) run(op string, do func() error) error {
	f.mu.Lock()
	decide := f.decide
	f.mu.Unlock()
	var fault Fault
	if decide != nil {
		fault = decide(op)
	}
	if fault.Err != nil && !fault.After {
		return fault.Err
	}
	if err := do(); err != nil {
		return err
	}
	return fault.Err
}
