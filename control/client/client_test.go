// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/client"
	"github.com/vethway/vethway/control/controltest"
)

// serve has an engine without a kernel listen on two sockets and returns a client of each.
func serve(t *testing.T) (engine *control.Engine, links *controltest.Links, full, readOnly *client.Client, dir string) {
	t.Helper()
	faults := &controltest.Faults{}
	links = controltest.NewLinks(faults)
	engine, err := control.New(context.Background(), control.Config{
		Links: links, Dataplane: controltest.NewDataplane(faults, links), Store: controltest.NewStore(faults), Version: "1.2",
	})
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	start := func(name string, ro bool) *client.Client {
		l, err := api.Listen(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		handler, err := api.NewHandler(api.HandlerConfig{Backend: engine, ReadOnly: ro})
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: handler}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		}()
		c, err := client.New(client.Config{Socket: filepath.Join(dir, name)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			c.Close()
			server.Close()
			<-done
		})
		return c
	}
	return engine, links, start("full.sock", false), start("ro.sock", true), dir
}

// same compares what the client got with what the engine says itself.
func same[T any](t *testing.T, what string, got T, err error, want T, wantErr error) {
	t.Helper()
	if err != nil || wantErr != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got\n%+v, %v\nwant\n%+v, %v", what, got, err, want, wantErr)
	}
}

func TestEveryRequest(t *testing.T) {
	ctx := context.Background()
	engine, links, c, _, _ := serve(t)
	links.AddNamespace("/ns/c1")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	yes := true
	created, err := c.CreateNetwork(ctx, api.NetworkCreate{
		Name: "web", EnableIPv6: &yes, Labels: map[string]string{"a": "b"},
		IPAM: api.IPAM{Config: []api.IPAMConfig{{Subnet: netip.MustParsePrefix("10.0.1.0/24"), AuxiliaryAddresses: map[string]netip.Addr{"x": netip.MustParseAddr("10.0.1.9")}}}},
	})
	must(err)
	_, err = c.CreateNetwork(ctx, api.NetworkCreate{Name: "other"})
	must(err)
	attached, err := c.AttachContainer(ctx, api.ContainerAttach{
		Name: "c1", Namespace: "/ns/c1", Networks: []api.NetworkConnection{{Network: created.ID}},
		Publish: []api.PublishSpec{{ContainerPort: 80}, {HostIP: netip.MustParseAddr("::1"), HostPort: 90, ContainerPort: 90, Protocol: "udp"}},
	})
	must(err)
	must(c.ConnectNetwork(ctx, "other", api.NetworkConnect{Container: attached.ID}))
	published, err := c.PublishPorts(ctx, "c1", api.PortPublish{Publish: []api.PublishSpec{{HostPort: 99, ContainerPort: 99}}})
	must(err)
	if len(published) != 2 || published[0].HostPort != 99 {
		t.Errorf("published %+v", published)
	}

	networks, err := c.Networks(ctx, []string{"label=a"})
	wantNetworks, wantErr := engine.Networks(ctx, []string{"label=a"})
	same(t, "networks", networks, err, wantNetworks, wantErr)
	network, err := c.Network(ctx, "web")
	wantNetwork, wantErr := engine.Network(ctx, "web")
	same(t, "network", network, err, wantNetwork, wantErr)
	containers, err := c.Containers(ctx)
	wantContainers, wantErr := engine.Containers(ctx)
	same(t, "containers", containers, err, wantContainers, wantErr)
	container, err := c.Container(ctx, "c1")
	wantContainer, wantErr := engine.Container(ctx, "c1")
	same(t, "container", container, err, wantContainer, wantErr)
	list, err := c.Ports(ctx, api.PortFilter{Container: "c1"})
	wantList, wantErr := engine.Ports(ctx, api.PortFilter{Container: "c1"})
	same(t, "ports", list, err, wantList, wantErr)
	status, err := c.Status(ctx)
	must(err)
	if status.Version != "1.2" || status.Endpoints != 2 || status.Ports != 5 || status.PID != os.Getpid() {
		t.Errorf("status %+v", status)
	}
	flows, err := c.Flows(ctx, api.FlowFilter{Container: "c1", Protocol: "tcp", Port: 80, Address: netip.MustParseAddr("10.0.1.2"), Limit: 3})
	same(t, "flows", flows, err, []api.Flow{}, nil)
	stats, err := c.FlowStats(ctx)
	wantStats, wantErr := engine.FlowStats(ctx)
	same(t, "flow stats", stats, err, wantStats, wantErr)
	flushed, err := c.FlushFlows(ctx, api.FlowFilter{})
	same(t, "flush", flushed, err, api.FlowsFlushed{}, nil)
	events, err := c.Events(ctx, api.EventFilter{Container: "c1", Since: time.Now()})
	same(t, "events", events, err, []api.Event{}, nil)
	drops, err := c.Drops(ctx)
	same(t, "drops", drops, err, []api.Drop{}, nil)

	denied := api.Deny{Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}}
	added, err := c.DenySources(ctx, denied)
	wantAdded, wantErr := engine.DeniedSources(ctx)
	same(t, "denied", added, err, wantAdded, wantErr)
	gone, err := c.AllowSources(ctx, denied)
	same(t, "allowed", gone, err, wantAdded, nil)
	none, err := c.DeniedSources(ctx)
	same(t, "nobody denied", none, err, []api.Denial{}, nil)

	withdrawn, err := c.UnpublishPorts(ctx, "c1", api.PortUnpublish{Publish: []api.PublishSpec{{HostPort: 99, ContainerPort: 99}}})
	must(err)
	if len(withdrawn) != 2 {
		t.Errorf("withdrawn %+v", withdrawn)
	}
	must(c.DisconnectNetwork(ctx, "other", api.NetworkDisconnect{Container: "c1"}))
	pruned, err := c.PruneNetworks(ctx, nil)
	same(t, "prune", pruned, err, api.NetworksPruned{NetworksDeleted: []string{"other"}}, nil)
	must(c.DetachContainer(ctx, "c1"))
	must(c.RemoveNetwork(ctx, "web"))
}

