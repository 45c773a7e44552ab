// SPDX-License-Identifier: Apache-2.0

package size

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vethway/vethway/cmd/internal/bench/frames"
	"github.com/vethway/vethway/cmd/internal/bench/traffic"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/netlab"
)

// Flows is how many flows there are when the memory of them is read.
const Flows = 100000

const mebibyte = 1 << 20

// flowsMemory is the result of reading how much the kernel's tables have grown by so many flows, portMemory how much
// tables and daemon have by a published port.
const (
	flowsMemory = "memory-flows"
	portMemory  = "memory-port"
)

// flows reads how much of the kernel's memory the flows of strangers to a published port take.
func (s *site) flows(ctx context.Context, r *Report) error {
	what := fmt.Sprintf("memory of %s flows in the kernel's tables", grouped(Flows))
	s.cfg.Log.Info(what, "rounds", s.cfg.Rounds)
	port := []api.PublishSpec{{HostPort: firstPort, ContainerPort: firstPort, Protocol: api.UDP}}
	if err := s.publish(ctx, port); err != nil {
		return err
	}
	var samples []float64
	for range s.cfg.Rounds {
		took, err := s.flowsOnce(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		samples = append(samples, took/mebibyte)
	}
	res := result(flowsMemory, what, "MiB", samples)
	res.Count, res.Budget = Flows, flowsBudget
	r.Results = append(r.Results, res)
	return s.unpublish(ctx, port)
}

func (s *site) flowsOnce(ctx context.Context) (_ float64, err error) {
	if _, err := s.lab.Client.FlushFlows(ctx, api.FlowFilter{}); err != nil {
		return 0, err
	}
	cpus, err := traffic.AllowedCPUs()
	if err != nil {
		return 0, err
	}
	rig, err := frames.New(ctx, frames.Config{
		Client: s.topo.Remote, Server: s.namespaces[0], Others: []*netlab.Namespace{s.topo.Host}, Dial: netip.AddrPortFrom(s.topo.Host4, firstPort),
		Flows: Flows, Strangers: true, CPU: cpus[len(cpus)-1],
	})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rig.Close()) }()
	before, err := s.tables(ctx)
	if err != nil {
		return 0, err
	}
	arrived, err := rig.Send(ctx, Flows)
	if err != nil {
		return 0, err
	}
	if arrived < Flows {
		return 0, fmt.Errorf("only %d of %d new flows got through", arrived, Flows)
	}
	after, err := s.tables(ctx)
	if err != nil {
		return 0, err
	}
	_, err = s.lab.Client.FlushFlows(ctx, api.FlowFilter{})
	return after - before, err
}

// tables is how many bytes the maps take that the daemon has open, as the kernel accounts for them.
func (s *site) tables(ctx context.Context) (float64, error) {
	status, err := s.lab.Client.Status(ctx)
	if err != nil {
		return 0, err
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", status.PID))
	if err != nil {
		return 0, fmt.Errorf("read the memory of maps: %w", err)
	}
	each := make(map[string]float64)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // closed meanwhile
		}
		if err != nil {
			return 0, fmt.Errorf("read the memory of maps: %w", err)
		}
		if id, bytes, ok := parseMap(string(data)); ok {
			each[id] = bytes
		}
	}
	if len(each) == 0 {
		return 0, errors.New("read the memory of maps: vethwayd has none open")
	}
	var sum float64
	for _, bytes := range each {
		sum += bytes
	}
	return sum, nil
}

// parseMap reads a descriptor's /proc/…/fdinfo, where programs have a memlock too, but no map_id.
func parseMap(fdinfo string) (id string, bytes float64, ok bool) {
	for line := range strings.Lines(fdinfo) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch value = strings.TrimSpace(value); name {
		case "map_id":
			id = value
		case "memlock":
			n, err := strconv.ParseFloat(value, 64)
			bytes, ok = n, err == nil
		}
	}
	return id, bytes, ok && id != ""
}
