// SPDX-License-Identifier: Apache-2.0

package traffic_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/traffic"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// The test binary is its own generator.
const roleVariable = "VETHWAY_BENCH_TRAFFIC_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) == "" {
		os.Exit(m.Run())
	}
	if err := traffic.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func startGenerator(t *testing.T) *traffic.Generator {
	t.Helper()
	t.Setenv(roleVariable, "generator")
	g, err := traffic.Start(t.Context(), traffic.Config{Command: []string{os.Args[0]}, Stderr: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func pair(t *testing.T) (client, server *netlab.Namespace) {
	t.Helper()
	for _, ns := range []**netlab.Namespace{&client, &server} {
		made, err := netlab.NewNamespace(netlab.NamespaceConfig{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := made.Close(); err != nil {
				t.Error(err)
			}
		})
		*ns = made
	}
	if err := client.AddVeth("eth0", server, "eth0"); err != nil {
		t.Fatal(err)
	}
	for ns, addrs := range map[*netlab.Namespace][2]string{
		client: {"192.0.2.1/24", "2001:db8::1/64"},
		server: {"192.0.2.2/24", "2001:db8::2/64"},
	} {
		for _, addr := range addrs {
			if err := ns.AddAddr("eth0", netip.MustParsePrefix(addr)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return client, server
}

func TestEveryKindOfTraffic(t *testing.T) {
	behaviour.NeedRoot(t)
	g := startGenerator(t)
	client, server := pair(t)
	cpus, err := traffic.AllowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	for _, order := range []traffic.Order{
		{Kind: traffic.Stream, Flows: 1, Size: 128 << 10},
		{Kind: traffic.Stream, Flows: 1, Size: 128 << 10, FromServer: true},
		{Kind: traffic.Stream, Flows: 3, Size: 128 << 10},
		{Kind: traffic.RequestResponse, Flows: 1, Size: 1},
		{Kind: traffic.RequestResponse, Flows: 2, Size: 1},
		{Kind: traffic.ConnectRequestClose, Flows: 1, Size: 1},
		{Kind: traffic.ConnectRequestClose, Flows: 2, Size: 1},
		{Kind: traffic.Stream, Flows: 1, Size: 128 << 10, Polls: true},
		{Kind: traffic.RequestResponse, Flows: 1, Size: 1, Polls: true},
		{Kind: traffic.ConnectRequestClose, Flows: 1, Size: 1, Polls: true},
		{Kind: traffic.Datagrams, Flows: 1, Size: 64},
		{Kind: traffic.Datagrams, Flows: 2, Size: 64},
		{Kind: traffic.NewFlows, Flows: 1, Size: 1},
		{Kind: traffic.NewFlows, Flows: 3, Size: 64},
	} {
		for family, addrs := range map[int][2]string{4: {"192.0.2.1", "192.0.2.2"}, 6: {"2001:db8::1", "2001:db8::2"}} {
			for _, used := range [][]int{cpus[len(cpus)-1:], cpus} {
				name := fmt.Sprintf("%s/%d/reverse=%v/polls=%v/ipv%d/cpus=%d", order.Kind, order.Flows, order.FromServer, order.Polls, family, len(used))
				t.Run(name, func(t *testing.T) {
					o := order
					o.ClientNS, o.ServerNS, o.CPUs = client.Path(), server.Path(), used
					o.Listen = netip.AddrPortFrom(netip.MustParseAddr(addrs[1]), 5001)
					o.Dial = o.Listen
					o.Warmup, o.Duration = 20*time.Millisecond, 50*time.Millisecond
					reply, err := g.Do(t.Context(), o)
					if err != nil {
						t.Fatal(err)
					}
					t.Logf("%+v", reply)
					if reply.Rate <= 0 || reply.Seconds < 0.045 || reply.Own <= 0 || reply.Spliced != 0 {
						t.Errorf("an implausible sample: %+v", reply)
					}
					if got := reply.Peer.Addr(); got != netip.MustParseAddr(addrs[0]) {
						t.Errorf("the server saw %v, want %s", got, addrs[0])
					}
				})
			}
		}
	}
}

// Every flow is a new one, so there are no more of them than source ports: the sample ends when these are used up.
func TestNewFlowsAreNew(t *testing.T) {
	behaviour.NeedRoot(t)
	g := startGenerator(t)
	client, server := pair(t)
	reply, err := g.Do(t.Context(), traffic.Order{
		Kind: traffic.NewFlows, Flows: 1, Size: 1, CPUs: []int{0}, ClientNS: client.Path(), ServerNS: server.Path(),
		Listen: netip.MustParseAddrPort("192.0.2.2:5001"), Dial: netip.MustParseAddrPort("192.0.2.2:5001"),
		Duration: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	if reply.Count < 60000 || reply.Count > 64512 || reply.Rate <= 0 {
		t.Errorf("%d flows, %.0f in a second", reply.Count, reply.Rate)
	}
}

func TestAPathThatIsClosedFailsTheSample(t *testing.T) {
	behaviour.NeedRoot(t)
	g := startGenerator(t)
	client, server := pair(t)
	order := traffic.Order{
		Kind: traffic.RequestResponse, Flows: 1, Size: 1, CPUs: []int{0},
		ClientNS: client.Path(), ServerNS: server.Path(),
		Listen: netip.MustParseAddrPort("192.0.2.2:5001"), Dial: netip.MustParseAddrPort("192.0.2.2:5002"),
		Duration: 50 * time.Millisecond,
	}
	if _, err := g.Do(t.Context(), order); err == nil {
		t.Error("a client that was refused made a sample")
	}
	order.Dial = order.Listen
	if _, err := g.Do(t.Context(), order); err != nil {
		t.Errorf("the generator did not survive a failed order: %v", err)
	}
}

// The threads of each order are in its cgroup, whatever the order before, and the process is in the one above.
func TestThreadsAreInACgroup(t *testing.T) {
	behaviour.NeedRoot(t)
	g := startGenerator(t)
	client, server := pair(t)
	order := traffic.Order{
		Kind: traffic.RequestResponse, Flows: 1, Size: 1, CPUs: []int{0}, ClientNS: client.Path(), ServerNS: server.Path(),
		Listen: netip.MustParseAddrPort("192.0.2.2:5001"), Dial: netip.MustParseAddrPort("192.0.2.2:5001"), Duration: 100 * time.Millisecond,
	}
	for range 2 {
		above, err := netlab.NewCgroup("traffic")
		if errors.Is(err, netlab.ErrNoCgroup) {
			behaviour.Skip(t, err.Error())
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			c, err := above.Threads("part")
			if err != nil {
				t.Fatal(err)
			}
			order.Cgroup = c.Path()
			most := make(chan int)
			stop := make(chan struct{})
			go func() { most <- mostThreads(c, stop) }()
			if _, err := g.Do(t.Context(), order); err != nil {
				t.Error(err)
			}
			close(stop)
			if n := <-most; n < 2 {
				t.Errorf("no more than %d threads in %s, want client and server", n, c.Path())
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		pids, err := os.ReadFile(filepath.Join(above.Path(), "cgroup.procs"))
		if err != nil || bytes.Count(pids, []byte("\n")) != 1 {
			t.Errorf("processes %q, %v, want the generator", pids, err)
		}
		if err := above.Close(); err != nil {
			t.Fatal(err)
		}
	}
	order.Cgroup += "-none"
	if _, err := g.Do(t.Context(), order); err == nil {
		t.Error("traffic came from a cgroup that does not exist")
	}
	order.Cgroup = ""
	if _, err := g.Do(t.Context(), order); err != nil {
		t.Error(err)
	}
}

// mostThreads is how many there were at a time, at most.
func mostThreads(c *netlab.Cgroup, stop <-chan struct{}) (most int) {
	for {
		select {
		case <-stop:
			return most
		case <-time.After(time.Millisecond):
			if tids, err := os.ReadFile(filepath.Join(c.Path(), "cgroup.threads")); err == nil {
				most = max(most, bytes.Count(tids, []byte("\n")))
			}
		}
	}
}

// A run of an hour does not end with a generator: the next order starts another.
func TestAGeneratorThatEndsIsReplaced(t *testing.T) {
	behaviour.NeedRoot(t)
	g := startGenerator(t)
	client, server := pair(t)
	order := traffic.Order{
		Kind: traffic.RequestResponse, Flows: 1, Size: 1, CPUs: []int{0}, ClientNS: client.Path(), ServerNS: server.Path(),
		Listen: netip.MustParseAddrPort("192.0.2.2:5001"), Dial: netip.MustParseAddrPort("192.0.2.2:5001"), Duration: time.Hour,
	}
	stopped, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if reply, err := g.Do(stopped, order); err == nil {
		t.Errorf("an hour passed: %+v", reply)
	}
	order.Duration = 50 * time.Millisecond
	if _, err := g.Do(t.Context(), order); err != nil {
		t.Error(err)
	}
}
