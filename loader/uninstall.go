// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/maps"
)

// UninstallConfig says what to remove.
type UninstallConfig struct {
	PinDir string
	Clsact Clsact // may be nil: then nothing was attached by it
}

// Uninstall takes every program off its hook and removes every pin and directory of ours; what was never there is no
// error. It goes on after an error and returns all of them. Files that are not ours stay, and are reported
// (ErrForeignPin). No daemon may run on the directory.
func Uninstall(cfg UninstallConfig) error {
	paths := maps.Paths{Root: cfg.PinDir}
	errs := []error{uninstallLinks(paths), uninstallClsact(cfg.Clsact), uninstallSplices(paths)}
	sets, err := readDir(paths.Programs())
	errs = append(errs, err)
	for _, id := range sets {
		errs = append(errs, remove(paths.ProgramSet(id)))
	}
	files, err := readDir(paths.Maps())
	errs = append(errs, err)
	for _, base := range files {
		if _, _, err := maps.ParsePin(base); err == nil {
			errs = append(errs, remove(filepath.Join(paths.Maps(), base)))
		}
	}
	for _, dir := range []string{paths.Links(), paths.Programs(), paths.Maps(), paths.Root} {
		errs = append(errs, removeDir(dir))
	}
	return errors.Join(errs...)
}

func uninstallLinks(paths maps.Paths) error {
	files, err := readDir(paths.Links())
	if err != nil {
		return err
	}
	var errs []error
	for _, base := range files {
		if checkLinkName(base) != nil {
			continue
		}
		ln, err := openLink(filepath.Join(paths.Links(), base))
		if err == nil {
			err = drop(ln)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func uninstallClsact(tc Clsact) error {
	if tc == nil {
		return nil
	}
	filters, err := tc.ListClsact()
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range filters {
		errs = append(errs, tc.DetachClsact(f.Ifindex, f.Ingress, f.Name, f.Priority))
	}
	return errors.Join(errs...)
}

// removeDir removes a directory that should be empty by now, unless a BPF file system is mounted on it.
func removeDir(dir string) error {
	files, err := readDir(dir)
	if err != nil {
		return err
	}
	if len(files) > 0 {
		return fmt.Errorf("%s was left alone: %w", filepath.Join(dir, files[0]), ErrForeignPin)
	}
	err = os.Remove(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EBUSY) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove pin directory: %w", err)
	}
	return nil
}
