// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"context"
	"time"
)

// TB is what the Must functions need of testing.TB, so that programs which are
// no tests can use this package without linking the testing package.
type TB interface {
	Helper()
	Cleanup(func())
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Name() string
}

// Must is New for tests: it fails the test, and closes with it.
func Must(t TB, cfg Config) *Topology {
	t.Helper()
	topo, err := New(cfg)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := topo.Close(); err != nil {
			t.Errorf("%v", err)
		}
	})
	return topo
}

// MustWhoami is Whoami for tests, on every address and over tcp and udp.
func MustWhoami(t TB, ns *Namespace, port uint16) *Server {
	t.Helper()
	s, err := Whoami(t.Context(), ns, ServerConfig{Port: port})
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// CheckLeaks is for TestMain: it waits for threads that are just ending, and
// returns what Leaks still reports then.
func CheckLeaks() error {
	var err error
	for range 50 {
		if err = Leaks(); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}
