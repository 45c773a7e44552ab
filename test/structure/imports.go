// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"fmt"
	"io/fs"
	"strings"
)

const module = "github.com/vethway/vethway/"

// mayImport lists, by folder, which folders of this module a package may
// import: bpf <- maps <- loader <- control/dataplane <- cmd. The longest folder
// that matches decides. The engine and its parts know nothing of the kernel
// side: control/dataplane alone joins the two. loader/excursion knows nothing but
// threads, loader/mounts nothing but mounts. The benchmark sets up the same
// topologies and rivals as the tests do.
var mayImport = map[string][]string{
	"bpf":                {"bpf"},
	"maps":               {"bpf", "maps"},
	"loader":             {"bpf", "maps", "loader"},
	"loader/excursion":   {},
	"loader/mounts":      {},
	"control":            {"control"},
	"control/link":       {"control", "loader/excursion"},
	"control/dataplane":  {"bpf", "maps", "loader", "control"},
	"cmd":                {"bpf", "maps", "loader", "control", "cmd"},
	"cmd/internal/bench": {"bpf", "maps", "loader", "control", "cmd", "test"},
	"test":               {"bpf", "maps", "loader", "control", "cmd", "test"},
}

func importDirection(tree fs.FS) ([]string, error) {
	list, err := goFiles(tree)
	if err != nil {
		return nil, err
	}
	var bad []string
	for _, f := range list {
		folder := home(f.dir())
		for _, imp := range f.imports() {
			target, ours := strings.CutPrefix(imp, module)
			switch {
			case !ours, f.external(), f.forTests() && under(target, "test"):
				continue
			case !f.forTests() && testHelper(target):
				bad = append(bad, fmt.Sprintf("%s imports %s: it is for tests", f.path, target))
				continue
			}
			if !underAny(target, mayImport[folder]) || target == "control/dataplane" && folder == "control" {
				bad = append(bad, fmt.Sprintf("%s imports %s: %s may import only %v", f.path, target, folder, mayImport[folder]))
			}
		}
	}
	return bad, nil
}

// testHelper knows the packages that help other packages' tests by their name, as
// in net/http/httptest.
func testHelper(dir string) bool { return strings.HasSuffix(dir, "test") && !under(dir, "test") }

// forTests reports whether the file is a test or helps tests.
func (f goFile) forTests() bool {
	return f.isTest() || testHelper(f.dir()) || under(f.dir(), "test")
}

// external tests are packages of their own, so they bind the product to nothing:
// those of maps load the real programs to have maps to read.
func (f goFile) external() bool {
	return f.isTest() && strings.HasSuffix(f.ast.Name.Name, "_test")
}

// home is the longest folder of mayImport that holds dir.
func home(dir string) string {
	best := ""
	for folder := range mayImport {
		if under(dir, folder) && len(folder) > len(best) {
			best = folder
		}
	}
	return best
}

// homes names libraries that only some folders may import, tests included: what
// they know of the kernel stays there.
var homes = []struct {
	library string
	folders []string
}{
	{"github.com/cilium/ebpf", []string{"bpf", "maps", "loader", "test/packet", "test/rivals/redirect", "test/rivals/leastnat", "test/rivals/leastsplice", "cmd/internal/bench/frames", "cmd/internal/bench/floor"}},
	{"github.com/vishvananda/netlink", []string{"control/link", "test/netlab"}},
}

func importHomes(tree fs.FS) ([]string, error) {
	list, err := goFiles(tree)
	if err != nil {
		return nil, err
	}
	var bad []string
	for _, f := range list {
		for _, imp := range f.imports() {
			for _, h := range homes {
				if under(imp, h.library) && !underAny(f.dir(), h.folders) {
					bad = append(bad, fmt.Sprintf("%s imports %s: only %v may", f.path, imp, h.folders))
				}
			}
		}
	}
	return bad, nil
}

// under reports whether p is folder or lies within it.
func under(p, folder string) bool {
	return p == folder || strings.HasPrefix(p, folder+"/")
}

func underAny(p string, folders []string) bool {
	for _, f := range folders {
		if under(p, f) {
			return true
		}
	}
	return false
}