func TestErrorsKeepTheirCodes(t *testing.T) {
	ctx := context.Background()
	_, _, c, _, _ := serve(t)
	_, err := c.Network(ctx, "a/../b c")
	var e *api.Error
	if !errors.Is(err, control.ErrNotFound) || !errors.As(err, &e) || e.Hint == "" || !strings.Contains(e.Message, "a/../b c") {
		t.Errorf("error %v", err)
	}
	if api.ExitCode(err) != api.NotFound.ExitCode() {
		t.Errorf("exit code %d", api.ExitCode(err))
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.Status(ended); !errors.Is(err, context.Canceled) || !errors.Is(err, control.ErrCanceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestReadOnlySocket(t *testing.T) {
	ctx := context.Background()
	engine, _, _, ro, dir := serve(t)
	if _, err := ro.Networks(ctx, nil); err != nil {
		t.Error(err)
	}
	_, err := ro.CreateNetwork(ctx, api.NetworkCreate{Name: "web"})
	if !errors.Is(err, api.ReadOnly) {
		t.Errorf("create: %v", err)
	}
	for name, err := range map[string]error{
		"remove": ro.RemoveNetwork(ctx, "x"), "detach": ro.DetachContainer(ctx, "x"),
		"connect": ro.ConnectNetwork(ctx, "x", api.NetworkConnect{}),
	} {
		if !errors.Is(err, api.ReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, method := range []string{"PUT", "PATCH", "OPTIONS", "TRACE", "HEAD"} {
		resp := raw(t, filepath.Join(dir, "ro.sock"), method, "/v1/networks", "")
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", method, resp.Status)
		}
	}
	if list, err := engine.Networks(ctx, nil); err != nil || len(list) != 0 {
		t.Errorf("networks: %v, %v", list, err)
	}
}

// raw sends a request as curl would.
func raw(t *testing.T, socket, method, path, body string) *http.Response {
	t.Helper()
	hc := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := hc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(data))
	return resp
}

func TestBadRequests(t *testing.T) {
	_, _, _, _, dir := serve(t)
	socket := filepath.Join(dir, "full.sock")
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"POST", "/v1/networks", "", 400, "no body"},
		{"POST", "/v1/networks", "{", 400, "request body"},
		{"POST", "/v1/networks", `{"Name":"a"} {"Name":"b"}`, 400, "more than one"},
		{"POST", "/v1/networks", `{"Nam":"a"}`, 400, `unknown field \"Nam\"`},
		{"POST", "/v1/networks", `{"Name":7}`, 400, "request body"},
		{"POST", "/v1/networks", `{"Name":"a","IPAM":{"Config":[{"Subnet":"x"}]}}`, 400, "request body"},
		{"POST", "/v1/containers/c1/publish", `{"Publish":[{"ContainerPort":70000}]}`, 400, "request body"},
		{"GET", "/v1/flows?port=x", "", 400, "port"},
		{"GET", "/v1/flows?address=x", "", 400, "address"},
		{"GET", "/v1/flows?limit=-1", "", 400, "limit"},
		{"GET", "/v1/networks?filter=x", "", 400, "filter"},
		{"GET", "/v1/nonsense", "", 404, "no such resource"},
		{"GET", "/", "", 404, "no such resource"},
		{"GET", "/v1", "", 404, "/v1/containers, /v1/denied, /v1/drops"},
		{"PUT", "/v1/networks", "", 405, ""},
		{"DELETE", "/v1/networks/x", "", 404, "no such network"},
	} {
		resp := raw(t, socket, c.method, c.path, c.body)
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != c.status && !(c.status == 405 && resp.StatusCode == 404) || !strings.Contains(string(data), c.text) {
			t.Errorf("%s %s %s: %s %s, want %d with %q", c.method, c.path, c.body, resp.Status, data, c.status, c.text)
		}
		if !strings.HasPrefix(string(data), `{"error":{"code":"`) {
			t.Errorf("%s %s: %s", c.method, c.path, data)
		}
	}
}

func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	c, err := client.New(client.Config{Socket: filepath.Join(dir, "none.sock")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Status(context.Background())
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.Unavailable || !strings.Contains(e.Hint, "vethwayd") {
		t.Errorf("error %v", err)
	}
	if _, err := client.New(client.Config{}); err == nil {
		t.Error("a client without a socket")
	}
}

// TestEmptyListsAreNotNull is for programs in languages that tell the two apart.
func TestEmptyListsAreNotNull(t *testing.T) {
	ctx := context.Background()
	_, links, c, _, dir := serve(t)
	links.AddNamespace("/ns/c1")
	if _, err := c.CreateNetwork(ctx, api.NetworkCreate{Name: "in", Internal: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AttachContainer(ctx, api.ContainerAttach{Namespace: "/ns/c1", Networks: []api.NetworkConnection{{Network: "in"}}}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"networks", "containers", "ports", "flows", "drops", "status"} {
		data, err := io.ReadAll(raw(t, filepath.Join(dir, "full.sock"), "GET", "/v1/"+path, "").Body)
		if err != nil || strings.Contains(string(data), "null") {
			t.Errorf("%s: %s, %v", path, data, err)
		}
	}
}
