// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
)

func written(list []api.Port) string {
	var out []string
	for _, p := range list {
		out = append(out, fmt.Sprintf("%s %d/%s>%d", p.HostIP, p.HostPort, p.Protocol, p.ContainerPort))
	}
	return strings.Join(out, ", ")
}

func TestEphemeralPorts(t *testing.T) {
	behaviour.Covers(t, "D17", behaviour.None)
	w := newWorld(t) // the range begins at 32768, of which 32768 and 32769 are reserved
	w.network("web", enable(true, true))
	w.mustAttach("c1", "web")
	w.links.Listen(6, 32771, 9, "sshd")
	for _, want := range []string{"32770", "32772"} {
		got, err := w.publish("c1", "80")
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "published", written(got), "0.0.0.0 "+want+"/tcp>80, :: "+want+"/tcp>80")
	}
	w.restart()
	got, err := w.publish("c1", "80")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "after a restart", written(got), "0.0.0.0 32773/tcp>80, :: 32773/tcp>80")
}

func TestBusyPort(t *testing.T) {
	behaviour.Covers(t, "D18", behaviour.None)
	w := newWorld(t)
	w.network("web", enable(true, true))
	w.mustAttach("c1", "web", "-p 8080:80")
	w.mustAttach("c2", "web")
	w.links.Listen(6, 9090, 812, "nginx")
	w.links.Listen(17, 9091, 0, "")
	links, served := w.links.Describe(), w.served()
	for spec, text := range map[string]string{
		"8080:80":       "port 0.0.0.0:8080/tcp is in use by container c1",
		"[::1]:8080:80": "port [::]:8080/tcp is in use by container c1",
		"9090:80":       "port 0.0.0.0:9090/tcp is in use by nginx (pid 812)",
		"[::]:9090:80":  "port [::]:9090/tcp is in use by nginx (pid 812)",
		"9091:80/udp":   "port 0.0.0.0:9091/udp is in use by a process that cannot be seen",
	} {
		_, err := w.publish("c2", "7000:70", spec)
		refused(t, err, api.PortInUse, text)
		refused(t, w.attach("c3", "web", "-p 7000:70", "-p "+spec), api.PortInUse, text)
	}
	expect(t, "links", w.links.Describe(), links)
	expect(t, "served", w.served(), served)
	if list, err := w.engine.Ports(context.Background(), api.PortFilter{Container: "c2"}); err != nil || len(list) != 0 {
		t.Errorf("c2 has %v, %v", list, err)
	}
	if _, err := w.publish("c2", "7000:70", "9091:90"); err != nil {
		t.Errorf("what the failed requests asked for is not free: %v", err)
	}
}

func TestSeveralPorts(t *testing.T) {
	behaviour.Covers(t, "D21", behaviour.Both)
	w := newWorld(t)
	w.network("web", enable(true, true))
	w.mustAttach("c1", "web", "-p 8080:80", "-p 8081:80")
	ports := w.container("c1").NetworkSettings.Ports["80/tcp"]
	if len(ports) != 4 {
		t.Errorf("ports %v", ports)
	}
	gone, err := w.engine.UnpublishPorts(context.Background(), "c1", api.PortUnpublish{Publish: []api.PublishSpec{w.spec("8080:80")}})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "withdrawn", written(gone), "0.0.0.0 8080/tcp>80, :: 8080/tcp>80")
	left, err := w.engine.Ports(context.Background(), api.PortFilter{})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "left", written(left), "0.0.0.0 8081/tcp>80, :: 8081/tcp>80")
	expect(t, "served", w.served(), "0.0.0.0 172.30.0.2:80, :: "+left[1].Target.String())
	_, err = w.engine.UnpublishPorts(context.Background(), "c1", api.PortUnpublish{
		Publish: []api.PublishSpec{w.spec("8081:80"), w.spec("8080:80")},
	})
	refused(t, err, api.NotFound, "container c1 does not publish 8080:80")
	if len(slices.Concat(w.plane.State().Published...)) != 2 {
		t.Error("a failed unpublish withdrew a port")
	}
	if _, err := w.publish("c1", "8080:80"); err != nil {
		t.Error(err)
	}
}

