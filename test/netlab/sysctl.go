// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Sysctl reads a net.* sysctl inside the namespace. Dots separate, as in
// sysctl(8); an interface name with a dot in it is written with a slash.
func (n *Namespace) Sysctl(key string) (string, error) {
	var value []byte
	err := n.Do(func() (err error) {
		value, err = os.ReadFile(sysctlPath(key))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read sysctl %s in %s: %w", key, n.name, err)
	}
	return strings.TrimSpace(string(value)), nil
}

// SetSysctl writes a net.* sysctl inside the namespace.
func (n *Namespace) SetSysctl(key, value string) error {
	// /proc/sys/net shows the namespace of the thread that opens it, so no
	// remount is needed. O_CREATE is left out: proc would answer EACCES for a
	// key that does not exist.
	err := n.Do(func() error {
		f, err := os.OpenFile(sysctlPath(key), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString(value)
		return err
	})
	if err != nil {
		return fmt.Errorf("set sysctl %s=%s in %s: %w", key, value, n.name, err)
	}
	return nil
}

// ProcNet reads a file below /proc/net of the namespace, such as "snmp".
func (n *Namespace) ProcNet(name string) (string, error) {
	var content []byte
	err := n.Do(func() (err error) {
		// /proc/net is that of the process, which is that of its main thread.
		content, err = os.ReadFile(filepath.Join("/proc/thread-self/net", name))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read /proc/net/%s in %s: %w", name, n.name, err)
	}
	return string(content), nil
}

func sysctlPath(key string) string {
	swap := strings.NewReplacer(".", "/", "/", ".")
	return filepath.Join("/proc/sys", swap.Replace(key))
}
