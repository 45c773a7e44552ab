// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/vethway/vethway/control/api"
)

func TestInRows(t *testing.T) {
	for _, test := range []struct{ specs, want string }{
		{"8000:80", "8000:80"},
		{"8000:80 8001:81 8002:82 8003:83", "8000-8003:80-83"},
		{"8000:80 8001-8004:81-84 8005:85", "8000-8005:80-85"},
		{"65534:65534 65535:65535", "65534-65535:65534-65535"},
		{"8000:80/udp 8001:81/udp 8002:82 8003:83", "8000-8001:80-81/udp 8002-8003:82-83"},
		{"192.0.2.1:8000:80 192.0.2.1:8001:81 192.0.2.2:8002:82 8003:83", "192.0.2.1:8000-8001:80-81 192.0.2.2:8002:82 8003:83"},
		// Neither side alone is enough, nor any other order.
		{"8000:80 8001:80 8003:81 8002:82", "8000:80 8001:80 8003:81 8002:82"},
		{"8000:80 8000:80 8001:81", "8000:80 8000-8001:80-81"},
		// What leaves a choice is not tied to its neighbours.
		{"80 81 8000-8009:82 8010:83", "80 81 8000-8009:82 8010:83"},
	} {
		var specs []api.PublishSpec
		for _, s := range strings.Fields(test.specs) {
			spec, err := Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			specs = append(specs, spec)
		}
		before := fmt.Sprint(specs)
		var got []string
		for _, s := range inRows(specs) {
			got = append(got, strings.TrimSuffix(Format(s), "/tcp"))
		}
		if got := strings.Join(got, " "); got != test.want {
			t.Errorf("%s: %s, want %s", test.specs, got, test.want)
		}
		if fmt.Sprint(specs) != before {
			t.Errorf("%s: the request itself has changed", test.specs)
		}
	}
}

// TestReserveTakesLittleForPortsInARow: ten thousand ports one by one, and as a range, are much the same to the books.
func TestReserveTakesLittleForPortsInARow(t *testing.T) {
	specs := make([]api.PublishSpec, 10000)
	for i := range specs {
		specs[i] = api.PublishSpec{HostPort: uint16(10000 + i), ContainerPort: uint16(10000 + i)}
	}
	table := NewTable(nil)
	reserve := func(specs []api.PublishSpec) (memory uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		bindings, err := table.Reserve(Request{Owner: "c1", Specs: specs})
		runtime.ReadMemStats(&after)
		if err != nil || len(bindings) != 2 {
			t.Fatalf("%d bindings, %v", len(bindings), err)
		}
		table.Release(bindings)
		return after.TotalAlloc - before.TotalAlloc
	}
	all := reserve([]api.PublishSpec{{HostPort: 10000, HostPortEnd: 19999, ContainerPort: 10000, ContainerPortEnd: 19999}})
	if each := reserve(specs); each > 2*all {
		t.Errorf("%d bytes for ports one by one, %d for the range", each, all)
	}
}
