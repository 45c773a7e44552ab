// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// Check looks at the machine and the configuration, changes nothing, and says what a start would use.
func Check(_ context.Context, cfg Config, out io.Writer) error {
	if err := cfg.Complete(); err != nil {
		return err
	}
	m := system()
	if err := m.check(); err != nil {
		return err
	}
	if err := cfg.locate(m); err != nil {
		return err
	}
	release, err := m.release()
	if err != nil {
		return err
	}
	for _, row := range [][2]string{
		{"kernel", release},
		{"instance", cfg.Instance},
		{"state", cfg.StateDir},
		{"socket", cfg.Socket},
		{"bpffs", cfg.BPFFS},
		{"cgroup", cfg.Cgroup},
		{"attach", cfg.Attach},
		{"uplinks", orAll(cfg.Uplinks)},
	} {
		if _, err := fmt.Fprintf(out, "%-9s %s\n", row[0], row[1]); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

func orAll(list []string) string {
	if len(list) == 0 {
		return "every interface that leads out"
	}
	return strings.Join(list, ",")
}
