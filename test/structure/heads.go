// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"fmt"
	"go/ast"
	"io/fs"
	"path"
	"strings"
)

const spdx = "SPDX-License-Identifier: "

// spdxHeads checks the licence line of every file that people write. Vendored
// headers keep the licence they came with, but must name one.
func spdxHeads(tree fs.FS) ([]string, error) {
	paths, err := files(tree, func(p string) bool {
		return suffix(".go", ".c", ".h", ".sh")(p) || path.Dir(p) == ".ci"
	})
	if err != nil {
		return nil, err
	}
	var bad []string
	for _, p := range paths {
		text, err := fs.ReadFile(tree, p)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p, err)
		}
		if why := headProblem(p, string(text)); why != "" {
			bad = append(bad, p+": "+why)
		}
	}
	return bad, nil
}

func headProblem(p, text string) string {
	// Go would hand a .c file to cgo without this line, which must come first.
	if strings.HasSuffix(p, ".c") {
		text = strings.TrimPrefix(text, "//go:build ignore\n\n")
	}
	lines := strings.SplitN(text, "\n", 6)
	switch {
	case strings.HasSuffix(p, ".go"):
		if strings.HasPrefix(text, "// Code generated ") || lines[0] == "// "+spdx+"Apache-2.0" {
			return ""
		}
		return "the first line is not // " + spdx + "Apache-2.0"
	case strings.HasSuffix(p, ".sh"), path.Dir(p) == ".ci":
		if len(lines) > 1 && lines[1] == "# "+spdx+"Apache-2.0" {
			return ""
		}
		return "the second line is not # " + spdx + "Apache-2.0"
	case under(p, "bpf/include"):
		if strings.Contains(strings.Join(lines[:min(5, len(lines))], "\n"), spdx) {
			return ""
		}
		return "no " + spdx + "line in the first five"
	case strings.Contains(lines[0], spdx+"GPL-2.0-only OR BSD-2-Clause"):
		return ""
	}
	return "the first line is not " + spdx + "GPL-2.0-only OR BSD-2-Clause"
}

// packageComments checks that every package says what it is for.
func packageComments(tree fs.FS) ([]string, error) {
	list, err := goFiles(tree)
	if err != nil {
		return nil, err
	}
	type pkg struct{ dir, name string }
	documented := map[pkg]bool{}
	var order []pkg
	for _, f := range list {
		name := f.ast.Name.Name
		if strings.HasSuffix(name, "_test") {
			continue
		}
		p := pkg{f.dir(), name}
		if _, seen := documented[p]; !seen {
			order = append(order, p)
			documented[p] = false
		}
		want := "Package " + name
		if name == "main" {
			want = "Command "
		}
		if f.ast.Doc != nil && strings.HasPrefix(f.ast.Doc.Text(), want) {
			documented[p] = true
		}
	}
	var bad []string
	for _, p := range order {
		if !documented[p] {
			bad = append(bad, fmt.Sprintf("%s: package %s has no comment that starts with Package or Command", p.dir, p.name))
		}
	}
	return bad, nil
}

// noInit forbids init functions: what a program does, its main says.
func noInit(tree fs.FS) ([]string, error) {
	list, err := goFiles(tree)
	if err != nil {
		return nil, err
	}
	var bad []string
	for _, f := range list {
		if f.generated() {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				bad = append(bad, f.path+": has an init function")
			}
		}
	}
	return bad, nil
}
