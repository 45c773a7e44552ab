// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/control"
)

// Values of --xdp beside names of interfaces.
const (
	XDPAuto = "auto"
	XDPOff  = "off"
)

// GuardConfig says what is dropped on uplinks before anything else looks at it, and where.
type GuardConfig struct {
	XDP         []string // auto, off, or patterns of interfaces
	XDPGeneric  bool
	ClosedPorts string // first-last
	SourceRate  int    // flows to published ports that a source may begin in a second; 0: any number
	SourceBurst int    // and at once; 0: as many as in a second
}

func (c *GuardConfig) addFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&c.XDP, "xdp", []string{XDPAuto},
		"where XDP drops what is denied or too much: auto (devices that lose nothing by it), off, or interfaces, patterns allowed")
	f.BoolVar(&c.XDPGeneric, "xdp-generic", false, "on the interfaces that --xdp names, run XDP behind the driver, for those that have none")
	f.StringVar(&c.ClosedPorts, "drop-closed-ports", "",
		"FIRST-LAST: drop new TCP and UDP traffic to these ports of the host while nobody has them (not where a firewall redirects ports)")
	f.IntVar(&c.SourceRate, "max-source-rate", 0,
		"flows to published ports that one source (of IPv6: a /64) may begin in a second; 0: any number")
	f.IntVar(&c.SourceBurst, "max-source-burst", 0, "and at once; 0: as many as in a second")
}

// check refuses what is out of range; the error carries exit.BadConfig.
func (c *GuardConfig) check() error {
	if _, err := c.guard(); err != nil {
		return exit.Errorf(exit.BadConfig, "%w", err)
	}
	return nil
}

func (c *GuardConfig) guard() (control.Guard, error) {
	var g control.Guard
	var err error
	if g.XDP, err = c.xdp(); err != nil {
		return g, err
	}
	if g.ClosedPorts, err = c.closedPorts(); err != nil {
		return g, err
	}
	for _, limit := range []struct {
		flag  string
		value int
	}{{"max-source-rate", c.SourceRate}, {"max-source-burst", c.SourceBurst}} {
		if limit.value < 0 || limit.value > math.MaxInt32 {
			return g, fmt.Errorf("%s %d: want a number up to %d", limit.flag, limit.value, math.MaxInt32)
		}
	}
	if c.SourceBurst > 0 && c.SourceRate == 0 {
		return g, fmt.Errorf("max-source-burst %d: without max-source-rate there is no limit", c.SourceBurst)
	}
	g.SourceRate, g.SourceBurst = uint32(c.SourceRate), uint32(c.SourceBurst)
	return g, nil
}

func (c *GuardConfig) xdp() (control.XDPUplinks, error) {
	x := control.XDPUplinks{Generic: c.XDPGeneric}
	switch {
	case len(c.XDP) == 0 || slices.Equal(c.XDP, []string{XDPAuto}):
		x.Auto = true
	case slices.Equal(c.XDP, []string{XDPOff}):
	default:
		for _, pattern := range c.XDP {
			if _, err := filepath.Match(pattern, "eth0"); err != nil || pattern == "" || pattern == XDPAuto || pattern == XDPOff {
				return x, fmt.Errorf("xdp %q: want auto, off, or names such as eth0 or eth*", strings.Join(c.XDP, ","))
			}
		}
		x.Names = c.XDP
	}
	if x.Generic && len(x.Names) == 0 {
		return x, fmt.Errorf("xdp-generic: --xdp names no interface")
	}
	return x, nil
}

// closedPorts returns the ports that are closed unless somebody has them, zero when there are none.
func (c *GuardConfig) closedPorts() (control.PortSpan, error) {
	if c.ClosedPorts == "" {
		return control.PortSpan{}, nil
	}
	a, b, ok := strings.Cut(c.ClosedPorts, "-")
	lo, errLo := strconv.ParseUint(a, 10, 16)
	hi, errHi := strconv.ParseUint(b, 10, 16)
	if !ok || errLo != nil || errHi != nil || lo == 0 || hi < lo {
		return control.PortSpan{}, fmt.Errorf("drop-closed-ports %q: want FIRST-LAST, such as 1-65535", c.ClosedPorts)
	}
	return control.PortSpan{First: uint16(lo), Last: uint16(hi)}, nil
}
