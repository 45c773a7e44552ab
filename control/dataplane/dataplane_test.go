// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/dataplane"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/loader/loadertest"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/netlab"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(netlab.CheckLeaks(), loadertest.Leaks()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// fixture is a dataplane on real maps. Its attachments are only remembered: package loader tests the real ones.
type fixture struct {
	t       testing.TB
	cfg     loader.Config
	ld      *loader.Loader
	dp      *dataplane.Dataplane
	clock   time.Duration
	attach  []loader.Interface
	failing error // of the next Attach
	splice  bool  // as was asked for last
	// datagrams: the same; published is how many ports of UDP there were each time.
	datagrams bool
	published []int
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	// Behind the kernel's own, which vw_gc asks; times before 0 wrap around.
	f := &fixture{t: t, clock: 10 * time.Second, cfg: loader.Config{
		PinDir: loadertest.BPFFS(t), FlowEntries: 4096, Clsact: noClsact{}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}}
	f.start()
	t.Cleanup(f.stop)
	return f
}

// start is what a daemon does; stop is what kill -9 leaves.
func (f *fixture) start() {
	f.t.Helper()
	ld, err := loader.Open(f.t.Context(), f.cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.ld = ld
	f.dp, err = dataplane.New(dataplane.Config{
		Loader: fakeAttach{ld, f}, Logger: f.cfg.Logger, Clock: func() time.Duration { return f.clock },
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) stop() {
	f.t.Helper()
	if err := f.ld.Close(); err != nil {
		f.t.Error(err)
	}
}

// noClsact is for kernels that have no tcx: nothing is attached, fakeAttach sees to it.
type noClsact struct{}

func (noClsact) AttachClsact(int, bool, int, string, uint16) error { return errors.ErrUnsupported }
func (noClsact) DetachClsact(int, bool, string, uint16) error      { return errors.ErrUnsupported }
func (noClsact) ListClsact() ([]loader.ClsactFilter, error)        { return nil, nil }

type fakeAttach struct {
	*loader.Loader
	f *fixture
}

func (a fakeAttach) Attach(want []loader.Interface) error {
	a.f.attach = want
	return a.f.failing
}

func (a fakeAttach) Splice(on bool) error {
	a.f.splice = on
	return nil
}

func (a fakeAttach) Datagrams(on bool) error {
	a.f.t.Helper()
	n := 0
	for k := range load(a.f.t, a.f.maps().Published) {
		if k.Proto == unix.IPPROTO_UDP {
			n++
		}
	}
	if a.f.datagrams != on {
		a.f.published = append(a.f.published, n)
	}
	a.f.datagrams = on
	return nil
}

func (f *fixture) sync(want *control.DataplaneState) {
	f.t.Helper()
	if err := f.dp.Sync(f.t.Context(), want); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) maps() *maps.Set { return f.ld.Maps() }

func load[K comparable, V any](t testing.TB, table interface{ Load() (map[K]V, error) }) map[K]V {
	t.Helper()
	all, err := table.Load()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func addr(s string) netip.Addr          { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix      { return netip.MustParsePrefix(s) }
func addrPort(s string) netip.AddrPort  { return netip.MustParseAddrPort(s) }
func mac(last byte) net.HardwareAddr    { return net.HardwareAddr{2, 0, 0, 0, 0, last} }
func endpointMAC(m byte) (out maps.MAC) { copy(out[:], mac(m)); return out }
func key(s string) maps.PublishedKey    { return maps.PublishedKey{Addr: addrPort(s), Proto: 6} }
func published(host, target string) control.DataplanePort {
	h := addrPort(host)
	return control.DataplanePort{HostIP: h.Addr(), HostPort: h.Port(), Proto: 6, Target: addrPort(target), Incarnation: "p1"}
}

// oneNetwork is a host with one network of two containers, one of which publishes a port.
func oneNetwork() *control.DataplaneState {
	return &control.DataplaneState{
		Networks: []control.DataplaneNetwork{{
			ID: 1, BridgeIndex: 10, BridgeMAC: mac(1), MTU: 1500, Masquerade4: true, Masquerade6: true,
			Subnets:  []netip.Prefix{prefix("172.30.1.0/24"), prefix("fd00:1::/64")},
			Gateways: []netip.Addr{addr("172.30.1.1"), addr("fd00:1::1")},
		}},
		Endpoints: []control.DataplaneEndpoint{
			{Network: 1, HostIndex: 11, MAC: mac(2), Addrs: []netip.Addr{addr("172.30.1.2"), addr("fd00:1::2")}, Incarnation: "e1"},
			{Network: 1, HostIndex: 12, MAC: mac(3), Addrs: []netip.Addr{addr("172.30.1.3")}, Incarnation: "e2"},
		},
		Published: [][]control.DataplanePort{{
			published("0.0.0.0:8080", "172.30.1.2:80"),
			published("[::]:8080", "[fd00:1::2]:80"),
		}},
		Uplinks: []control.DataplaneUplink{{Index: 2, Ethernet: true, MTU: 1500, Addrs: []netip.Addr{addr("192.0.2.2"), addr("2001:db8:2::2")}}},
		Locals:  []netip.Prefix{prefix("127.0.0.0/8"), prefix("192.0.2.2/32"), prefix("172.30.1.1/32"), prefix("fd00:1::1/128")},
	}
}

func TestSyncWritesTheMaps(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())

	veth := load(t, f.maps().Veths)[11]
	if veth.Addr4 != addr("172.30.1.2") || veth.Addr6 != addr("fd00:1::2") || veth.MAC != endpointMAC(2) || veth.Slot == 0 {
		t.Errorf("veth 11: %+v", veth)
	}
	if flags := maps.NetworkMasquerade4 | maps.NetworkMasquerade6; veth.Flags != flags {
		t.Errorf("flags of veth 11: %v, want %v", veth.Flags.Names(), flags.Names())
	}
	endpoint := load(t, f.maps().Endpoints)[addr("fd00:1::2")]
	if endpoint.Index != 11 || endpoint.Slot != veth.Slot || endpoint.BridgeMAC != endpointMAC(1) {
		t.Errorf("endpoint fd00:1::2: %+v, want the slot of %+v", endpoint, veth)
	}
	port := load(t, f.maps().Published)[key("0.0.0.0:8080")]
	if port.Target != addrPort("172.30.1.2:80") || port.Slot == veth.Slot || port.Slot == 0 {
		t.Errorf("published 8080: %+v", port)
	}
	addresses := load(t, f.maps().Addresses)
	for p, want := range map[string]maps.Address{
		"172.30.1.0/24": {Kind: maps.AddressSubnet, Network: 1},
		"172.30.1.1/32": {Kind: maps.AddressLocal, Network: 1},
		"192.0.2.2/32":  {Kind: maps.AddressLocal},
		"127.0.0.0/8":   {Kind: maps.AddressLocal},
		"fd00:1::/64":   {Kind: maps.AddressSubnet, Network: 1},
	} {
		if got := addresses[prefix(p)]; got != want {
			t.Errorf("address %s: %+v, want %+v", p, got, want)
		}
	}
	use, err := f.maps().PortUse.Get(maps.PortIndex(6, 8080))
	if err != nil || use != maps.PortPublished {
		t.Errorf("use of port 8080: %d, %v", use, err)
	}
	if len(f.attach) != 4 {
		t.Errorf("programs on %+v", f.attach)
	}
}
