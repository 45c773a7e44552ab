// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/hostlab"
)

// Ctrl-C reaches every process of the terminal's foreground group at the same time: the daemon, the proxies and the
// generator too. Whatever is being measured then, nothing of it may be left.
func TestCtrlCLeavesNothing(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "iptables-nft", "nft", "nsenter")
	dir := t.TempDir()
	if _, err := hostlab.Build(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for _, workload := range []string{"rr", "limit", "udp-new"} {
		t.Run(workload, func(t *testing.T) { interruptRun(t, dir, workload) })
	}
}

func interruptRun(t *testing.T, path, workload string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "run", "--workload", workload, "--scenario", "published",
		"--target", "vethway,iptables,nftables,docker-proxy,direct", "--docker-proxy", "own", "--rounds", "10000", "--sample", "50ms")
	cmd.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"), "TMPDIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		fmt.Fprintln(&said, lines.Text())
		if strings.HasPrefix(lines.Text(), "[1/1]") {
			break
		}
	}
	// Into the middle of the traffic.
	time.Sleep(300 * time.Millisecond)
	family := descendants(t, cmd.Process.Pid)
	if len(family) < 3 {
		t.Errorf("only %v run: no daemon, no proxy or no generator", family)
	}
	if err := unix.Kill(-cmd.Process.Pid, unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		fmt.Fprintln(&said, lines.Text())
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != interrupted {
		t.Errorf("the run ended with %v:\n%s", err, said.String())
	}
	for pid, name := range family {
		if now, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && startTime(string(now)) == startTime(name) {
			t.Errorf("process %d is left: %s", pid, name)
		}
	}
	left, err := filepath.Glob(filepath.Join(envOf(cmd, "TMPDIR"), "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v\n%s", left, err, said.String())
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), envOf(cmd, "TMPDIR")) {
		t.Errorf("mounts are left: %v\n%s", err, mounts)
	}
}

func envOf(cmd *exec.Cmd, name string) string {
	for i := len(cmd.Env) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(cmd.Env[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// descendants are the processes below one, with their lines of /proc/PID/stat.
func descendants(t *testing.T, root int) map[int]string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	parents, lines := make(map[int]int), make(map[int]string)
	for _, file := range stats {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		parents[pid], _ = strconv.Atoi(field(string(data), 1))
		lines[pid] = string(data)
	}
	found := make(map[int]string)
	for pid := range parents {
		for up := pid; up > 1; up = parents[up] {
			if up == root && pid != root {
				found[pid] = lines[pid]
			}
		}
	}
	return found
}

// field is one of those behind the name in /proc/PID/stat, which may hold anything.
func field(stat string, n int) string {
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	if n >= len(fields) {
		return ""
	}
	return fields[n]
}

func startTime(stat string) string { return field(stat, 19) }
