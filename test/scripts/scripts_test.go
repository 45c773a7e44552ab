// SPDX-License-Identifier: Apache-2.0

package scripts

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

var update = flag.Bool("update", false, "write what the scenarios print into their golden files")

// TestMain builds the two programs: scenarios run what users run.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if testing.Short() || os.Geteuid() != 0 {
		return m.Run() // every test skips
	}
	bin, err := os.MkdirTemp("", "vethway-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin)
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", bin, "../../cmd/vethway", "../../cmd/vethwayd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the programs: %v\n%s", err, out)
		return 1
	}
	if err := os.Setenv("PATH", bin+":"+os.Getenv("PATH")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := netlab.CheckLeaks(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

func TestScripts(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "ip", "nsenter", "bridge")
	testscript.Run(t, testscript.Params{
		Dir:                "testdata",
		Setup:              setup,
		Cmds:               commands(),
		UpdateScripts:      *update,
		RequireUniqueNames: true,
	})
}

// setup makes the lab of one scenario.
func setup(env *testscript.Env) error {
	t, ok := env.T().(testing.TB)
	if !ok {
		return fmt.Errorf("a %T is no test", env.T())
	}
	script, err := os.ReadFile(filepath.Join("testdata", filepath.Base(t.Name())+".txtar"))
	if err != nil {
		return fmt.Errorf("read the scenario: %w", err)
	}
	behaviour.CoversScript(t, string(script))
	l, err := newLab(env.WorkDir)
	if err != nil {
		return err
	}
	env.Defer(func() {
		if err := l.close(); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	env.Values[labKey{}] = l
	for key, value := range l.variables() {
		env.Setenv(key, value)
	}
	return nil
}