func TestPublishedIncarnations(t *testing.T) {
	w := newWorld(t)
	w.network("web")
	w.mustAttach("c1", "web", "-p 80:80")
	before := w.plane.State()
	spec := api.PortUnpublish{Publish: []api.PublishSpec{w.spec("80:80")}}
	if _, err := w.engine.UnpublishPorts(context.Background(), "c1", spec); err != nil {
		t.Fatal(err)
	}
	if _, err := w.publish("c1", "80:80"); err != nil {
		t.Fatal(err)
	}
	after := w.plane.State()
	if before.Published[0][0].Incarnation == after.Published[0][0].Incarnation {
		t.Error("a port that was published anew inherits the old one's flows")
	}
	if before.Endpoints[0].Incarnation != after.Endpoints[0].Incarnation {
		t.Error("publishing ended the endpoint's other flows")
	}
	if err := w.engine.DetachContainer(context.Background(), "c1"); err != nil {
		t.Fatal(err)
	}
	w.mustAttach("c1", "web", "-p 80:80")
	if w.plane.State().Endpoints[0].Incarnation == after.Endpoints[0].Incarnation {
		t.Error("a container that was attached anew inherits the old one's flows")
	}
}

func TestHostIPPassesThrough(t *testing.T) {
	w := newWorld(t)
	w.network("web")
	w.mustAttach("c1", "web", "-p 127.0.0.1:80:80", "-p [::1]:81:80", "-p 192.0.2.2:82:80", "-p 0.0.0.0:83:80/udp", "-p [::]:84:80/sctp")
	var got []string
	for _, p := range slices.Concat(w.plane.State().Published...) {
		got = append(got, fmt.Sprintf("%s:%d/%d", p.HostIP, p.HostPort, p.Proto))
	}
	expect(t, "published", strings.Join(got, " "), "127.0.0.1:80/6 ::1:81/6 192.0.2.2:82/6 0.0.0.0:83/17 :::84/132")
}

func TestIPv6OnlyContainerServesIPv6(t *testing.T) {
	w := newWorld(t)
	w.network("six", subnets("fd00:1::/64"), enable(false, true))
	w.mustAttach("c1", "six", "-p 80:80")
	expect(t, "served", w.served(), ":: [fd00:1::2]:80")
	if len(w.container("c1").NetworkSettings.Ports["80/tcp"]) != 1 {
		t.Error("inspect shows a port that leads nowhere")
	}
}

