// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// serveProxy is what the test binary does when it is started as the proxy.
func serveProxy(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	if err := ServeProxy(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// proxyPrograms are the equivalent, and docker-proxy where it is to be had
// without the network.
func proxyPrograms(t *testing.T) map[string]ProxyProgram {
	t.Helper()
	programs := map[string]ProxyProgram{"equivalent": OwnProxy()}
	if cache, err := os.UserCacheDir(); err == nil {
		if real, err := FindProxy(t.Context(), cache+"/vethway-bench", false); err == nil {
			programs["real"] = real
		}
	}
	return programs
}

func TestDockerProxy(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nsenter")
	t.Parallel()
	for name, program := range proxyPrograms(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, err := NewDockerProxy(program)
			if err != nil {
				t.Fatal(err)
			}
			l := setUp(t, target)
			l.accesses()
			l.proof()
			if helpers := target.Helpers(); len(helpers) != 4 {
				t.Errorf("%d proxies for two ports in two families", len(helpers))
			}
			if err := PinHelpers(target, []int{0}); err != nil {
				t.Error(err)
			}
			l.accesses()

			p := Port{HostPort: 9090, ContainerPort: 80, Proto: "tcp"}
			if err := target.Publish(t.Context(), "c2", p); err != nil {
				t.Fatal(err)
			}
			if err := target.Publish(t.Context(), "c2", p); err == nil {
				t.Errorf("%s is published twice", p)
			}
			l.reaches("R", "192.0.2.2:9090", "tcp")
			if err := target.Unpublish(t.Context(), "c2", p); err != nil {
				t.Fatal(err)
			}
			l.silent("R", "192.0.2.2:9090", netlab.Refused)
		})
	}
}

// The userland proxy of a Docker that has iptables too.
func TestIptablesWithProxyProgram(t *testing.T) {
	t.Parallel()
	for name, program := range proxyPrograms(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := iptablesTarget(t, IptablesConfig{Backend: NFT, UserlandProxy: UserlandProxy{On: true, Program: program}})
			l := setUp(t, target)
			l.accesses()
			if helpers := target.Helpers(); len(helpers) != 4 {
				t.Errorf("%d proxies for two ports in two families", len(helpers))
			}
		})
	}
}

func TestProxyTellsWhyNot(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nsenter")
	t.Parallel()
	topo := netlab.Must(t, netlab.Config{})
	c := CommonSpec().Networks[0].Containers[0]
	for name, program := range proxyPrograms(t) {
		for _, proto := range []string{"tcp", "udp"} {
			p := Port{HostPort: 7000, ContainerPort: 80, Proto: proto}
			first, err := startProxies(t.Context(), topo.Host, program, c, p)
			if err != nil {
				t.Fatal(err)
			}
			second, err := startProxies(t.Context(), topo.Host, program, c, p)
			if err == nil || !strings.Contains(err.Error(), "address already in use") {
				t.Errorf("%s: %s is held twice: %v", name, p, err)
			}
			second.close()
			first.close()
		}
	}
	if _, err := startProxies(t.Context(), topo.Host, ProxyProgram{Command: []string{"true"}}, c, c.Publish[0]); err == nil {
		t.Error("a program that ends at once is a proxy")
	}
}

func TestFindProxyKeepsWhatItBuilt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := t.TempDir()
	if _, err := buildProxy(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "build github.com/moby/moby") {
		t.Errorf("docker-proxy was built without Go: %v", err)
	}
	path := builtProxy(dir)
	if _, err := os.Stat(filepath.Dir(path)); err == nil {
		t.Errorf("%s is left", filepath.Dir(path))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho docker-proxy 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	found, err := FindProxy(t.Context(), dir, false)
	if err != nil {
		t.Fatal(err)
	}
	// An installed one goes first.
	if found.Command[0] == path && found.About != "docker-proxy 1" {
		t.Errorf("found %+v", found)
	}
}
