// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/vethway/vethway/test/behaviour"
)

// childEnv has the test binary make a namespace and die without cleaning up.
const childEnv = "NETLAB_TEST_DIE_AS"

func TestSweep(t *testing.T) {
	behaviour.NeedRoot(t)
	if name := os.Getenv(childEnv); name != "" {
		n, err := NewNamespace(NamespaceConfig{Name: name, Public: true})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(n.dir)
		os.Exit(0)
	}
	t.Parallel()
	alive := newNamespace(t, NamespaceConfig{})
	name := fmt.Sprintf("netlabsweep%d", os.Getpid())
	child := exec.Command(os.Args[0], "-test.run=^TestSweep$")
	child.Env = append(os.Environ(), childEnv+"="+name)
	out, err := child.Output()
	if err != nil {
		t.Fatal(err)
	}
	var dir string
	if _, err := fmt.Sscanln(string(out), &dir); err != nil {
		t.Fatalf("read %q: %v", out, err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(namedDir, name)} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	if _, err := alive.Sysctl("net.ipv4.ip_forward"); err != nil {
		t.Errorf("a namespace in use was swept: %v", err)
	}
}
