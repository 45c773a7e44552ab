// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

func TestAStopwatchNeedsAProgram(t *testing.T) {
	behaviour.NeedRoot(t)
	topo := topology(t)
	_, err := NewStopwatch(t.Context(), Config{
		Client: topo.Remote, Others: []*netlab.Namespace{topo.Host, topo.Remote}, Dial: netip.AddrPortFrom(topo.Host4, 5001),
	})
	if err == nil || !strings.Contains(err.Error(), "no program at tcx ingress") {
		t.Errorf("a device without programs: %v", err)
	}
}
