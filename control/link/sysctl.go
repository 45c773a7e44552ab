// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// setting is one sysctl below /proc/sys/net.
type setting struct {
	path  string
	value string
	// optional settings may be absent: those that switch off what the kernel does not have.
	optional bool
}

// conf4 and conf6 name an interface's sysctl. The name is a path element, so that a dot in it needs no escape.
func conf4(dev, key, value string) setting {
	return setting{path: filepath.Join("ipv4/conf", dev, key), value: value}
}

func conf6(dev, key, value string) setting {
	return setting{path: filepath.Join("ipv6/conf", dev, key), value: value}
}

// applySettings runs on a thread of the namespace concerned. A value that is right is not written again, as some
// writes do more than set a value.
func applySettings(settings []setting) error {
	for _, s := range settings {
		if err := s.apply(); err != nil {
			return err
		}
	}
	return nil
}

func (s setting) apply() error {
	got, err := readSysctl(s.path)
	if errors.Is(err, os.ErrNotExist) {
		if s.optional {
			return nil
		}
		// Not wrapped: a missing file in an error's chain would be taken for a missing namespace.
		return fmt.Errorf("the kernel has no sysctl net/%s: is IPv6 switched off?", s.path)
	}
	if err != nil {
		return err
	}
	if got == s.value {
		return nil
	}
	if err := os.WriteFile(filepath.Join("/proc/sys/net", s.path), []byte(s.value), 0o644); err != nil {
		return fmt.Errorf("set sysctl net/%s to %s: %w", s.path, s.value, err)
	}
	return nil
}

func readSysctl(path string) (string, error) {
	data, err := os.ReadFile(filepath.Join("/proc/sys/net", path))
	if err != nil {
		return "", fmt.Errorf("read sysctl net/%s: %w", path, err)
	}
	return strings.TrimSpace(string(data)), nil
}
