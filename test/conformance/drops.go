// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"strings"

	"github.com/vethway/vethway/test/rivals"
)

// drops are vethway's counters of what it has dropped, by hook and reason.
type drops map[string]uint64

// drops reads the counters; other targets have none.
func (l *Lab) drops(ctx context.Context) (drops, error) {
	v, ok := l.Target.(*rivals.Vethway)
	if !ok {
		return nil, nil
	}
	list, err := v.Lab().Client.Drops(ctx)
	if err != nil {
		return nil, err
	}
	all := drops{}
	for _, d := range list {
		all[d.Hook+"/"+d.Reason] = d.Packets
	}
	return all, nil
}

// since tells what was dropped after an earlier reading.
func (d drops) since(before drops) string {
	var parts []string
	for key, n := range d {
		if n > before[key] {
			parts = append(parts, fmt.Sprintf("%d %s", n-before[key], key))
		}
	}
	return strings.Join(parts, ", ")
}
