// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/test/rivals"
)

// Axis is what a series varies.
type Axis string

const (
	// Ports are published TCP ports of the host.
	Ports Axis = "ports"
	// Flows are other flows that the target keeps in its tables.
	Flows Axis = "flows"
	// Containers are those of one network, each with ports of its own.
	Containers Axis = "containers"
	// Rules are those that the host's administrator has put in front of the target's own, and that match nothing.
	Rules Axis = "rules"
)

// Axes lists all of them in the order of reports.
func Axes() []Axis { return []Axis{Ports, Flows, Containers, Rules} }

// About says in a line what grows.
func (a Axis) About() string {
	return map[Axis]string{
		Ports:      "published ports: what a new connection costs",
		Flows:      "flows in the table: what a packet of another flow costs",
		Containers: "containers with 32 ports each: what the traffic costs, and how long the next one takes",
		Rules:      "rules of the host's administrator in front of the target's own: what a packet costs",
	}[a]
}

// listable is how many flows can be listed in no time. The way of the traffic is proven up to there; it does not change.
const listable = 10000

// comfortable is how many flows vethway keeps by itself without making room: three quarters of its table.
const comfortable = 196608

// portsEach is how many ports each container of a series over containers publishes.
const portsEach = 32

// Series is a row of comparisons that differ in one number.
type Series struct {
	Axis    Axis
	Points  []int
	Cells   []Cell
	Targets []target.Maker
	// Most is the last point that a target takes part in: what gets slow by the square need not be seen at the end.
	Most map[string]int
	// Beside is a target that also takes part at every later point as it was at the first one, as report.FirstName calls it:
	// what two points have in the same rounds can be divided.
	Beside string
	// Rounds of each cell; LastRounds, if it is more, are those of the last point.
	Rounds, LastRounds int
	// Creates is how often the creation of the next container is timed.
	Creates int
}

// What it takes to build a target with so many of something, as seen on a small virtual machine.
const (
	perSite      = 300 * time.Millisecond
	perPort      = 150 * time.Microsecond
	perContainer = 60 * time.Millisecond
	perFlow      = 4 * time.Microsecond
)

func (s Series) duration(sample time.Duration) time.Duration {
	var all time.Duration
	for _, x := range s.Points {
		if _, ok := s.beside(x); ok {
			all += perSite + time.Duration(s.rounds(x)*len(s.Cells))*sample
		}
		for _, m := range s.makers(x) {
			all += perSite + time.Duration(s.size(x).ports)*perPort + time.Duration(s.size(x).containers)*perContainer
			all += time.Duration(s.rounds(x)*len(s.Cells)) * sample
			if s.Axis == Flows {
				all += time.Duration(x*len(s.Cells)) * perFlow
			}
			if m.Name != "vethway" {
				all += time.Duration(s.Creates) * portsEach * perSite
			}
		}
	}
	return all
}

// steps is how many comparisons there are at each point.
func (s Series) steps() int {
	if s.Creates > 0 {
		return len(s.Cells) + 1
	}
	return len(s.Cells)
}

// makers are the targets that take part at a point.
func (s Series) makers(x int) []target.Maker {
	var list []target.Maker
	for _, m := range s.Targets {
		if most, ok := s.Most[m.Name]; !ok || x <= most {
			list = append(list, m)
		}
	}
	return list
}

// beside is the target that takes part at a point as it was at the first one.
func (s Series) beside(x int) (target.Maker, bool) {
	i := slices.IndexFunc(s.Targets, func(m target.Maker) bool { return m.Name == s.Beside })
	if i < 0 || x == s.Points[0] {
		return target.Maker{}, false
	}
	m := s.Targets[i]
	m.Name = report.FirstName(m.Name, s.Points[0])
	return m, true
}

// place is where on the axis a target stands that takes part at x.
func (s Series) place(b built, x int) int {
	if first, ok := s.beside(x); ok && b.maker.Name == first.Name {
		return s.Points[0]
	}
	return x
}

// rounds of a point.
func (s Series) rounds(x int) int {
	if x == s.Points[len(s.Points)-1] {
		return max(s.Rounds, s.LastRounds)
	}
	return s.Rounds
}

// renamed is a site that is not what its name alone would promise.
type renamed struct {
	target.Site
	name string
}

func (r renamed) Name() string { return r.name }

type extent struct{ containers, ports int }

func (s Series) size(x int) extent {
	switch s.Axis {
	case Ports:
		return extent{2, x}
	case Containers:
		return extent{max(x, 2), x * portsEach}
	}
	return extent{2, 1}
}

func (s Series) options(base target.Options, x int) (target.Options, error) {
	size := s.size(x)
	spec, err := rivals.ScaledSpec(size.containers, size.ports)
	if err != nil {
		return target.Options{}, err
	}
	base.Spec = spec
	if s.Axis == Flows && x > comfortable {
		base.Flows = x + x/2
	}
	// A process or a socket for each of thousands of ports would be all that is measured.
	base.RulesOnly = true
	return base, nil
}

// stand builds the targets of a point, the one that is as at the first point last.
func (r *runner) stand(ctx context.Context, s Series, x int) ([]built, error) {
	options, err := s.options(r.Options, x)
	if err != nil {
		return nil, err
	}
	sites, err := r.build(ctx, s.makers(x), options)
	m, ok := s.beside(x)
	if !ok || ctx.Err() != nil {
		return sites, err
	}
	options, failed := s.options(r.Options, s.Points[0])
	if failed != nil {
		return sites, errors.Join(err, failed)
	}
	first, failed := r.build(ctx, []target.Maker{m}, options)
	for _, b := range first {
		sites = append(sites, built{m, renamed{b.site, m.Name}})
	}
	return sites, errors.Join(err, failed)
}

// point builds the targets anew, as large as the point says.
func (r *runner) point(ctx context.Context, s Series, x int) (results []report.Result, err error) {
	sites, failed := r.stand(ctx, s, x)
	defer func() { err = errors.Join(err, closeSites(sites)) }()
	errs := []error{failed, r.calm(ctx)}
	ready := sites
	if s.Axis == Rules {
		ready, failed = each(ready, func(b built) error { return b.site.AddRules(ctx, x) })
		errs = append(errs, failed)
	}
	for _, c := range s.Cells {
		if s.Axis == Flows {
			ready, failed = r.fill(ctx, ready, s, x)
			errs = append(errs, failed)
		}
		// Who counts by listing flows would go on listing until the first ones are forgotten.
		proof := s.Axis != Flows || x <= listable
		list, err := r.measure(ctx, c, ready, rounds{0, s.rounds(x)}, fmt.Sprintf("%s, %d %s", c, x, s.Axis), proof)
		report.Summarize(list)
		errs = append(errs, report.Failures(list))
		if s.Axis == Flows {
			errs = append(errs, r.kept(ctx, ready, s, x, list))
		}
		for i := range list {
			list[i].Axis, list[i].X = string(s.Axis), x
		}
		results, errs = append(results, list...), append(errs, err)
		if ctx.Err() != nil {
			return results, errors.Join(errs...)
		}
	}
	if s.Creates > 0 {
		list, err := r.create(ctx, ready, s, x)
		results, errs = append(results, list...), append(errs, err)
	}
	return results, errors.Join(errs...)
}

// each does something to all sites, and returns those that it succeeded with, and why it did not with the others.
func each(sites []built, do func(built) error) ([]built, error) {
	var good []built
	var errs []error
	for _, b := range sites {
		if err := do(b); err != nil {
			errs = append(errs, err)
			continue
		}
		good = append(good, b)
	}
	return good, errors.Join(errs...)
}
