// SPDX-License-Identifier: Apache-2.0

package size

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/ports"
	"github.com/vethway/vethway/test/hostlab"
	"github.com/vethway/vethway/test/netlab"
)

// site is a host with a vethwayd, and namespaces to attach.
type site struct {
	cfg        Config
	topo       *netlab.Topology
	lab        *hostlab.Lab
	namespaces []*netlab.Namespace
	cli        string // the path of vethway; empty: there is none beside vethwayd
}

const network = "size"

// subnet has room for as many containers as a bridge has.
var subnet = netip.MustParsePrefix("172.30.0.0/20")

func build(ctx context.Context, cfg Config) (_ *site, err error) {
	program, err := hostlab.Find()
	if err != nil {
		return nil, err
	}
	s := &site{cfg: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("build the host: %w", err), s.close())
		}
	}()
	if cli := filepath.Join(filepath.Dir(program), "vethway"); exec.Command(cli, "--version").Run() == nil {
		s.cli = cli
	} else {
		cfg.Log.Warn("no vethway beside vethwayd: the command is not measured", "looked", cli)
	}
	if s.topo, err = netlab.New(netlab.Config{Name: "bench-size"}); err != nil {
		return nil, err
	}
	if s.lab, err = hostlab.Start(ctx, hostlab.Config{Topology: s.topo, Program: program}); err != nil {
		return nil, err
	}
	ipv6 := true
	create := api.NetworkCreate{Name: network, EnableIPv6: &ipv6, IPAM: api.IPAM{Config: []api.IPAMConfig{{Subnet: subnet}}}}
	if _, err := s.lab.Client.CreateNetwork(ctx, create); err != nil {
		return nil, err
	}
	for i := range cfg.Containers {
		ns, err := s.topo.AddContainer(container(i))
		if err != nil {
			return nil, err
		}
		s.namespaces = append(s.namespaces, ns)
	}
	return s, nil
}

func container(i int) string { return "c" + strconv.Itoa(i+1) }

func (s *site) close() error {
	var errs []error
	if s.lab != nil {
		errs = append(errs, s.lab.Close())
	}
	if s.topo != nil {
		errs = append(errs, s.topo.Close())
	}
	return errors.Join(errs...)
}

func (s *site) attach(ctx context.Context) error {
	for i, ns := range s.namespaces {
		_, err := s.lab.Client.AttachContainer(ctx, api.ContainerAttach{
			Name: container(i), Namespace: ns.Path(), Networks: []api.NetworkConnection{{Network: network}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *site) detach(ctx context.Context) error {
	for i := range s.namespaces {
		if err := s.lab.Client.DetachContainer(ctx, container(i)); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) publish(ctx context.Context, specs []api.PublishSpec) error {
	_, err := s.lab.Client.PublishPorts(ctx, container(0), api.PortPublish{Publish: specs})
	return err
}

func (s *site) unpublish(ctx context.Context, specs []api.PublishSpec) error {
	_, err := s.lab.Client.UnpublishPorts(ctx, container(0), api.PortUnpublish{Publish: specs})
	return err
}

// publishByCLI has the command do the same; its output, a line for each port, goes nowhere.
func (s *site) publishByCLI(ctx context.Context, specs []api.PublishSpec) error {
	args := []string{"--socket", s.lab.Socket(), "port", "publish", container(0)}
	for _, spec := range specs {
		args = append(args, ports.Format(spec))
	}
	cmd := exec.CommandContext(ctx, s.cli, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("vethway port publish: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}

// resident is how many bytes of the daemon are in memory.
func (s *site) resident(ctx context.Context) (float64, error) {
	status, err := s.lab.Client.Status(ctx)
	if err != nil {
		return 0, err
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", status.PID))
	if err != nil {
		return 0, fmt.Errorf("read the daemon's memory: %w", err)
	}
	return parseResident(string(data))
}

func parseResident(status string) (float64, error) {
	for line := range strings.Lines(status) {
		value, ok := strings.CutPrefix(line, "VmRSS:")
		if !ok {
			continue
		}
		kilobytes, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
		if err != nil {
			return 0, fmt.Errorf("read the daemon's memory: %q: %w", strings.TrimSpace(line), err)
		}
		return kilobytes * 1024, nil
	}
	return 0, errors.New("read the daemon's memory: no line VmRSS")
}
