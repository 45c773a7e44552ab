// SPDX-License-Identifier: Apache-2.0

// Package client speaks to vethwayd over its unix socket. It keeps no state: every method is one request.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/vethway/vethway/control/api"
)

// Client is a connection to one daemon. It is an api.Backend.
type Client struct {
	socket string
	http   *http.Client
}

var _ api.Backend = (*Client)(nil)

// Config says where the daemon is.
type Config struct {
	// Socket is the path of the unix socket.
	Socket string
	// Timeout of one request; 0: a minute. A context's own deadline holds as well.
	Timeout time.Duration
}

// bufferSize has a request about thousands of ports sent in few pieces.
const bufferSize = 64 << 10

// New makes a Client. It connects when it is first used.
func New(cfg Config) (*Client, error) {
	if cfg.Socket == "" {
		return nil, errors.New("client: no socket given")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", cfg.Socket)
	}
	return &Client{
		socket: cfg.Socket,
		http: &http.Client{Timeout: cfg.Timeout, Transport: &http.Transport{
			DialContext: dial, MaxIdleConnsPerHost: 2, WriteBufferSize: bufferSize, ReadBufferSize: bufferSize,
		}},
	}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// CreateNetwork makes a network.
func (c *Client) CreateNetwork(ctx context.Context, req api.NetworkCreate) (api.NetworkCreated, error) {
	return call[api.NetworkCreated](ctx, c, http.MethodPost, "/v1/networks", nil, req)
}

// Networks lists the networks that match all filters ("name=", "id=", "label=", "driver=").
func (c *Client) Networks(ctx context.Context, filters []string) ([]api.Network, error) {
	return call[[]api.Network](ctx, c, http.MethodGet, "/v1/networks", url.Values{"filter": filters}, nil)
}

// Network inspects one network.
func (c *Client) Network(ctx context.Context, ref string) (api.Network, error) {
	return call[api.Network](ctx, c, http.MethodGet, "/v1/networks/"+url.PathEscape(ref), nil, nil)
}

// RemoveNetwork removes a network that has no endpoints.
func (c *Client) RemoveNetwork(ctx context.Context, ref string) error {
	_, err := call[struct{}](ctx, c, http.MethodDelete, "/v1/networks/"+url.PathEscape(ref), nil, nil)
	return err
}

// PruneNetworks removes the networks without endpoints that match all filters.
func (c *Client) PruneNetworks(ctx context.Context, filters []string) (api.NetworksPruned, error) {
	return call[api.NetworksPruned](ctx, c, http.MethodPost, "/v1/networks/prune", url.Values{"filter": filters}, nil)
}

// ConnectNetwork connects a container to a network.
func (c *Client) ConnectNetwork(ctx context.Context, ref string, req api.NetworkConnect) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/v1/networks/"+url.PathEscape(ref)+"/connect", nil, req)
	return err
}

// DisconnectNetwork takes a container off a network.
func (c *Client) DisconnectNetwork(ctx context.Context, ref string, req api.NetworkDisconnect) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/v1/networks/"+url.PathEscape(ref)+"/disconnect", nil, req)
	return err
}

// AttachContainer makes a container of a namespace. A relative path is the daemon's to resolve: give an absolute one.
func (c *Client) AttachContainer(ctx context.Context, req api.ContainerAttach) (api.ContainerAttached, error) {
	return call[api.ContainerAttached](ctx, c, http.MethodPost, "/v1/containers", nil, req)
}

// DetachContainer takes a container off all its networks and forgets it.
func (c *Client) DetachContainer(ctx context.Context, ref string) error {
	_, err := call[struct{}](ctx, c, http.MethodDelete, "/v1/containers/"+url.PathEscape(ref), nil, nil)
	return err
}

// Containers lists the containers, by name.
func (c *Client) Containers(ctx context.Context) ([]api.Container, error) {
	return call[[]api.Container](ctx, c, http.MethodGet, "/v1/containers", nil, nil)
}

// Container inspects one container.
func (c *Client) Container(ctx context.Context, ref string) (api.Container, error) {
	return call[api.Container](ctx, c, http.MethodGet, "/v1/containers/"+url.PathEscape(ref), nil, nil)
}

// PublishPorts publishes ports of a container and returns the new ones.
func (c *Client) PublishPorts(ctx context.Context, container string, req api.PortPublish) ([]api.Port, error) {
	return call[[]api.Port](ctx, c, http.MethodPost, "/v1/containers/"+url.PathEscape(container)+"/publish", nil, req)
}

// UnpublishPorts withdraws published ports and returns those that went.
func (c *Client) UnpublishPorts(ctx context.Context, container string, req api.PortUnpublish) ([]api.Port, error) {
	return call[[]api.Port](ctx, c, http.MethodPost, "/v1/containers/"+url.PathEscape(container)+"/unpublish", nil, req)
}

