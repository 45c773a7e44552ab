// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"testing"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/test/behaviour"
)

func TestNamespace(t *testing.T) {
	behaviour.NeedRoot(t)
	dir := In(t.TempDir())
	path, err := dir.Create("c1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dir.Remove("c1"); err != nil {
			t.Error(err)
		}
	})
	if _, err := dir.Create("c1"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the same name again: %v", err)
	}
	if names, err := dir.Names(); err != nil || len(names) != 1 || names[0] != "c1" {
		t.Errorf("Names = %v, %v", names, err)
	}
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(path, []string{"sh", "-c", `test "$(readlink /proc/self/ns/net)" != "` + own + `" && grep -q . /proc/net/dev && exit 7`})
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.Write("c1", p.PID(), []string{"sh"}); err != nil {
		t.Fatal(err)
	}
	if r, err := dir.Read("c1"); err != nil || r.PID != p.PID() || !r.Running() {
		t.Errorf("Read = %+v, %v", r, err)
	}
	var status exit.Status
	if err := p.Wait(); !errors.As(err, &status) || status != 7 {
		t.Errorf("Wait = %v, want status 7", err)
	}
	if now, err := os.Readlink("/proc/self/ns/net"); err != nil || now != own {
		t.Errorf("the process is in %s now, %v", now, err)
	}
	if err := dir.Remove("c1"); err != nil {
		t.Fatal(err)
	}
	if err := dir.Remove("c1"); err != nil {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the namespace is still there: %v", err)
	}
}

func TestStartFailures(t *testing.T) {
	behaviour.NeedRoot(t)
	plain := t.TempDir() + "/plain"
	if err := os.WriteFile(plain, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		command string
		want    exit.Code
	}{{"no-such-command", exit.CommandMissing}, {"/no/such/command", exit.CommandMissing}, {plain, exit.CannotInvoke}} {
		_, err := Start("/proc/self/ns/net", []string{tc.command})
		if code, _ := exit.Classify(err); code != tc.want {
			t.Errorf("%s: %v, exit code %d, want %d", tc.command, err, code, tc.want)
		}
	}
	if _, err := Start("/no/such/namespace", []string{"true"}); err == nil {
		t.Error("started in a namespace that does not exist")
	}
}

func TestRunningTellsASuccessor(t *testing.T) {
	born, err := startTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !(Record{Runner: os.Getpid(), Born: born}).Running() {
		t.Error("this very process does not run")
	}
	if (Record{Runner: os.Getpid(), Born: born + "0"}).Running() {
		t.Error("a later process with the same number was taken for it")
	}
	if _, err := strconv.ParseUint(born, 10, 64); err != nil {
		t.Errorf("start time %q: %v", born, err)
	}
}
