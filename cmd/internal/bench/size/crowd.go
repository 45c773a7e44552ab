// SPDX-License-Identifier: Apache-2.0

package size

import (
	"context"
	"fmt"

	"github.com/vethway/vethway/control/api"
)

// crowd attaches containers with ports of their own until there are many, and times attaching and detaching the last one.
func (s *site) crowd(ctx context.Context, r *Report) error {
	if s.cfg.Crowd == 0 {
		return nil
	}
	if err := s.detach(ctx); err != nil {
		return err
	}
	s.cfg.Log.Info("attach", "containers", s.cfg.Crowd, "ports of each", CrowdPorts)
	for i := len(s.namespaces); i < s.cfg.Crowd; i++ {
		ns, err := s.topo.AddContainer(container(i))
		if err != nil {
			return err
		}
		s.namespaces = append(s.namespaces, ns)
	}
	for i := range s.namespaces {
		if err := s.attachWithPorts(ctx, i); err != nil {
			return err
		}
	}
	last := s.cfg.Crowd - 1
	var attaches, detaches []float64
	for range s.cfg.Rounds {
		took, err := timed(func() error { return s.lab.Client.DetachContainer(ctx, container(last)) })
		if err != nil {
			return err
		}
		detaches = append(detaches, float64(took.Microseconds())/1e3)
		if took, err = timed(func() error { return s.attachWithPorts(ctx, last) }); err != nil {
			return err
		}
		attaches = append(attaches, float64(took.Microseconds())/1e3)
	}
	which := fmt.Sprintf("container %s, with %d ports each", grouped(s.cfg.Crowd), CrowdPorts)
	attach, detach := result(attachLast, "attach "+which, "ms", attaches), result("detach-last", "detach "+which, "ms", detaches)
	attach.Count, detach.Count = s.cfg.Crowd, s.cfg.Crowd
	if s.cfg.Crowd == DefaultCrowd {
		attach.Budget = float64(crowdBudget.Milliseconds())
	}
	r.Results = append(r.Results, attach, detach)
	return nil
}

// attachWithPorts publishes every other port, so that none can be one with the next.
func (s *site) attachWithPorts(ctx context.Context, i int) error {
	specs := make([]api.PublishSpec, CrowdPorts)
	for n := range specs {
		specs[n] = api.PublishSpec{HostPort: uint16(2001 + 2*(i*CrowdPorts+n)), ContainerPort: uint16(8000 + n)}
	}
	_, err := s.lab.Client.AttachContainer(ctx, api.ContainerAttach{
		Name: container(i), Namespace: s.namespaces[i].Path(), Networks: []api.NetworkConnection{{Network: network}}, Publish: specs,
	})
	return err
}