// Ports lists published ports.
func (c *Client) Ports(ctx context.Context, filter api.PortFilter) ([]api.Port, error) {
	q := url.Values{}
	if filter.Container != "" {
		q.Set("container", filter.Container)
	}
	return call[[]api.Port](ctx, c, http.MethodGet, "/v1/ports", q, nil)
}

// Flows lists NAT sessions.
func (c *Client) Flows(ctx context.Context, f api.FlowFilter) ([]api.Flow, error) {
	q := url.Values{}
	for key, value := range map[string]string{
		"container": f.Container, "network": f.Network, "protocol": f.Protocol, "kind": f.Kind,
	} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if f.Address.IsValid() {
		q.Set("address", f.Address.String())
	}
	if f.Port != 0 {
		q.Set("port", strconv.Itoa(int(f.Port)))
	}
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return call[[]api.Flow](ctx, c, http.MethodGet, "/v1/flows", q, nil)
}

// FlowStats says how much of what flows need is used up.
func (c *Client) FlowStats(ctx context.Context) (api.FlowStats, error) {
	return call[api.FlowStats](ctx, c, http.MethodGet, "/v1/flows/stats", nil, nil)
}

// FlushFlows ends NAT sessions.
func (c *Client) FlushFlows(ctx context.Context, filter api.FlowFilter) (api.FlowsFlushed, error) {
	return call[api.FlowsFlushed](ctx, c, http.MethodPost, "/v1/flows/flush", nil, filter)
}

// Events lists what was refused to containers lately, the oldest first.
func (c *Client) Events(ctx context.Context, f api.EventFilter) ([]api.Event, error) {
	q := url.Values{}
	if f.Container != "" {
		q.Set("container", f.Container)
	}
	if !f.Since.IsZero() {
		q.Set("since", f.Since.Format(time.RFC3339Nano))
	}
	return call[[]api.Event](ctx, c, http.MethodGet, "/v1/events", q, nil)
}

// Drops lists the drop counters that are not zero.
func (c *Client) Drops(ctx context.Context) ([]api.Drop, error) {
	return call[[]api.Drop](ctx, c, http.MethodGet, "/v1/drops", nil, nil)
}

// DenySources puts prefixes on the deny list and returns those that were not on it.
func (c *Client) DenySources(ctx context.Context, req api.Deny) ([]api.Denial, error) {
	return call[[]api.Denial](ctx, c, http.MethodPost, "/v1/denied", nil, req)
}

// AllowSources takes prefixes off the deny list and returns what was there.
func (c *Client) AllowSources(ctx context.Context, req api.Deny) ([]api.Denial, error) {
	return call[[]api.Denial](ctx, c, http.MethodPost, "/v1/denied/remove", nil, req)
}

// DeniedSources lists the deny list.
func (c *Client) DeniedSources(ctx context.Context) ([]api.Denial, error) {
	return call[[]api.Denial](ctx, c, http.MethodGet, "/v1/denied", nil, nil)
}

// Status says how the daemon is.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return call[api.Status](ctx, c, http.MethodGet, "/v1/status", nil, nil)
}

// call sends one request. An error of the daemon's is an *api.Error with the daemon's code, message and hint.
func call[T any](ctx context.Context, c *Client, method, path string, query url.Values, body any) (T, error) {
	var zero T
	var payload io.Reader
	if body != nil {
		data, err := encode(body)
		if err != nil {
			return zero, fmt.Errorf("encode request: %w", err)
		}
		payload = bytes.NewReader(data)
	}
	target := "http://vethway" + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, payload)
	if err != nil {
		return zero, fmt.Errorf("make request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return zero, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return zero, api.DecodeError(resp)
	}
	if resp.StatusCode == http.StatusNoContent {
		return zero, nil
	}
	var out T
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return zero, fmt.Errorf("decode the daemon's answer: %w", err)
	}
	return out, nil
}

func encode(body any) ([]byte, error) {
	if quick, ok := body.(interface{ AppendJSON([]byte) []byte }); ok {
		return quick.AppendJSON(nil), nil
	}
	return json.Marshal(body)
}

// unreachable explains why no answer came.
func (c *Client) unreachable(ctx context.Context, err error) error {
	var refused *url.Error
	if errors.As(err, &refused) {
		err = refused.Err
	}
	switch {
	case ctx.Err() != nil:
		return api.Errorf(api.Canceled, "request to %s: %w", c.socket, ctx.Err())
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return api.Errorf(api.Unavailable, "vethwayd does not answer on %s: %w", c.socket, err).
			WithHint("start it with: vethwayd; or name another socket with --socket")
	case errors.Is(err, fs.ErrPermission):
		return api.Errorf(api.Unavailable, "may not use %s: %w", c.socket, err).
			WithHint("run as root or as a member of the group vethway")
	}
	return api.Errorf(api.Unavailable, "request to %s: %w", c.socket, err)
}
