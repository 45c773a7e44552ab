// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"cmp"
	"fmt"
	"math"

	"github.com/spf13/pflag"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/control"
)

// DefaultMaxFlows is a quarter of what either flow table holds: no container can fill it, and each may still have more flows
// to one destination than there are NAT ports.
const DefaultMaxFlows = 65536

// What --flow-table-size may be. The least holds what one container may have by default, the most takes 256 MB before the
// first flow: sixteen bytes for each of the entries, of which a flow has two, in the table of each family.
const (
	DefaultFlowTable = 262144
	leastFlowTable   = DefaultMaxFlows
	mostFlowTable    = 4194304
)

// entriesOfFlow is one for each direction.
const entriesOfFlow = 2

// Values of --tcp-mapping (RFC 4787 section 4.1, RFC 5382 REQ-1).
const (
	tcpDependent   = "address-and-port-dependent"
	tcpIndependent = "endpoint-independent"
)

// FlowConfig says how many flows there may be, and how long they live.
type FlowConfig struct {
	TableSize      int // flows of all containers at a time, of each family; 0: DefaultFlowTable
	MaxFlows       int // of a container at a time; 0: any number
	MaxFlowRate    int // of a container in a second; 0: any number
	AllowShort     bool
	InboundRefresh bool
	TCPMapping     string // tcpDependent, also when it is empty, or tcpIndependent
	// Timeouts are those that were given, by the names of control.Timers.
	Timeouts map[string]string
}

func (c *FlowConfig) addFlags(f *pflag.FlagSet) {
	f.IntVar(&c.TableSize, "flow-table-size", DefaultFlowTable,
		"flows of all containers and the host's ports at a time, so many of IPv4 and so many of IPv6; tables that are there already keep their size")
	f.IntVar(&c.MaxFlows, "max-flows", DefaultMaxFlows, "flows that a container may have begun at a time; 0: any number")
	f.IntVar(&c.MaxFlowRate, "max-flow-rate", 0, "flows that a container may begin in a second; 0: any number")
	for _, t := range control.Timers() {
		f.Var(&timerFlag{c, t}, timerFlagName(t), t.Usage)
	}
	f.BoolVar(&c.InboundRefresh, "inbound-refresh", false, "let also what arrives keep flows that containers began")
	f.StringVar(&c.TCPMapping, "tcp-mapping", tcpDependent,
		"external ports of TCP: "+tcpDependent+", or "+tcpIndependent+": one for each internal port, whatever the destination")
	f.BoolVar(&c.AllowShort, "allow-short-timeouts", false, "accept timeouts below what the RFCs ask for")
}

func timerFlagName(t control.Timer) string {
	if t.Name == control.PortRest {
		return t.Name
	}
	return t.Name + "-timeout"
}

// check refuses what is out of range; the error carries exit.BadConfig.
func (c *FlowConfig) check() error {
	for _, limit := range []struct {
		flag  string
		value int
	}{{"max-flows", c.MaxFlows}, {"max-flow-rate", c.MaxFlowRate}} {
		if limit.value < 0 || limit.value > math.MaxUint32 {
			return exit.Errorf(exit.BadConfig, "%s %d: want a number from 1 to %d, or 0 for any number", limit.flag, limit.value, uint32(math.MaxUint32))
		}
	}
	if c.TableSize != 0 && (c.TableSize < leastFlowTable || c.TableSize > mostFlowTable) {
		return exit.Errorf(exit.BadConfig, "flow-table-size %d: want %d to %d flows", c.TableSize, leastFlowTable, mostFlowTable)
	}
	if c.TCPMapping != "" && c.TCPMapping != tcpDependent && c.TCPMapping != tcpIndependent {
		return exit.Errorf(exit.BadConfig, "tcp-mapping %q: want %s or %s", c.TCPMapping, tcpDependent, tcpIndependent)
	}
	_, err := c.timeouts()
	return err
}

// checkRoom refuses a limit that a flow table, which may be older than this daemon, cannot hold.
func (c *FlowConfig) checkRoom(flows int) error {
	if c.MaxFlows > flows {
		return exit.Errorf(exit.BadConfig, "max-flows %d: the flow table holds %d", c.MaxFlows, flows).WithHint("0 is any number")
	}
	return nil
}

// entries is the size of each family's table that is wanted.
func (c *FlowConfig) entries() uint32 {
	return entriesOfFlow * uint32(cmp.Or(c.TableSize, DefaultFlowTable))
}

// timeouts are the defaults, and what was given in their place.
func (c *FlowConfig) timeouts() (control.Timeouts, error) {
	all := control.DefaultTimeouts()
	all.InboundRefresh = c.InboundRefresh
	for _, t := range control.Timers() {
		given, ok := c.Timeouts[t.Name]
		if !ok {
			continue
		}
		d, err := t.Parse(given, c.AllowShort)
		if err != nil {
			return all, exit.Errorf(exit.BadConfig, "%s: %w", timerFlagName(t), err)
		}
		*t.Of(&all) = d
	}
	return all, nil
}

// timerFlag is a timer as a flag. What is given is judged when all flags are known: whether short ones are allowed is
// one of them.
type timerFlag struct {
	c     *FlowConfig
	timer control.Timer
}

func (f *timerFlag) Set(s string) error {
	if _, err := f.timer.Parse(s, true); err != nil {
		return err
	}
	if f.c.Timeouts == nil {
		f.c.Timeouts = map[string]string{}
	}
	f.c.Timeouts[f.timer.Name] = s
	return nil
}

func (f *timerFlag) String() string {
	if f.c == nil {
		return "" // pflag asks the zero value
	}
	if given, ok := f.c.Timeouts[f.timer.Name]; ok {
		return given
	}
	return fmt.Sprintf("%.0fs", f.timer.Default.Seconds())
}

func (f *timerFlag) Type() string { return "duration" }