func TestFlows(t *testing.T) {
	w := newWorld(t)
	w.network("web")
	w.mustAttach("c1", "web")
	w.mustAttach("c2", "web")
	flow := func(proto, from, to, back string) control.Flow {
		var f control.Flow
		f.Proto, f.Network = proto, 1
		for s, into := range map[string]any{from: &f.Original.Src, to: &f.Original.Dst, back: &f.Reply.Src} {
			if err := into.(interface{ UnmarshalText([]byte) error }).UnmarshalText([]byte(s)); err != nil {
				t.Fatal(err)
			}
		}
		return f
	}
	w.plane.SetFlows(
		flow("tcp", "192.0.2.3:4000", "192.0.2.2:8080", "172.30.0.2:80"), flow("udp", "172.30.0.3:5000", "192.0.2.3:53", "192.0.2.3:53"),
	)
	for name, c := range map[string]struct {
		filter api.FlowFilter
		want   string
	}{
		"all": {api.FlowFilter{}, "c1 c2"}, "limit": {api.FlowFilter{Limit: 1}, "c1"}, "container": {api.FlowFilter{Container: "c2"}, "c2"},
		"port": {api.FlowFilter{Port: 8080}, "c1"}, "protocol": {api.FlowFilter{Protocol: "udp"}, "c2"},
		"network": {api.FlowFilter{Network: "web", Protocol: "tcp"}, "c1"},
	} {
		list, err := w.engine.Flows(context.Background(), c.filter)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range list {
			got = append(got, f.Container)
		}
		expect(t, name, strings.Join(got, " "), c.want)
	}
	// Whatever the order they are found in.
	w.network("another")
	a, b := flow("udp", "172.30.0.3:5000", "192.0.2.3:54", "192.0.2.99:1"), flow("udp", "172.30.0.3:5000", "192.0.2.3:53", "192.0.2.99:1")
	c, d := flow("udp", "172.30.0.3:500", "192.0.2.3:55", "192.0.2.99:1"), flow("tcp", "172.30.0.30:1", "192.0.2.3:9", "192.0.2.99:1")
	other := flow("udp", "172.30.1.3:1", "192.0.2.3:1", "192.0.2.99:1")
	other.Network = 2
	w.plane.SetFlows(a, b, c, d, other)
	for limit, want := range map[int]string{0: "1 9 55 53 54", 2: "1 9", 4: "1 9 55 53", 9: "1 9 55 53 54"} {
		list, err := w.engine.Flows(context.Background(), api.FlowFilter{Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range list {
			got = append(got, fmt.Sprint(f.Original.Dst.Port()))
		}
		expect(t, fmt.Sprint("in order, limit ", limit), strings.Join(got, " "), want)
	}
	w.plane.SetFlows(
		flow("tcp", "192.0.2.3:4000", "192.0.2.2:8080", "172.30.0.2:80"), flow("udp", "172.30.0.3:5000", "192.0.2.3:53", "192.0.2.3:53"),
	)
	for _, f := range []api.FlowFilter{{Container: "x"}, {Kind: "publish"}, {Protocol: "udpp"}, {Protocol: "256"}} {
		if list, err := w.engine.Flows(context.Background(), f); err == nil {
			t.Errorf("%+v is known, and has %v", f, list)
		}
		if got, err := w.engine.FlushFlows(context.Background(), f); err == nil {
			t.Errorf("%+v is known, and had %v", f, got)
		}
	}
	if list, err := w.engine.Flows(context.Background(), api.FlowFilter{Kind: "host", Protocol: "47"}); err != nil || len(list) != 0 {
		t.Errorf("GRE of the host's: %v, %v", list, err)
	}
	if got, err := w.engine.FlushFlows(context.Background(), api.FlowFilter{Container: "c1"}); err != nil || got.Flushed != 1 {
		t.Errorf("flushed %v, %v", got, err)
	}
	w.plane.SetDrops(control.DropCount{Hook: "uplink", Reason: "no_port", Packets: 3})
	if got, err := w.engine.Drops(context.Background()); err != nil || len(got) != 1 || got[0].Reason != "no_port" {
		t.Errorf("drops %v, %v", got, err)
	}
}

// TestNeighboursPortsAreTheSameList: the packet programs tell by that what they need not look at.
func TestNeighboursPortsAreTheSameList(t *testing.T) {
	w := newWorld(t)
	w.network("web")
	w.mustAttach("c1", "web", "-p 8081:80")
	w.mustAttach("c2", "web")
	before := w.plane.State().Published
	w.mustAttach("c3", "web", "-p 8083:80")
	now := w.plane.State().Published
	if len(before) != 1 || len(now) != 2 || &before[0][0] != &now[0][0] {
		t.Errorf("%v, and then %v", before, now)
	}
}

// BenchmarkPublish1000 publishes a thousand ports by one request.
func BenchmarkPublish1000(b *testing.B) {
	w := newWorld(b)
	w.network("web", enable(true, true))
	w.mustAttach("c1", "web")
	var list []string
	for i := range 1000 {
		list = append(list, fmt.Sprintf("%d:80", 10000+i))
	}
	for b.Loop() {
		if _, err := w.publish("c1", list...); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if _, err := w.engine.UnpublishPorts(context.Background(), "c1", api.PortUnpublish{
			Publish: []api.PublishSpec{{HostPort: 10000, HostPortEnd: 10999, ContainerPort: 80}},
		}); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
