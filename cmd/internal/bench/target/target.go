// SPDX-License-Identifier: Apache-2.0

// Package target builds what the benchmark compares: vethway and its rivals, each with a host, a remote client and
// containers of its own, side by side in throw-away namespaces.
package target

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

// Scenario is who talks to whom.
type Scenario string

const (
	// Published is a remote client and a container's published port.
	Published Scenario = "published"
	// Masquerade is a container and a remote server.
	Masquerade Scenario = "masquerade"
	// ContainerToContainer is two containers of one network.
	ContainerToContainer Scenario = "c2c"
	// Host is a process of the host and a published port at the host's address.
	Host Scenario = "host"
	// Loopback is a process of the host and a published port at 127.0.0.1 or ::1.
	Loopback Scenario = "loopback"
	// Hairpin is a container and its neighbour's published port at the host's address.
	Hairpin Scenario = "hairpin"
	// HairpinSelf is a container and its own published port at the host's address.
	HairpinSelf Scenario = "hairpin-self"
	// OtherNetwork is a container and the published port of a container on another network, at the host's address.
	OtherNetwork Scenario = "other-network"
)

// Scenarios lists all of them in the order of reports.
func Scenarios() []Scenario {
	return []Scenario{Published, Masquerade, ContainerToContainer, Host, Loopback, Hairpin, HairpinSelf, OtherNetwork}
}

// Extra scenarios take part only when they are asked for by name.
func (s Scenario) Extra() bool {
	return s != Published && s != Masquerade && s != ContainerToContainer
}

// DefaultScenarios lists those that are not extra.
func DefaultScenarios() []Scenario { return slices.DeleteFunc(Scenarios(), Scenario.Extra) }

// place is where the client of a published port is; empty for scenarios without one.
func (s Scenario) place() rivals.Place {
	switch s {
	case Published:
		return rivals.FromRemote
	case Host:
		return rivals.FromHost
	case Loopback:
		return rivals.FromLoopback
	case Hairpin:
		return rivals.FromNeighbour
	case HairpinSelf:
		return rivals.FromSelf
	case OtherNetwork:
		return rivals.FromOther
	}
	return ""
}

// way is the kind of traffic that counters prove.
func (s Scenario) way() rivals.Way {
	switch s {
	case Masquerade:
		return rivals.Outward
	case ContainerToContainer:
		return rivals.Inside
	}
	return rivals.Way(s.place())
}

// Dials says whether the way begins at a published port.
func (s Scenario) Dials() bool { return s.place() != "" }

// Local says whether a process of the host is one end.
func (s Scenario) Local() bool { return s == Host || s == Loopback }

// About says in a line what the scenario is.
func (s Scenario) About() string {
	switch s {
	case Published:
		return "remote client to a container's published port"
	case Masquerade:
		return "container to a remote server"
	case ContainerToContainer:
		return "container to container on the same network"
	case Host:
		return "process of the host to a published port, by the host's address"
	case Loopback:
		return "process of the host to a published port, by 127.0.0.1 or ::1"
	case Hairpin:
		return "container to its neighbour's published port, by the host's address"
	case HairpinSelf:
		return "container to its own published port, by the host's address"
	case OtherNetwork:
		return "container to a published port of another network, by the host's address"
	}
	return ""
}

// ErrUnavailable is returned by makers of targets that this kernel or this machine cannot have, or not at the size that is
// asked for; the error says why.
var ErrUnavailable = rivals.ErrUnavailable

// ErrNoPath is returned by a site that does not have the scenario.
var ErrNoPath = errors.New("the target has no such path")

// Path is where the two ends of one conversation are.
type Path struct {
	Client, Server *netlab.Namespace
	// Listen is where the server binds, Dial where the client finds it.
	Listen, Dial netip.AddrPort
	// Peer is the client's address as the server must see it; invalid where the target promises nothing.
	Peer netip.Addr
}

