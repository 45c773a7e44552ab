// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"errors"
	"fmt"
	"go/ast"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// walkRef is how a walk names a function: `bpf/lib/nat.h:nat_alloc_port`,
// `control/engine.go:Engine.Reconcile`, with the path from the top.
var walkRef = regexp.MustCompile("`([A-Za-z0-9_./-]+\\.(?:go|c|h)):([A-Za-z_][A-Za-z0-9_.]*)(?:\\(\\))?`")

// walks checks that every `file:function` of every README exists.
func walks(tree fs.FS) ([]string, error) {
	return inDocs(tree, func(p, text string) []string {
		var bad []string
		for _, m := range walkRef.FindAllStringSubmatch(text, -1) {
			if why := lacks(tree, m[1], m[2]); why != "" {
				bad = append(bad, fmt.Sprintf("%s: `%s:%s`: %s", p, m[1], m[2], why))
			}
		}
		return bad
	})
}

// lacks says what is missing for name to be a function in the file.
func lacks(tree fs.FS, file, name string) string {
	if !fs.ValidPath(file) {
		return "not a path from the top of the repository"
	}
	text, err := fs.ReadFile(tree, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case err != nil:
		return err.Error()
	}
	found := false
	if strings.HasSuffix(file, ".go") {
		f, err := parseGo(tree, file)
		if err != nil {
			return err.Error()
		}
		found = hasGoFunc(f, name)
	} else {
		found = hasCFunc(string(text), name)
	}
	if !found {
		return "the file has no such function"
	}
	return ""
}

// hasGoFunc finds Func, or Type.Method.
func hasGoFunc(f goFile, name string) bool {
	for _, d := range f.ast.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if ok && (fn.Recv == nil && fn.Name.Name == name || fn.Recv != nil && receiver(fn)+"."+fn.Name.Name == name) {
			return true
		}
	}
	return false
}

func receiver(fn *ast.FuncDecl) string {
	t := fn.Recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	if i, ok := t.(*ast.IndexExpr); ok {
		t = i.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// hasCFunc finds a definition in kernel style: it starts at the left margin, and
// its parameter list is not followed by a semicolon, which is a prototype.
func hasCFunc(text, name string) bool {
	def := regexp.MustCompile(`(?m)^(?:[A-Za-z_][A-Za-z0-9_ \t*()"/,]*[ \t*])?` + regexp.QuoteMeta(name) + `\([^;{]*?\)\s*\{|^#define ` + regexp.QuoteMeta(name) + `\(`)
	return def.MatchString(text)
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```")
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	notSlug = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// links checks that the relative links of every document lead somewhere, its
// anchors included.
func links(tree fs.FS) ([]string, error) {
	return inDocs(tree, func(p, text string) []string {
		var bad []string
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if why := deadLink(tree, p, m[1]); why != "" {
				bad = append(bad, fmt.Sprintf("%s: link to %s: %s", p, m[1], why))
			}
		}
		return bad
	})
}

func deadLink(tree fs.FS, from, to string) string {
	target, anchor, _ := strings.Cut(to, "#")
	file := from
	if target != "" {
		file = path.Join(path.Dir(from), target)
	}
	if !fs.ValidPath(file) {
		return "leads out of the repository"
	}
	if _, err := fs.Stat(tree, file); err != nil {
		return "there is no such file"
	}
	if anchor == "" || !strings.HasSuffix(file, ".md") {
		return ""
	}
	text, err := fs.ReadFile(tree, file)
	if err != nil {
		return err.Error()
	}
	for _, h := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(string(text), ""), -1) {
		if slug(h[1]) == anchor {
			return ""
		}
	}
	return "there is no such heading"
}

// slug is the anchor that a heading gets.
func slug(h string) string {
	return strings.ReplaceAll(notSlug.ReplaceAllString(strings.ToLower(h), ""), " ", "-")
}

// inDocs runs check on every Markdown file.
func inDocs(tree fs.FS, check func(p, text string) []string) ([]string, error) {
	paths, err := files(tree, suffix(".md"))
	if err != nil {
		return nil, err
	}
	var bad []string
	for _, p := range paths {
		text, err := fs.ReadFile(tree, p)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p, err)
		}
		bad = append(bad, check(p, string(text))...)
	}
	return bad, nil
}
