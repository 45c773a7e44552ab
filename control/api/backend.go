// SPDX-License-Identifier: Apache-2.0

package api

import "context"

// Backend does what is asked on the socket. control.Engine is one, and so is client.Client.
type Backend interface {
	CreateNetwork(ctx context.Context, req NetworkCreate) (NetworkCreated, error)
	// Networks lists networks; filters are "name=", "id=", "label=KEY[=VALUE]", "driver=". Values of one key are
	// alternatives, but every label must match; name and id match any part, as in Docker.
	Networks(ctx context.Context, filters []string) ([]Network, error)
	// Network, as every method that names a network or a container, takes a name, an ID, or the beginning of an ID.
	Network(ctx context.Context, ref string) (Network, error)
	RemoveNetwork(ctx context.Context, ref string) error
	PruneNetworks(ctx context.Context, filters []string) (NetworksPruned, error)
	ConnectNetwork(ctx context.Context, ref string, req NetworkConnect) error
	DisconnectNetwork(ctx context.Context, ref string, req NetworkDisconnect) error

	AttachContainer(ctx context.Context, req ContainerAttach) (ContainerAttached, error)
	DetachContainer(ctx context.Context, ref string) error
	Containers(ctx context.Context) ([]Container, error)
	Container(ctx context.Context, ref string) (Container, error)

	PublishPorts(ctx context.Context, container string, req PortPublish) ([]Port, error)
	UnpublishPorts(ctx context.Context, container string, req PortUnpublish) ([]Port, error)
	Ports(ctx context.Context, filter PortFilter) ([]Port, error)

	Flows(ctx context.Context, filter FlowFilter) ([]Flow, error)
	FlowStats(ctx context.Context) (FlowStats, error)
	FlushFlows(ctx context.Context, filter FlowFilter) (FlowsFlushed, error)
	// Events lists what was refused to containers lately, the oldest first.
	Events(ctx context.Context, filter EventFilter) ([]Event, error)
	Drops(ctx context.Context) ([]Drop, error)
	// DenySources puts prefixes on the deny list and returns those that were not on it; AllowSources takes them off, all or none.
	DenySources(ctx context.Context, req Deny) ([]Denial, error)
	AllowSources(ctx context.Context, req Deny) ([]Denial, error)
	DeniedSources(ctx context.Context) ([]Denial, error)
	Status(ctx context.Context) (Status, error)
}
