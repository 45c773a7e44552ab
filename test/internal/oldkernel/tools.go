// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// plugins are the directories beside the C library whose files some tool loads while it runs.
var plugins = map[string]string{"iptables": "xtables", "ip6tables": "xtables"}

// addTool adds a program of this machine, and the libraries that it is linked with. One that has several names, and
// asks by which it was called, is there by each.
func (a *archive) addTool(ctx context.Context, name string) error {
	path, err := exec.LookPath(name)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	a.add("bin/"+name, path)
	libs, err := libraries(ctx, path)
	if err != nil {
		return err
	}
	for _, lib := range libs {
		a.add(strings.TrimPrefix(lib, "/"), lib)
	}
	dir, ok := plugins[name]
	if !ok {
		return nil
	}
	files, err := pluginsBeside(libs, dir)
	if err != nil {
		return fmt.Errorf("find the plug-ins of %s: %w", name, err)
	}
	for _, f := range files {
		a.add(strings.TrimPrefix(f, "/"), f)
	}
	return nil
}

var libraryPath = regexp.MustCompile(`(?m)^\s*(?:\S+ => )?(/\S+) \(0x`)

// libraries are the files that the dynamic linker loads for a program.
func libraries(ctx context.Context, path string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "ldd", path).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("list the libraries of %s: %w: %s", path, err, out)
	}
	return parseLibraries(string(out)), nil
}

// parseLibraries reads what ldd prints: "NAME => PATH (ADDRESS)", or the linker's own path; or no path, for what
// the kernel brings.
func parseLibraries(ldd string) []string {
	var libs []string
	for _, m := range libraryPath.FindAllStringSubmatch(ldd, -1) {
		libs = append(libs, m[1])
	}
	return libs
}

// pluginsBeside finds the directory under /usr, where Debian has it even if the C library is found by another name.
func pluginsBeside(libs []string, dir string) ([]string, error) {
	for _, lib := range libs {
		if !strings.HasPrefix(filepath.Base(lib), "libc.so") {
			continue
		}
		real, err := filepath.EvalSymlinks(filepath.Dir(lib))
		if err != nil {
			return nil, err
		}
		files, err := filepath.Glob(filepath.Join(real, dir, "*.so"))
		if err == nil && len(files) == 0 {
			err = fmt.Errorf("none in %s", filepath.Join(real, dir))
		}
		return files, err
	}
	return nil, errors.New("it is linked with no C library")
}
