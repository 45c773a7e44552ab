// SPDX-License-Identifier: Apache-2.0

// Package structure keeps the rules of the repository that no compiler checks:
// who may import whom, what stands at the head of a file, what a README may
// claim. Each rule is a function over a file tree, so that its test can show it
// a tree that breaks it.
package structure

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// rule looks at the tree and returns what is wrong, one line each.
type rule struct {
	name  string
	check func(fs.FS) ([]string, error)
}

// rules are all that hold for this repository.
var rules = []rule{
	{"top level", topLevel},
	{"import direction", importDirection},
	{"imports with one home", importHomes},
	{"SPDX heads", spdxHeads},
	{"package comments", packageComments},
	{"no init", noInit},
	{"words that stay outside", forbiddenWords},
	{"walks name what exists", walks},
	{"links resolve", links},
}

// files returns the paths of the tree that satisfy keep. What git does not hold
// is left out: its own folder, build output, editors' hidden folders.
func files(tree fs.FS, keep func(string) bool) ([]string, error) {
	var list []string
	err := fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // gone since the folder was read
		case err != nil:
			return err
		case d.IsDir() && (p == "bin" || hidden(p)):
			return fs.SkipDir
		case d.Type().IsRegular() && keep(p):
			list = append(list, p)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("walk the tree: %w", err)
	}
	return list, nil
}

func hidden(dir string) bool {
	return strings.HasPrefix(dir, ".") && dir != "." && dir != ".ci"
}

func suffix(endings ...string) func(string) bool {
	return func(p string) bool {
		for _, e := range endings {
			if strings.HasSuffix(p, e) {
				return true
			}
		}
		return false
	}
}

// goFile is one parsed file.
type goFile struct {
	path string
	text string
	ast  *ast.File
}

func (f goFile) dir() string     { return path.Dir(f.path) }
func (f goFile) isTest() bool    { return strings.HasSuffix(f.path, "_test.go") }
func (f goFile) generated() bool { return ast.IsGenerated(f.ast) }

// imports returns the import paths of the file.
func (f goFile) imports() []string {
	var list []string
	for _, i := range f.ast.Imports {
		list = append(list, strings.Trim(i.Path.Value, `"`))
	}
	return list
}

func goFiles(tree fs.FS) ([]goFile, error) {
	paths, err := files(tree, suffix(".go"))
	if err != nil {
		return nil, err
	}
	var list []goFile
	for _, p := range paths {
		f, err := parseGo(tree, p)
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

func parseGo(tree fs.FS, p string) (goFile, error) {
	text, err := fs.ReadFile(tree, p)
	if err != nil {
		return goFile{}, fmt.Errorf("read %s: %w", p, err)
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), p, text, parser.ParseComments)
	if err != nil {
		return goFile{}, fmt.Errorf("parse: %w", err)
	}
	return goFile{path: p, text: string(text), ast: parsed}, nil
}

// topNames is the fixed set; names that start with a dot are free.
var topNames = regexp.MustCompile(`^(\..*|bin|bpf|cmd|loader|maps|control|test|go\.(mod|sum)|` +
	`Makefile|LICENSE|LICENSES|(README|CHANGELOG|CONTRIBUTING)\.md)$`)

func topLevel(tree fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(tree, ".")
	if err != nil {
		return nil, fmt.Errorf("read the top folder: %w", err)
	}
	var bad []string
	for _, e := range entries {
		if !topNames.MatchString(e.Name()) {
			bad = append(bad, e.Name()+": the top level is fixed, this belongs into one of its folders")
		}
	}
	return bad, nil
}