// Site is one target, built and ready for traffic.
type Site interface {
	Name() string
	// Cgroup is the directory of the one that threads have to be in which make the traffic. Each target has its own: what it attaches there neither sees
	// the others' sockets nor costs them anything.
	Cgroup() string
	// Path returns ErrNoPath for a scenario that the target does not have.
	Path(s Scenario, proto string, f rivals.Family) (Path, error)
	// Proof tells by which counters the traffic is known to have taken the way that the target stands for, and fails
	// when they say that it did not.
	Proof(ctx context.Context) (string, error)
	// Counters reads what the target's way counts.
	Counters(ctx context.Context) (rivals.Counters, error)
	// Prove compares two readings around traffic of a scenario, and fails when that took another way.
	Prove(s Scenario, f rivals.Family, before, after rivals.Counters) (string, error)
	// Datagrams withdraws what is published by UDP, or publishes it again, where that costs the sockets of all targets. It is published at first.
	Datagrams(ctx context.Context, on bool) error
	// Pin has what forwards in user space run on certain CPUs, those of client and server.
	Pin(cpus []int) error
	// Forget has the target forget all flows.
	Forget(ctx context.Context) error
	// Linger has it keep flows that nobody answers for as long as vethway does by itself.
	Linger() error
	// Flows counts those that it keeps; false: it keeps none, whatever passes.
	Flows(ctx context.Context) (int, bool, error)
	// AddRules puts so many rules of the host's administrator in front of the target's own, where it has such.
	AddRules(ctx context.Context, n int) error
	// Create times the making of one more container that publishes so many ports, and removes it again. first is a host
	// port from which on there are enough free ones. ErrNoPath: the target has nothing to make.
	Create(ctx context.Context, ports, first int) (time.Duration, error)
	// Namespaces are those whose interfaces and settings belong into the report, the host's first.
	Namespaces() []*netlab.Namespace
	Close() error
}

// Options say what the targets are to be made of.
type Options struct {
	// Spec is set up on each target; empty stands for rivals.CommonSpec.
	Spec rivals.Spec
	// Proxy is Docker's userland proxy; empty stands for rivals.OwnProxy.
	Proxy rivals.ProxyProgram
	// Flows is how many flows it is to have room for; 0: for as many as it has by itself.
	Flows int
	// Other is the path of another build of vethwayd, for the target OtherBuild.
	Other string
	// RulesOnly leaves Docker's proxies away, and the sockets that hold ports: see rivals.UserlandProxy. Nothing answers
	// by loopback or hairpin then.
	RulesOnly bool
	// Cgroup is the one that each target's own is made in.
	Cgroup *netlab.Cgroup

	// own is the path of the target's.
	own string
}

// flags are for vethwayd.
func (o Options) flags() []string { return []string{"--cgroup=" + o.own} }

func (o Options) userlandProxy() rivals.UserlandProxy {
	return rivals.UserlandProxy{On: true, Program: o.Proxy, RulesOnly: o.RulesOnly}
}

func (o Options) withDefaults() Options {
	if len(o.Spec.Networks) == 0 {
		o.Spec = rivals.CommonSpec()
	}
	if len(o.Proxy.Command) == 0 {
		o.Proxy = rivals.OwnProxy()
	}
	return o
}

// Splicing is which TCP within the host goes from socket to socket.
type Splicing int

const (
	// SpliceNone is none.
	SpliceNone Splicing = iota
	// SplicePolling is that of sockets that do not block, once a container has sent data.
	SplicePolling
	// SpliceAll is all of it, from the first byte.
	SpliceAll
)

// Maker is one line of the list of targets.
type Maker struct {
	Name  string
	About string
	// Extra targets take part only when they are asked for by name.
	Extra bool
	// Proxied targets run the program that Options.Proxy names.
	Proxied bool
	// Programs says that the target is made of BPF programs, which can be timed by themselves.
	Programs bool
	// Forgets says that it has to be told before each sample to forget all flows, because it does not by itself.
	Forgets bool
	// Splices says which TCP becomes no packets: samples are held to it.
	Splices Splicing
	// Make builds the site. A site that it could not finish it has taken down. It returns ErrUnavailable for what
	// cannot be had here.
	Make func(ctx context.Context, o Options) (Site, error)
}

// OtherBuild is the target of Options.Other.
const OtherBuild = "vethway-other"

