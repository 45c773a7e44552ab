// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestCodesHaveDistinctExitCodes(t *testing.T) {
	seen := map[int]Code{}
	for code := range classes {
		exit := code.ExitCode()
		if other, ok := seen[exit]; ok || exit < 3 || exit > 124 {
			t.Errorf("%s exits with %d, as does %q", code, exit, other)
		}
		seen[exit] = code
		if s := code.HTTPStatus(); s < 400 || s > 599 {
			t.Errorf("%s has status %d", code, s)
		}
	}
	if Code("new").HTTPStatus() != 500 || Code("new").ExitCode() != 1 {
		t.Error("an unknown code is not an internal error")
	}
}

func TestErrors(t *testing.T) {
	inner := Errorf(PortInUse, "port 80 is taken: %w", fs.ErrExist).WithHint("take %d", 81)
	err := fmt.Errorf("publish: %w", inner)
	if !errors.Is(err, PortInUse) || errors.Is(err, NotFound) || !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v is not what it should be", err)
	}
	e := AsError(err)
	if e.Code != PortInUse || e.Hint != "take 81" || e.Message != "publish: port 80 is taken: file already exists" {
		t.Errorf("got %+v", e)
	}
	for err, want := range map[error]Code{
		errors.New("x"): Internal, context.Canceled: Canceled, fmt.Errorf("x: %w", context.DeadlineExceeded): Canceled,
		fmt.Errorf("x: %w", NotFound): NotFound,
	} {
		if got := AsError(err).Code; got != want {
			t.Errorf("%v has code %s, want %s", err, got, want)
		}
	}
	for err, want := range map[error]int{nil: 0, errors.New("x"): 1, NotFound: 4, fmt.Errorf("x: %w", inner): 8} {
		if got := ExitCode(err); got != want {
			t.Errorf("%v exits with %d, want %d", err, got, want)
		}
	}
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "vethway.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Listen(path); !errors.Is(err, Locked) {
		t.Errorf("second listener: %v", err)
	}
	// A daemon that was killed leaves its socket behind.
	if err := l.(*socket).UnixListener.Close(); err != nil {
		t.Fatal(err)
	}
	l, err = Listen(path)
	if err != nil {
		t.Fatalf("after a crash: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); !errors.Is(err, Conflict) {
		t.Errorf("over a file: %v", err)
	}
}
