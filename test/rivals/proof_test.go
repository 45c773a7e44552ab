// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"strings"
	"testing"
)

func TestEvidence(t *testing.T) {
	before := Counters{"dnat": 3, "masquerade": 1, "carried": 1000, "stack": 10}
	after := Counters{"dnat": 5, "masquerade": 1, "carried": 101000, "stack": 5000, "tracked": 2}
	for name, tc := range map[string]struct {
		e    evidence
		want string // of the error, or of what is shown
	}{
		"as it should be": {evidence{moved: []string{"dnat"}, still: []string{"masquerade"}, some: []string{"tracked"}}, "dnat +2, masquerade +0, tracked 2"},
		"few of many":     {evidence{few: "stack", many: "carried"}, "stack +4990"},
		"did not move":    {evidence{moved: []string{"masquerade"}}, "masquerade did not move from 1"},
		"moved":           {evidence{still: []string{"dnat"}}, "dnat moved by 2"},
		"there is one":    {evidence{none: []string{"tracked"}}, "tracked is 2"},
		"there is none":   {evidence{some: []string{"proxied"}}, "proxied is 0"},
		"too many":        {evidence{few: "carried", many: "stack"}, "carried moved by 100000, stack by 4990"},
	} {
		shown, err := tc.e.check(before, after)
		if err != nil {
			shown = err.Error()
		}
		if failed := name != "as it should be" && name != "few of many"; (err != nil) != failed || !strings.Contains(shown, tc.want) {
			t.Errorf("%s: %s, %v, want %q", name, shown, err, tc.want)
		}
	}
}

func TestCountSaved(t *testing.T) {
	c := Counters{}
	for line := range strings.Lines(`*nat
:DOCKER - [7:70]
[12:720] -A DOCKER ! -i br-one -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.30.1.2:80
[3:180] -A DOCKER ! -i br-one -p udp -m udp --dport 53 -j DNAT --to-destination 172.30.1.3:53
[0:0] -A DOCKER ! -i br-one -p tcp -m tcp --dport 9 -j DNAT --to-destination 172.30.1.3:9
[5:300] -A POSTROUTING -s 172.30.1.0/24 ! -o br-one -j MASQUERADE
[9:9] -A FORWARD -j DOCKER-USER
[8:8] -A FORWARD -j DOCKER-FORWARD
-A PREROUTING -m addrtype --dst-type LOCAL -c 4 240 -j DOCKER
-A FORWARD -c 2 120 -j DOCKER-FORWARD
[2:2] -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
`) {
		countSaved(c, IPv4, line)
	}
	want := map[string]uint64{
		"ipv4 dnat": 15, "ipv4 dnat 8080/tcp": 12, "ipv4 dnat 53/udp": 3, "ipv4 masquerade": 5, "ipv4 forward": 10, "ipv4 output": 2, "ipv4 local": 6,
	}
	if len(c) != len(want) {
		t.Errorf("counted %v", c)
	}
	for name, n := range want {
		if c[name] != n {
			t.Errorf("%s is %d, want %d", name, c[name], n)
		}
	}
}