// All lists the targets in the order of reports. To add one, write its rivals.Target and a line here.
func All() []Maker {
	return []Maker{
		{
			Name: "vethway", About: "vethway: the vethwayd beside this program, or in PATH", Programs: true,
			Make: rival("vethway", translates, vethway),
		},
		{
			Name: "iptables", About: "Docker's rule set on iptables-nft", Proxied: true,
			Make: rival("iptables", translates, iptables(rivals.NFT)),
		},
		{
			Name: "iptables-legacy", About: "Docker's rule set on iptables-legacy", Extra: true, Proxied: true,
			Make: rival("iptables-legacy", translates, iptables(rivals.Legacy)),
		},
		{
			Name: "iptables-plain-bridge", About: "Docker's rule set on iptables-nft, and neighbours that reach each other past it: no br_netfilter",
			Extra: true, Proxied: true,
			Make: rival("iptables-plain-bridge", translates, func(o Options) (rivals.Target, error) {
				return rivals.NewIptables(rivals.IptablesConfig{Backend: rivals.NFT, UserlandProxy: o.userlandProxy(), PlainBridge: true})
			}),
		},
		{
			Name: "nftables", About: "the same in nftables, with a map in place of a rule for each port",
			Make: rival("nftables", translates, func(o Options) (rivals.Target, error) {
				return rivals.NewNftables(rivals.NftablesConfig{RulesOnly: o.RulesOnly}), nil
			}),
		},
		{
			Name: "nftables-linear", About: "Docker's own rule set on nftables, with a rule for each port", Extra: true, Proxied: true,
			Make: rival("nftables-linear", translates, func(o Options) (rivals.Target, error) { return rivals.NewLinear(o.userlandProxy()), nil }),
		},
		{
			Name: "docker-proxy", About: "Docker's userland proxy and no rules: published ports alone", Extra: true, Proxied: true,
			Make: rival("docker-proxy", proxies, func(o Options) (rivals.Target, error) { return rivals.NewDockerProxy(o.Proxy) }),
		},
		{
			Name: "routing", About: "plain routing: no NAT, no filter",
			Make: rival("routing", routes, routing),
		},
		{
			Name: "redirect", About: "routing by the smallest tc programs, which know where everybody is: the limit of eBPF between veths", Programs: true,
			Make: rival("redirect", routes, redirect),
		},
		{
			Name: "least-nat", About: "redirect, with one look-up, rewrite and checksum a packet and two inserts a flow: the limit of any NAT with state", Programs: true,
			Forgets: true,
			Make:    rival("least-nat", translates, leastNAT),
		},
		{
			Name: "direct", About: "one veth pair with no host in between: the machine's limit",
			Make: rival("direct", routes, direct),
		},
		{
			Name: "vethway-spliced", About: "vethway, and networks whose option splices TCP: within the host, with sockets that do not block",
			Extra: true, Splices: SplicePolling,
			Make: rival("vethway-spliced", translates, spliced),
		},
		{
			Name: OtherBuild, About: "vethway: the vethwayd that --other names, to compare two builds within the same rounds", Extra: true, Programs: true,
			Make: rival(OtherBuild, translates, otherBuild),
		},
		{
			Name: "least-splice", About: "redirect, and TCP within the host from socket to socket, by the smallest programs: the limit of spliced requests",
			Extra: true, Splices: SpliceAll,
			Make: rival("least-splice", routes, leastSplice),
		},
		{
			Name: "vethway-bigtcp", About: "vethway, where the uplink takes packets of 192 KiB (IPv4)", Extra: true,
			Make: rival("vethway-bigtcp", translates, bigTCP(vethway)),
		},
		{
			Name: "iptables-bigtcp", About: "iptables, and all interfaces take packets of 192 KiB (IPv4)", Extra: true, Proxied: true,
			Make: rival("iptables-bigtcp", translates, bigTCP(iptables(rivals.NFT))),
		},
		{
			Name: "routing-bigtcp", About: "routing, and all interfaces take packets of 192 KiB (IPv4)", Extra: true,
			Make: rival("routing-bigtcp", routes, bigTCP(routing)),
		},
		{
			Name: "redirect-bigtcp", About: "redirect, and all interfaces take packets of 192 KiB (IPv4)", Extra: true,
			Make: rival("redirect-bigtcp", routes, bigTCP(redirect)),
		},
		{
			Name: "least-nat-bigtcp", About: "least-nat, and all interfaces take packets of 192 KiB (IPv4)", Extra: true, Forgets: true,
			Make: rival("least-nat-bigtcp", translates, bigTCP(leastNAT)),
		},
		{
			Name: "direct-bigtcp", About: "direct, and the pair takes packets of 192 KiB (IPv4)", Extra: true,
			Make: rival("direct-bigtcp", routes, bigTCP(direct)),
		},
	}
}

// Choose picks targets by name, in the order of All; no names at all means those that are not extra.
func Choose(names []string) ([]Maker, error) {
	var chosen []Maker
	for _, m := range All() {
		if len(names) == 0 && !m.Extra || slices.Contains(names, m.Name) {
			chosen = append(chosen, m)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(chosen, func(m Maker) bool { return m.Name == name }) {
			return nil, fmt.Errorf("no target %q: `vethway-bench list` shows those that there are", name)
		}
	}
	return chosen, nil
}
