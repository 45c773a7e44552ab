// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	stdmaps "maps"
	"os"
	"testing"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// An older daemon had no map of what sockets are connected to, and did not say in shortcuts which bridge a container is behind.
func TestAdoptionOfAnOlderDaemon(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	before := load(t, f.maps().Shortcuts)
	index := maps.ShortcutIndex(addr("172.30.1.2"))
	older := before[index]
	if older.Bridge == 0 {
		t.Fatalf("%+v", older)
	}
	older.Bridge = 0
	if err := f.maps().Shortcuts.Put(map[uint32]maps.Shortcut{index: older}); err != nil {
		t.Fatal(err)
	}
	facts, peers := f.facts(), maps.Paths{Root: f.cfg.PinDir}.Map(bpf.VethwayMapPeers)
	f.stop()
	if err := os.Remove(peers); err != nil {
		t.Fatal(err)
	}
	f.start()
	f.sync(oneNetwork())
	if after := load(t, f.maps().Shortcuts); !stdmaps.Equal(after, before) {
		t.Errorf("shortcuts %v, want %v", after, before)
	}
	if after := f.facts(); after != facts {
		t.Errorf("after a start:\n%s\n%s", facts, after)
	}
	if _, err := os.Stat(peers); err != nil {
		t.Error(err)
	}
}
