// SPDX-License-Identifier: Apache-2.0

package exit

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/vethway/vethway/control/api"
)

func TestCodesAreDistinct(t *testing.T) {
	seen := map[Code]string{}
	names := map[string]bool{}
	for _, e := range Table() {
		if other, ok := seen[e.Code]; ok {
			t.Errorf("%s and %s are both %d", other, e.Name, e.Code)
		}
		if names[e.Name] {
			t.Errorf("two codes are called %s", e.Name)
		}
		if !e.Daemon && !e.Client {
			t.Errorf("%s: nobody exits with it", e.Name)
		}
		seen[e.Code], names[e.Name] = e.Name, true
	}
}

func TestReport(t *testing.T) {
	refused := api.Errorf(api.PortInUse, "port 80/tcp is taken by nginx (pid 7)").WithHint("vethway port ls")
	for _, tc := range []struct {
		name string
		err  error
		code int
		text string
	}{
		{"none", nil, 0, ""},
		{"plain", errors.New("broken"), 1, "vethway: broken\n"},
		{"own", Errorf(HostBits, "host bits").WithHint("--subnet 10.0.0.0/24"), int(HostBits), "vethway: host bits\nhint: --subnet 10.0.0.0/24\n"},
		{"of the API", fmt.Errorf("run: %w", refused), api.PortInUse.ExitCode(), "vethway: run: port 80/tcp is taken by nginx (pid 7)\nhint: vethway port ls\n"},
		{"wrapped with another code", &Error{Code: NoNamespace, Err: refused}, int(NoNamespace), "vethway: port 80/tcp is taken by nginx (pid 7)\nhint: vethway port ls\n"},
		{"a command's status", errors.Join(Status(3), nil), 3, ""},
		{"several lines", errors.Join(errors.New("one"), errors.New("two")), 1, "vethway: one; two\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			if got := Report(&out, "vethway", tc.err); got != tc.code || out.String() != tc.text {
				t.Errorf("Report = %d, %q, want %d, %q", got, out.String(), tc.code, tc.text)
			}
		})
	}
}

func TestHintKeepsTheCode(t *testing.T) {
	err := Hint(api.Errorf(api.NotFound, "no network web"), "vethway network ls")
	if code, hint := Classify(err); code != Of(api.NotFound) || hint != "vethway network ls" {
		t.Errorf("Classify = %d, %q", code, hint)
	}
	if !errors.Is(err, api.NotFound) {
		t.Error("the API's code is lost")
	}
	if Hint(nil, "x") != nil {
		t.Error("a hint made an error")
	}
}
