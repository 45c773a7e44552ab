// SPDX-License-Identifier: Apache-2.0

package api

import (
	"net/netip"
	"time"
)

// Deny names prefixes to put on the deny list, or to take off it.
type Deny struct {
	Prefixes []netip.Prefix `json:"Prefixes"`
}

// Denial is an entry of the deny list: no uplink lets anything from there in, answers included.
type Denial struct {
	Prefix netip.Prefix `json:"Prefix"`
	Since  time.Time    `json:"Since"`
}
