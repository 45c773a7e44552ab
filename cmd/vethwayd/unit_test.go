// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/hostlab"
	"github.com/vethway/vethway/test/netlab"
)

const unitFile = "vethwayd.service"

// unit is a unit file: section, key, values.
type unit map[string]map[string][]string

func readUnit(t *testing.T) (unit, string) {
	t.Helper()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	u, section := unit{}, ""
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && line[len(line)-1] == ']':
			section = line[1 : len(line)-1]
			u[section] = map[string][]string{}
		case !ok || section == "":
			t.Errorf("line %d is neither a section nor a directive: %s", i+1, line)
		default:
			u[section][key] = append(u[section][key], value)
		}
	}
	return u, string(text)
}

func TestUnit(t *testing.T) {
	u, text := readUnit(t)
	for key, want := range map[string]string{
		"Type": "notify", "KillMode": "process", "Restart": "always", "NoNewPrivileges": "yes", "StateDirectory": "vethway",
		"RuntimeDirectory": "vethway", "RuntimeDirectoryPreserve": "yes", "ExecStart": "/usr/local/bin/vethwayd",
	} {
		if got := u["Service"][key]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	// Without these the daemon could not do its work: it writes sysctls, and sees the namespaces of processes.
	for _, key := range []string{"ProtectKernelTunables", "PrivateNetwork", "PrivateTmp", "ProtectProc", "ProcSubset", "PrivateUsers"} {
		if got := u["Service"][key]; got != nil {
			t.Errorf("%s is %q", key, got)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Logf("the directives were not looked at by systemd: %v", err)
		return
	}
	// It wants the program to exist.
	file := filepath.Join(t.TempDir(), unitFile)
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "/usr/local/bin/vethwayd", "/bin/true")), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// underUnit writes a program that runs vethwayd with the capabilities that the unit leaves it, less those named.
func underUnit(t *testing.T, less ...string) string {
	t.Helper()
	dir := t.TempDir()
	program, err := hostlab.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := readUnit(t)
	set := "-all"
	for _, name := range strings.Fields(strings.Join(u["Service"]["CapabilityBoundingSet"], " ")) {
		if !slices.Contains(less, name) {
			set += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
		}
	}
	wrapper := filepath.Join(dir, "wrapper")
	script := fmt.Sprintf("#!/bin/sh\nexec setpriv --bounding-set=%s --inh-caps=-all --no-new-privs %s \"$@\"\n", set, program)
	if err := os.WriteFile(wrapper, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return wrapper
}

// start runs a command as nobody in the namespace until the test ends.
func start(t *testing.T, ns *netlab.Namespace, args ...string) int {
	t.Helper()
	as := []string{"--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--"}
	cmd := ns.Command(context.WithoutCancel(t.Context()), "setpriv", append(as, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// It ends by this, and says so.
		_, _ = cmd.Process.Kill(), cmd.Wait()
	})
	return cmd.Process.Pid
}

// TestUnitsCapabilitiesSuffice: with what the unit leaves it, the daemon can do all that is asked of it, uninstalling included.
func TestUnitsCapabilitiesSuffice(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nsenter", "setpriv", "socat")
	topo := netlab.Must(t, netlab.Config{Name: "unit"})
	lab := run(t, topo, underUnit(t))
	ctx := t.Context()
	ns, err := attach(t, topo, lab)
	if err != nil {
		t.Fatal(err)
	}
	server, err := netlab.Whoami(ctx, ns, netlab.ServerConfig{Label: "c1", Port: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for _, from := range []*netlab.Namespace{topo.Remote, topo.Host} {
		if err := asks(ctx, topo, from); err != nil {
			t.Errorf("from %s: %v", from, err)
		}
	}
	socat := start(t, topo.Host, "socat", "TCP-LISTEN:7777,fork", "STDOUT")
	await(t, fmt.Sprintf("/proc/%d/net/tcp", socat), "00000000:1E61 00000000:0000 0A") // 7777, listening
	_, err = lab.Client.PublishPorts(ctx, "c1", api.PortPublish{Publish: []api.PublishSpec{{HostPort: 7777, ContainerPort: 80}}})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("socat (pid %d)", socat)) {
		t.Errorf("a port of another user's process: %v", err)
	}
	status, err := lab.Client.Status(ctx)
	if err != nil || len(status.Degraded) > 0 {
		t.Errorf("status: %v, %v", status.Degraded, err)
	}
}

// TestAttachWithoutPtrace: who may not look at another user's process says what would help.
func TestAttachWithoutPtrace(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nsenter", "setpriv")
	topo := netlab.Must(t, netlab.Config{Name: "unit"})
	lab := run(t, topo, underUnit(t, "CAP_SYS_PTRACE"))
	_, err := attach(t, topo, lab)
	if err == nil || !strings.Contains(api.AsError(err).Hint, "CAP_SYS_PTRACE") {
		t.Errorf("attaching by the pid of another user's process: %v", err)
	}
}

// run starts the daemon, and a network on it.
func run(t *testing.T, topo *netlab.Topology, program string) *hostlab.Lab {
	t.Helper()
	lab, err := hostlab.Start(t.Context(), hostlab.Config{Topology: topo, Program: program})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := lab.Client.CreateNetwork(t.Context(), api.NetworkCreate{Name: "one", EnableIPv6: new(true)}); err != nil {
		t.Fatal(err)
	}
	return lab
}

// attach makes a container of a namespace by a process of another user's that is in it.
func attach(t *testing.T, topo *netlab.Topology, lab *hostlab.Lab) (*netlab.Namespace, error) {
	t.Helper()
	ns, err := topo.AddContainer("c1")
	if err != nil {
		t.Fatal(err)
	}
	pid := start(t, ns, "sleep", "60")
	await(t, fmt.Sprintf("/proc/%d/comm", pid), "sleep")
	_, err = lab.Client.AttachContainer(t.Context(), api.ContainerAttach{
		Name: "c1", Namespace: strconv.Itoa(pid), Networks: []api.NetworkConnection{{Network: "one"}},
		Publish: []api.PublishSpec{{HostPort: 8080, ContainerPort: 80}},
	})
	return ns, err
}

// await waits for a text in a file of a process that has just been started: nsenter starts outside of the namespace.
func await(t *testing.T, file, text string) {
	t.Helper()
	for range 200 {
		if data, err := os.ReadFile(file); err == nil && strings.Contains(string(data), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s does not come to have %q", file, text)
}

// asks has the published port answer over both families.
func asks(ctx context.Context, topo *netlab.Topology, from *netlab.Namespace) error {
	for _, addr := range []netip.Addr{topo.Host4, topo.Host6} {
		if _, err := netlab.WhoAmI(ctx, from, "tcp", netip.AddrPortFrom(addr, 8080), netlab.WhoAmIOptions{}); err != nil {
			return err
		}
	}
	return nil
}
