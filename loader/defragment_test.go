// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/test/netlab"
)

// defragPins lists the pins of the links that have fragments put together.
func (l *lab) defragPins() []string {
	l.t.Helper()
	pins := []string{}
	for _, f := range l.files() {
		if base, ok := strings.CutPrefix(f, "links/vw_defragment"); ok {
			pins = append(pins, base)
		}
	}
	slices.Sort(pins)
	return pins
}

func defragNames(ns *netlab.Namespace) []string {
	return []string{fmt.Sprintf("4-%d", ns.Cookie()), fmt.Sprintf("6-%d", ns.Cookie())}
}

func (o *running) defragment(ns *netlab.Namespace) {
	o.lab.t.Helper()
	path, cookie := "", uint64(0)
	if ns != nil {
		path, cookie = ns.Path(), ns.Cookie()
	}
	if err := o.lab.ns.Do(func() error { return o.Loader.Defragment(path, cookie) }); err != nil {
		o.lab.t.Fatal(err)
	}
}

func TestDefragment(t *testing.T) {
	l := newLab(t)
	o := l.open(l.config())
	one, two := l.namespace("one"), l.namespace("two")
	if !o.Features().Defragment {
		if err := o.Loader.Defragment(one.Path(), one.Cookie()); !errors.Is(err, loader.ErrNoDefragment) {
			t.Errorf("without the feature: %v", err)
		}
		return
	}
	o.defragment(one)
	equal(t, "pins", l.defragPins(), defragNames(one))
	links := l.linkIDs()
	o.defragment(one)
	o.Close()

	o = l.open(l.config())
	o.defragment(one)
	if again := l.linkIDs(); fmt.Sprint(again) != fmt.Sprint(links) {
		t.Errorf("adoption made other links: %v, then %v", links, again)
	}
	// A namespace that is the detour no more is let go of.
	o.defragment(two)
	equal(t, "pins", l.defragPins(), defragNames(two))
	o.defragment(nil)
	equal(t, "pins", l.defragPins(), []string{})
	o.defragment(two)
	o.Close()
	if err := loader.Uninstall(loader.UninstallConfig{PinDir: l.pins}); err != nil {
		t.Error(err)
	}
}
