// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vethway/vethway/maps"
)

// programPrefix begins the name of every program of ours.
const programPrefix = "vw_"

// checkPins looks for files that are not ours. Working beside them would sooner or later overwrite or remove them.
func (l *Loader) checkPins() error {
	for dir, check := range map[string]func(base string) error{
		l.paths.Root: func(base string) error {
			switch filepath.Join(l.paths.Root, base) {
			case l.paths.Maps(), l.paths.Programs(), l.paths.Links():
				return nil
			}
			return errors.New("unknown")
		},
		l.paths.Maps():  func(base string) error { _, _, err := maps.ParsePin(base); return err },
		l.paths.Links(): checkLinkName,
	} {
		files, err := readDir(dir)
		if err != nil {
			return err
		}
		for _, base := range files {
			if check(base) != nil {
				return fmt.Errorf("%s: %w", filepath.Join(dir, base), ErrForeignPin)
			}
		}
	}
	return nil
}

func checkLinkName(base string) error {
	program, _, err := maps.ParseLink(base)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(program, programPrefix) {
		return errors.New("unknown")
	}
	return nil
}

// readDir returns the names in a directory; there are none in one that does not exist. Names with a dot are the kernel's
// own: nobody else can make them on a BPF file system.
func readDir(dir string) ([]string, error) {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list pins: %w", err)
	}
	var names []string
	for _, f := range files {
		if !strings.Contains(f.Name(), ".") {
			names = append(names, f.Name())
		}
	}
	return names, nil
}

// remove unpins, and removes directories with all that is in them; what is gone already is no error.
func remove(path string) error {
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("unpin: %w", err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
