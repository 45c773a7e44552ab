// SPDX-License-Identifier: Apache-2.0

package host

import (
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

// onlyTwo is the common spec without network one, for tests that make a network of their own in its place.
func onlyTwo() rivals.Spec {
	spec := rivals.CommonSpec()
	spec.Networks = spec.Networks[1:]
	return spec
}

// attach makes a container of a new namespace, with the servers in it that every container has.
func (l lab) attach(name, network string, cfg api.EndpointConfig, publish ...api.PublishSpec) *netlab.Namespace {
	l.Helper()
	ns, err := l.topo.AddContainer(name)
	l.must(err)
	_, err = l.api.AttachContainer(l.Context(), api.ContainerAttach{
		Name: name, Namespace: ns.Path(), Networks: []api.NetworkConnection{{Network: network, EndpointConfig: cfg}}, Publish: publish,
	})
	l.must(err)
	l.serve(ns, name, serverPort)
	l.serve(ns, name, otherPort)
	return ns
}

// publish publishes ports of a container, and takes them back at the end of the test.
func (l lab) publish(container string, specs ...api.PublishSpec) {
	l.Helper()
	_, err := l.api.PublishPorts(l.Context(), container, api.PortPublish{Publish: specs})
	l.must(err)
}

func (l lab) unpublish(container string, specs ...api.PublishSpec) {
	l.Helper()
	_, err := l.api.UnpublishPorts(l.Context(), container, api.PortUnpublish{Publish: specs})
	l.must(err)
}

// both is the port over tcp and udp.
func both(spec api.PublishSpec) []api.PublishSpec {
	t, u := spec, spec
	t.Protocol, u.Protocol = api.TCP, api.UDP
	return []api.PublishSpec{t, u}
}

// publishSpec is a host port that leads to the server of a container.
func publishSpec(hostPort uint16) api.PublishSpec {
	return api.PublishSpec{HostPort: hostPort, ContainerPort: serverPort}
}
