// SPDX-License-Identifier: Apache-2.0

package target

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/rivals"
)

// AddRules puts rules of the administrator's where each rival has its place for them. They match nothing; every packet has
// to be held against them all the same. What has no rules of its own, has no place for others'.
func (h *hosted) AddRules(ctx context.Context, n int) error {
	command, args := "", []string(nil)
	switch h.name {
	case "iptables":
		command = "iptables-nft-restore"
	case "iptables-legacy":
		command = "iptables-legacy-restore"
	case "nftables", "nftables-linear":
		command, args = "nft", []string{"-f", "-"}
	default:
		return nil
	}
	text := nftRules(n)
	if command != "nft" {
		text, args = userRules(n), []string{"-w", "--noflush"}
	}
	if _, err := h.topo.Host.RunInput(ctx, text, command, args...); err != nil {
		return fmt.Errorf("add %d rules to %s: %w", n, h.name, err)
	}
	return nil
}

// nowhere is a source address that no packet has.
func nowhere(i int) string { return fmt.Sprintf("198.18.%d.%d", i>>8&0xff, i&0xff) }

// userRules are those in the chain that Docker keeps for the administrator.
func userRules(n int) string {
	var b strings.Builder
	b.WriteString("*filter\n")
	for i := range n {
		fmt.Fprintf(&b, "-A DOCKER-USER -s %s -j DROP\n", nowhere(i))
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// nftRules are a chain of their own, before any other that forwards.
func nftRules(n int) string {
	var b strings.Builder
	b.WriteString("table ip administrator {\nchain forward {\ntype filter hook forward priority filter - 10; policy accept;\n")
	for i := range n {
		fmt.Fprintf(&b, "ip saddr %s drop\n", nowhere(i))
	}
	b.WriteString("}\n}\n")
	return b.String()
}

// Create makes a container and its ports. vethway is asked to attach one, with all that belongs to it. A rival gives the
// ports to a container that it has already: its rules are what takes the time that grows.
func (h *hosted) Create(ctx context.Context, ports, first int) (took time.Duration, err error) {
	if h.manner != translates {
		return 0, ErrNoPath
	}
	if v, ok := h.target.(*rivals.Vethway); ok {
		return h.attach(ctx, v, ports, first)
	}
	defer func() {
		for i := range ports {
			err = errors.Join(err, h.target.Unpublish(context.WithoutCancel(ctx), client, another(first+i)))
		}
	}()
	began := time.Now()
	for i := range ports {
		if err := h.target.Publish(ctx, client, another(first+i)); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

func another(port int) rivals.Port {
	return rivals.Port{HostPort: uint16(port), ContainerPort: uint16(port), Proto: "tcp"}
}

func (h *hosted) attach(ctx context.Context, v *rivals.Vethway, ports, first int) (took time.Duration, err error) {
	const name = "next"
	ns, err := h.topo.AddContainer(name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, ns.Close()) }()
	request := api.ContainerAttach{Name: name, Namespace: ns.Path(), Networks: []api.NetworkConnection{{Network: network}}}
	for i := range ports {
		p := another(first + i)
		request.Publish = append(request.Publish, api.PublishSpec{HostPort: p.HostPort, ContainerPort: p.ContainerPort, Protocol: p.Proto})
	}
	began := time.Now()
	if _, err := v.Lab().Client.AttachContainer(ctx, request); err != nil {
		return 0, err
	}
	took = time.Since(began)
	return took, v.Lab().Client.DetachContainer(context.WithoutCancel(ctx), name)
}
