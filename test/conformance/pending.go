// SPDX-License-Identifier: Apache-2.0

package conformance

// Pending is a case that vethway does not pass yet. One that passes is an error: the table only ever shrinks.
type Pending struct {
	Case   string // "N01 udp to several destinations"
	Family string // "ipv4", "ipv6"; empty: both
	Why    string
}

func (p Pending) families() []string {
	if p.Family != "" {
		return []string{p.Family}
	}
	return []string{"ipv4", "ipv6"}
}

// pending is the table.
func pending() []Pending {
	return nil
}
