// SPDX-License-Identifier: Apache-2.0

package drop

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vethway/vethway/cmd/internal/bench/frames"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/hostlab"
	"github.com/vethway/vethway/test/netlab"
)

// Baseline is the target that others are compared with.
const Baseline = "nftables"

// site is one target: a host that drops what its remote sends.
type site struct {
	name, what string
	topo       *netlab.Topology
	lab        *hostlab.Lab
	rigs       map[int]*frames.Rig // by family
	// dropped is how many frames the target says it has dropped.
	dropped func(ctx context.Context) (uint64, error)
}

const (
	uplink    = "eth0"
	port      = 5001
	sources   = 1000 // ports that frames come from
	nftTable  = "netdev bench"
	nftTally  = "dropped"
	nftBefore = -500 // what the priority of the chain is
)

// build makes all sites. Those that were made are returned with an error, to be closed.
func build(ctx context.Context, cfg Config) ([]*site, error) {
	program, err := hostlab.Find()
	if err != nil {
		return nil, err
	}
	var sites []*site
	for _, t := range []struct {
		name, what string
		deny       func(s *site) error
	}{
		{"xdp", "vethway, vw_xdp in the driver", func(s *site) error { return s.vethway(ctx, cfg, program, "xdp", "--xdp="+uplink) }},
		{"tc", "vethway, vw_guard at tc ingress", func(s *site) error { return s.vethway(ctx, cfg, program, "guard", "--xdp=off") }},
		{Baseline, "nftables, ingress hook of the netdev family, interval set", func(s *site) error { return s.nftables(ctx, cfg) }},
	} {
		cfg.Log.Info("build", "target", t.name)
		s := &site{name: t.name, what: t.what, rigs: map[int]*frames.Rig{}}
		sites = append(sites, s)
		if err := s.prepare(ctx, t.deny); err != nil {
			return sites, fmt.Errorf("build target %s: %w", t.name, err)
		}
	}
	return sites, nil
}

// prepare makes the host, finds the way to it, and then closes it.
func (s *site) prepare(ctx context.Context, deny func(s *site) error) (err error) {
	if s.topo, err = netlab.New(netlab.Config{Name: "bench-drop"}); err != nil {
		return err
	}
	nobody, err := s.topo.AddContainer("nobody")
	if err != nil {
		return err
	}
	for family, to := range map[int]netip.Addr{4: s.topo.Host4, 6: s.topo.Host6} {
		s.rigs[family], err = frames.New(ctx, frames.Config{
			Client: s.topo.Remote, Server: nobody, Others: []*netlab.Namespace{s.topo.Host},
			Dial: netip.AddrPortFrom(to, port), Flows: sources,
		})
		if err != nil {
			return err
		}
	}
	return deny(s)
}

// denied are the remote's addresses of a family, and others that nothing comes from: every second of their kind, so that
// neighbours cannot be taken together.
func (s *site) denied(family, others int) []netip.Prefix {
	remote := map[int]netip.Addr{4: s.topo.Remote4, 6: s.topo.Remote6}[family]
	list := []netip.Prefix{netip.PrefixFrom(remote, remote.BitLen())}
	for i := range others {
		hi, lo := byte(2*i>>8), byte(2*i)
		if family == 4 {
			list = append(list, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, hi, lo, 0}), 24))
		} else {
			list = append(list, netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x99, 0, 0, hi, lo}), 48))
		}
	}
	return list
}

func (s *site) vethway(ctx context.Context, cfg Config, program, hook string, flags ...string) (err error) {
	if s.lab, err = hostlab.Start(ctx, hostlab.Config{Topology: s.topo, Program: program, Flags: flags}); err != nil {
		return err
	}
	for _, family := range families() {
		if _, err := s.lab.Client.DenySources(ctx, api.Deny{Prefixes: s.denied(family, cfg.Prefixes)}); err != nil {
			return err
		}
	}
	s.dropped = func(ctx context.Context) (uint64, error) {
		list, err := s.lab.Client.Drops(ctx)
		for _, d := range list {
			if d.Hook == hook && d.Reason == "denied" {
				return d.Packets, nil
			}
		}
		return 0, err
	}
	return nil
}

func (s *site) nftables(ctx context.Context, cfg Config) error {
	var b strings.Builder
	fmt.Fprintf(&b, "table %s {\n counter %s {}\n", nftTable, nftTally)
	for _, family := range families() {
		list := s.denied(family, cfg.Prefixes)
		text := make([]string, len(list))
		for i, p := range list {
			text[i] = p.String()
		}
		fmt.Fprintf(&b, " set denied%d { type ipv%d_addr; flags interval; elements = { %s } }\n", family, family, strings.Join(text, ", "))
	}
	fmt.Fprintf(&b, " chain in { type filter hook ingress device %q priority %d; policy accept;\n", uplink, nftBefore)
	fmt.Fprintf(&b, "  ip saddr @denied4 counter name %q drop\n  ip6 saddr @denied6 counter name %q drop\n }\n}\n", nftTally, nftTally)
	if _, err := s.topo.Host.RunInput(ctx, b.String(), "nft", "-f", "-"); err != nil {
		return err
	}
	s.dropped = func(ctx context.Context) (uint64, error) {
		out, err := s.topo.Host.Run(ctx, "nft", "list", "counters")
		if err != nil {
			return 0, err
		}
		return parseCounter(out)
	}
	return nil
}

// parseCounter finds the number after "packets".
func parseCounter(text string) (uint64, error) {
	fields := strings.Fields(text)
	for i, f := range fields[:max(len(fields)-1, 0)] {
		if f == "packets" {
			return strconv.ParseUint(fields[i+1], 10, 64)
		}
	}
	return 0, fmt.Errorf("nft lists no counter: %q", text)
}

func (s *site) close() error {
	var errs []error
	for _, rig := range s.rigs {
		if rig != nil {
			errs = append(errs, rig.Close())
		}
	}
	if s.lab != nil {
		errs = append(errs, s.lab.Close())
	}
	if s.topo != nil {
		errs = append(errs, s.topo.Close())
	}
	return errors.Join(errs...)
}
