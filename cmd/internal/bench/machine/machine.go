// SPDX-License-Identifier: Apache-2.0

// Package machine gathers the facts about the computer and the targets that a report needs to be judged by.
package machine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/bench/report"
)

// Gather describes this computer. Facts that it does not tell are left out.
func Gather(ctx context.Context) (report.Machine, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return report.Machine{}, fmt.Errorf("ask for the kernel's version: %w", err)
	}
	m := report.Machine{
		Time:     time.Now().UTC().Format(time.RFC3339),
		Kernel:   unix.ByteSliceToString(name.Release[:]),
		CPU:      cpuInfo("model name"),
		Cores:    runtime.NumCPU(),
		Governor: readLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
		Virtual:  strings.Contains(" "+cpuInfo("flags")+" ", " hypervisor "),
		Load:     readLine("/proc/loadavg"),
		Versions: versions(ctx),
		Sysctls:  make(map[string]string),
	}
	for _, key := range []string{
		"kernel.sched_autogroup_enabled", "net.core.default_qdisc", "net.core.netdev_max_backlog", "net.core.netdev_budget",
		"net.core.bpf_jit_enable", "net.core.rmem_max", "net.core.wmem_max", "net.ipv4.tcp_congestion_control",
		"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
	} {
		if value := readLine(filepath.Join("/proc/sys", strings.ReplaceAll(key, ".", "/"))); value != "" {
			m.Sysctls[key] = value
		}
	}
	return m, nil
}

func versions(ctx context.Context) map[string]string {
	found := map[string]string{"go": runtime.Version()}
	for name, command := range map[string][]string{
		"iptables": {"iptables", "--version"},
		"nft":      {"nft", "--version"},
	} {
		out, err := exec.CommandContext(ctx, command[0], command[1:]...).Output()
		if err == nil {
			found[name] = firstLine(out)
		}
	}
	return found
}

func cpuInfo(field string) string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(data) {
		key, value, _ := strings.Cut(string(line), ":")
		if strings.TrimSpace(key) == field {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func readLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return firstLine(data)
}

func firstLine(data []byte) string {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	return strings.Join(strings.Fields(string(line)), " ")
}
