// SPDX-License-Identifier: Apache-2.0

package control

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxSplicePorts is how many ports a network can name.
const maxSplicePorts = 8

// spliceOption says which TCP connections of a network are spliced; it is part of the network's record.
type spliceOption struct {
	On    bool     `json:",omitempty"`
	Ports []uint16 `json:",omitempty"` // none: whatever the port
}

// parseSplice reads true, false, or ports such as 5432,6379.
func parseSplice(value string) (spliceOption, error) {
	if on, err := strconv.ParseBool(value); err == nil && len(value) > 1 {
		return spliceOption{On: on}, nil
	}
	o := spliceOption{On: true}
	for _, field := range strings.Split(value, ",") {
		port, err := strconv.ParseUint(field, 10, 16)
		if err != nil || port == 0 {
			return spliceOption{}, fmt.Errorf("%q is no port", field)
		}
		o.Ports = append(o.Ports, uint16(port))
	}
	slices.Sort(o.Ports)
	o.Ports = slices.Compact(o.Ports)
	if len(o.Ports) > maxSplicePorts {
		return spliceOption{}, fmt.Errorf("more than %d ports", maxSplicePorts)
	}
	return o, nil
}
