// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/vethway/vethway/test/netlab"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		for _, find := range []func() error{func() error { return goleak.Find() }, netlab.CheckLeaks} {
			if err := find(); err != nil {
				fmt.Fprintln(os.Stderr, "leak:", err)
				code = 1
			}
		}
	}
	os.Exit(code)
}
