// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"bytes"
	"fmt"
	"io/fs"
)

// forbidden are words that no file may hold, in two halves so that this file
// passes too: paths of a particular machine, hosts of package registries and
// mirrors, and promises to do it later.
var forbidden = [][2]string{
	{"/wo", "rk/"}, {"/fa", "rm/"},
	{"proxy.go", "lang.org"}, {"sum.go", "lang.org"}, {"deb.de", "bian.org"}, {"py", "pi.org"},
	{"TO", "DO"}, {"FIX", "ME"}, {"XX", "X:"},
}

// forbiddenWords looks into every file, objects included. Vendored headers are
// quoted as they are.
func forbiddenWords(tree fs.FS) ([]string, error) {
	paths, err := files(tree, func(p string) bool { return !under(p, "bpf/include") })
	if err != nil {
		return nil, err
	}
	var bad []string
	for _, p := range paths {
		text, err := fs.ReadFile(tree, p)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p, err)
		}
		for _, w := range forbidden {
			word := w[0] + w[1]
			if i := bytes.Index(text, []byte(word)); i >= 0 {
				line := bytes.Count(text[:i], []byte("\n")) + 1
				bad = append(bad, fmt.Sprintf("%s:%d: holds %q", p, line, word))
			}
		}
	}
	return bad, nil
}
