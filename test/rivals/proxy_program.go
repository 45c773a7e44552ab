// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// proxyModule is the docker-proxy that is built where none is installed: the
// one of Docker Engine 29, by Go's module proxy and checksum database.
const proxyModule = "github.com/moby/moby/v2/cmd/docker-proxy@v2.0.0-beta.24"

// proxyBuildTime bounds download and compilation.
const proxyBuildTime = 3 * time.Minute

// ProxyCommand is the first argument by which a program that calls ServeProxy
// knows that it was started for that.
const ProxyCommand = "userland-proxy"

// ProxyProgram is a program that takes docker-proxy's flags.
type ProxyProgram struct {
	Command []string
	// About says what it is, for reports.
	About string
}

// OwnProxy is an equivalent of docker-proxy: the running program, started once
// more with ProxyCommand.
func OwnProxy() ProxyProgram {
	// Not /proc/self: the namespace is entered by another program.
	return ProxyProgram{
		Command: []string{fmt.Sprintf("/proc/%d/exe", os.Getpid()), ProxyCommand},
		About:   "not docker-proxy but an equivalent of this project's own",
	}
}

// FindProxy finds the real docker-proxy: one that is installed, or one that was
// built into a directory before. With build it builds one there when there is
// none, which needs Go and its module proxy.
func FindProxy(ctx context.Context, dir string, build bool) (ProxyProgram, error) {
	path, err := installedProxy(dir)
	if err != nil && build {
		path, err = buildProxy(ctx, dir)
	}
	if err != nil {
		return ProxyProgram{}, fmt.Errorf("find docker-proxy: %w", err)
	}
	return ProxyProgram{Command: []string{path}, About: aboutProxy(ctx, path)}, nil
}

func installedProxy(dir string) (string, error) {
	// Some distributions keep it beside their other helpers.
	for _, name := range []string{"docker-proxy", "/usr/libexec/docker/docker-proxy", builtProxy(dir)} {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", fmt.Errorf("it is neither installed nor in %s: %w", dir, os.ErrNotExist)
}

// builtProxy is where the version that proxyModule names is built.
func builtProxy(dir string) string {
	_, version, _ := strings.Cut(proxyModule, "@")
	return filepath.Join(dir, "docker-proxy-"+version, "docker-proxy")
}

// buildProxy has Go build the program, away from any module of ours.
func buildProxy(ctx context.Context, dir string) (string, error) {
	path := builtProxy(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, proxyBuildTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", proxyModule)
	cmd.Dir = filepath.Dir(path)
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "GOBIN="+filepath.Dir(path), "CGO_ENABLED=0", "GOFLAGS=", "GOTOOLCHAIN=local")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", errors.Join(fmt.Errorf("build %s: %w: %s", proxyModule, err, lastLine(string(out))), os.RemoveAll(filepath.Dir(path)))
	}
	return path, nil
}

// aboutProxy names the program by what its builder wrote into it.
func aboutProxy(ctx context.Context, path string) string {
	if info, err := buildinfo.ReadFile(path); err == nil && strings.HasPrefix(info.Main.Version, "v") {
		return fmt.Sprintf("docker-proxy of %s %s", info.Main.Path, info.Main.Version)
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return path
	}
	return lastLine(string(out))
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
