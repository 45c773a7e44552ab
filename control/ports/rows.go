// SPDX-License-Identifier: Apache-2.0

package ports

import "github.com/vethway/vethway/control/api"

// inRows has exact ports that follow each other on both sides as one spec: ten thousand that are spelled out one by one are little more work
// than a range then.
func inRows(specs []api.PublishSpec) []api.PublishSpec {
	var rows []api.PublishSpec
	for _, s := range specs {
		if last := len(rows) - 1; last >= 0 && follows(s, rows[last]) {
			rows[last].HostPortEnd = max(s.HostPort, s.HostPortEnd)
			rows[last].ContainerPortEnd = max(s.ContainerPort, s.ContainerPortEnd)
			continue
		}
		rows = append(rows, s)
	}
	return rows
}

// follows reports whether valid specs are of ports in a row.
func follows(s, before api.PublishSpec) bool {
	return freedom(s) == 0 && freedom(before) == 0 && s.HostIP == before.HostIP && s.Protocol == before.Protocol &&
		int(s.HostPort) == int(max(before.HostPort, before.HostPortEnd))+1 &&
		int(s.ContainerPort) == int(max(before.ContainerPort, before.ContainerPortEnd))+1
}
