// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/client"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, find := range []func() error{func() error { return goleak.Find() }, netlab.CheckLeaks} {
		if err := find(); err != nil {
			fmt.Fprintln(os.Stderr, "leak:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// inProcess is a configuration in which nothing lies outside of a directory of the test's own.
func inProcess(t *testing.T, topo *netlab.Topology) Config {
	t.Helper()
	dir, err := os.MkdirTemp("", "vwd-") // t.TempDir's names are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Instance: "test", Namespace: topo.Host.Path(), StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run"),
		BPFFS: filepath.Join(dir, "bpf", "pins"), Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	t.Cleanup(func() {
		if err := Uninstall(context.Background(), cfg); err != nil {
			t.Error(err)
		}
		if err := os.Remove(dir); err != nil {
			t.Errorf("something was left behind: %v", err)
		}
	})
	return cfg
}

// TestStartInProcess runs a daemon in another namespace than the process's: programs must be attached there.
func TestStartInProcess(t *testing.T) {
	behaviour.NeedRoot(t)
	topo := netlab.Must(t, netlab.Config{})
	container, err := topo.AddContainer("c1")
	if err != nil {
		t.Fatal(err)
	}
	cfg := inProcess(t, topo)
	d, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), cfg); !errors.Is(err, api.Locked) && err == nil {
		t.Errorf("a second daemon on the same state: %v", err)
	}
	c, err := client.New(client.Config{Socket: d.Config.Socket})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, c, container.Path())
	netlab.MustWhoami(t, container, 80)
	seen, err := netlab.WhoAmI(t.Context(), topo.Remote, "tcp", netip.AddrPortFrom(topo.Host4, 8080), netlab.WhoAmIOptions{})
	if err != nil {
		t.Error(err)
	} else if seen.Peer.Addr() != topo.Remote4 {
		t.Errorf("the container saw %s, want %s", seen.Peer, topo.Remote4)
	}
	c.Close()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	// Everything stays where it is.
	if got := netlab.Try(t.Context(), topo.Remote, "tcp", netip.AddrPortFrom(topo.Host4, 8080), time.Second); got != netlab.OK {
		t.Errorf("after Close the published port is %s", got)
	}
}

func publish(t *testing.T, c api.Backend, namespace string) {
	t.Helper()
	if _, err := c.CreateNetwork(t.Context(), api.NetworkCreate{Name: "one"}); err != nil {
		t.Fatal(err)
	}
	_, err := c.AttachContainer(t.Context(), api.ContainerAttach{
		Name: "c1", Namespace: namespace, Networks: []api.NetworkConnection{{Network: "one"}},
		Publish: []api.PublishSpec{{HostPort: 8080, ContainerPort: 80}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestReadOnlySocket: whatever is asked there, nothing changes.
func TestReadOnlySocket(t *testing.T) {
	behaviour.NeedRoot(t)
	topo := netlab.Must(t, netlab.Config{})
	d, err := Start(t.Context(), inProcess(t, topo))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, path := range []string{d.Config.Socket, d.Config.ReadOnlySocket()} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s is open to everybody: %v", path, info.Mode())
		}
	}
	c, err := client.New(client.Config{Socket: d.Config.ReadOnlySocket()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Networks(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, err := c.CreateNetwork(t.Context(), api.NetworkCreate{Name: "one"}); !errors.Is(err, api.ReadOnly) {
		t.Errorf("create over the read-only socket: %v", err)
	}
}
