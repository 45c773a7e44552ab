// SPDX-License-Identifier: Apache-2.0

package target

// UserSpace says whether a process forwards what goes this way. Its CPU time then is not in what the traffic generator was
// billed.
func (m Maker) UserSpace(s Scenario) bool {
	switch {
	case !m.Proxied:
		return false
	case m.Name == "docker-proxy":
		return true
	}
	return s == Loopback || s == Hairpin || s == HairpinSelf
}
