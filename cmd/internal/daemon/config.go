// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/control"
)

// DefaultInstance is the instance's name when none is given.
const DefaultInstance = "default"

// Ways to attach programs to interfaces.
const (
	AttachAuto   = "auto" // tcx where the kernel has it, clsact otherwise
	AttachTCX    = "tcx"
	AttachClsact = "clsact"
)

// Config says where an instance lives and what it may use. Fields left empty get their defaults from Complete.
type Config struct {
	Instance string // names the directories below
	StateDir string // the database; outlives a reboot
	RunDir   string // sockets, and namespaces made by `vethway run`
	Socket   string // of the API; the read-only one is beside it
	BPFFS    string // where maps, programs and links are pinned
	Cgroup   string // root of the cgroup v2 hierarchy
	Uplinks  []string
	Attach   string
	NATPorts string   // first-last
	Bases    []string // prefixes that subnets are taken out of
	MTU      int      // of new networks that name none; 0: 1500
	Flows    FlowConfig
	Guard    GuardConfig

	LogLevel  string
	LogFormat string
	// Namespace is the path of the host's network namespace; empty: that of the thread that calls Start.
	Namespace string
	// Logger takes the place of LogLevel and LogFormat.
	Logger *slog.Logger
}

// DefaultStateRoot, DefaultRunRoot and DefaultPinRoot are the directories that instances live in.
const (
	DefaultStateRoot = "/var/lib/vethway"
	DefaultRunRoot   = "/run/vethway"
	DefaultPinRoot   = "/sys/fs/bpf/vethway"
)

// SocketName and ReadOnlySocketName are the names of an instance's sockets inside its run directory.
const (
	SocketName         = "vethway.sock"
	ReadOnlySocketName = "vethway-ro.sock"
)

var instanceName = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,31}$`)

// Complete fills empty fields with defaults and checks the rest; the error carries exit.BadConfig.
func (c *Config) Complete() error {
	setDefault(&c.Instance, DefaultInstance)
	if !instanceName.MatchString(c.Instance) {
		return exit.Errorf(exit.BadConfig, "instance %q: want up to 32 of a-z 0-9 _ . -, beginning with a letter or digit", c.Instance)
	}
	setDefault(&c.StateDir, filepath.Join(DefaultStateRoot, c.Instance))
	setDefault(&c.RunDir, filepath.Join(DefaultRunRoot, c.Instance))
	setDefault(&c.Socket, filepath.Join(c.RunDir, SocketName))
	setDefault(&c.BPFFS, filepath.Join(DefaultPinRoot, c.Instance))
	setDefault(&c.Attach, AttachAuto)
	setDefault(&c.LogLevel, "info")
	setDefault(&c.LogFormat, "text")
	for key, path := range map[string]string{"state-dir": c.StateDir, "run-dir": c.RunDir, "socket": c.Socket, "bpffs": c.BPFFS} {
		if !filepath.IsAbs(path) {
			return exit.Errorf(exit.BadConfig, "%s %q: want an absolute path", key, path)
		}
	}
	if len(c.Socket) > maxSocketPath {
		return exit.Errorf(exit.BadConfig, "socket %q: a unix socket's path holds at most %d bytes", c.Socket, maxSocketPath)
	}
	return c.check()
}

// maxSocketPath is sizeof(sockaddr_un.sun_path) less the final zero, less "-ro" of the read-only socket's name.
const maxSocketPath = 107 - len("-ro")

func (c *Config) check() error {
	switch c.Attach {
	case AttachAuto, AttachTCX, AttachClsact:
	default:
		return exit.Errorf(exit.BadConfig, "attach %q: want auto, tcx or clsact", c.Attach)
	}
	for _, pattern := range c.Uplinks {
		if _, err := filepath.Match(pattern, "eth0"); err != nil || pattern == "" {
			return exit.Errorf(exit.BadConfig, "uplink %q: not a pattern: want a name such as eth0 or eth*", pattern)
		}
	}
	if _, err := c.natPorts(); err != nil {
		return exit.Errorf(exit.BadConfig, "%w", err)
	}
	if err := c.Flows.check(); err != nil {
		return err
	}
	if err := c.Guard.check(); err != nil {
		return err
	}
	if _, err := c.bases(); err != nil {
		return exit.Errorf(exit.BadConfig, "%w", err)
	}
	if c.MTU != 0 && (c.MTU < 576 || c.MTU > 65535) {
		return exit.Errorf(exit.BadConfig, "mtu %d: want 576 to 65535", c.MTU)
	}
	if _, err := parseLevel(c.LogLevel); err != nil {
		return exit.Errorf(exit.BadConfig, "%w", err)
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return exit.Errorf(exit.BadConfig, "log-format %q: want text or json", c.LogFormat)
	}
	return nil
}

// natPorts returns the NAT ports, zero when they are left to the dataplane.
func (c *Config) natPorts() (control.PortSpan, error) {
	if c.NATPorts == "" {
		return control.PortSpan{}, nil
	}
	a, b, ok := strings.Cut(c.NATPorts, "-")
	lo, errLo := strconv.ParseUint(a, 10, 16)
	hi, errHi := strconv.ParseUint(b, 10, 16)
	if !ok || errLo != nil || errHi != nil || lo < 1024 || hi < lo || hi-lo < 255 {
		return control.PortSpan{}, fmt.Errorf("nat-ports %q: want FIRST-LAST, at least 256 ports, none below 1024", c.NATPorts)
	}
	return control.PortSpan{First: uint16(lo), Last: uint16(hi)}, nil
}

// bases returns the prefixes that new networks' subnets are taken out of.
func (c *Config) bases() ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(c.Bases))
	for _, s := range c.Bases {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("subnet-base %q: want a prefix such as 172.16.0.0/12", s)
		}
		if p != p.Masked() {
			return nil, fmt.Errorf("subnet-base %s: host bits are set, did you mean %s?", p, p.Masked())
		}
		if p.Addr().Is4() && p.Bits() > 24 || p.Addr().Is6() && p.Bits() > 64 {
			return nil, fmt.Errorf("subnet-base %s: too small, want at least a /24 (IPv6: a /64)", p)
		}
		out = append(out, p)
	}
	return out, nil
}

// ReadOnlySocket is the path of the socket that can change nothing.
func (c *Config) ReadOnlySocket() string {
	ext := filepath.Ext(c.Socket)
	return strings.TrimSuffix(c.Socket, ext) + "-ro" + ext
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}
