// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
)

func TestSpliceOption(t *testing.T) {
	w := newWorld(t, func(c *control.Config) { c.Splice = true })
	// By name.
	values := []struct {
		name, value string
		on          bool
		ports       []uint16
	}{
		{"a", "true", true, nil},
		{"b", "false", false, nil},
		{"c", "6379,5432,6379", true, []uint16{5432, 6379}},
		{"d", "1", true, []uint16{1}},
	}
	for _, v := range values {
		w.network(v.name, option(api.OptionSplice, v.value))
	}
	w.network("e")
	w.restart()
	if err := w.engine.Reconcile(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := w.plane.State().Networks
	for i, v := range values {
		if got[i].Splice != v.on || !slices.Equal(got[i].SplicePorts, v.ports) {
			t.Errorf("%s: %v %v, want %v %v", v.value, got[i].Splice, got[i].SplicePorts, v.on, v.ports)
		}
	}
	if got[len(values)].Splice {
		t.Error("a network that does not ask for it is spliced")
	}
}

func TestSpliceOptionRefused(t *testing.T) {
	w := newWorld(t, func(c *control.Config) { c.Splice = true })
	for _, value := range []string{"", "yes", "0", "65536", "80,", "80;81", "1,2,3,4,5,6,7,8,9"} {
		_, err := w.engine.CreateNetwork(context.Background(), api.NetworkCreate{Name: "x", Options: map[string]string{api.OptionSplice: value}})
		if !errors.Is(err, api.InvalidArgument) || !strings.Contains(err.Error(), api.OptionSplice) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// A machine that cannot splice says so when it is asked to.
func TestSpliceUnsupported(t *testing.T) {
	w := newWorld(t)
	_, err := w.engine.CreateNetwork(context.Background(), api.NetworkCreate{Name: "x", Options: map[string]string{api.OptionSplice: "true"}})
	if !errors.Is(err, api.Unsupported) {
		t.Errorf("the network was made, or refused for another reason: %v", err)
	}
	w.network("y", option(api.OptionSplice, "false"))
}
