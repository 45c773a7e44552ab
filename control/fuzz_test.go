// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
)

// requests are those that a body comes with; %: what it is about.
var requests = []string{
	"POST /v1/networks", "POST /v1/containers", "POST /v1/networks/prune", "POST /v1/networks/%/connect", "POST /v1/networks/%/disconnect",
	"DELETE /v1/networks/%", "DELETE /v1/containers/%", "POST /v1/containers/%/publish", "POST /v1/containers/%/unpublish",
	"GET /v1/networks/%", "GET /v1/containers/%", "POST /v1/flows/flush", "GET /v1/flows?%", "GET /v1/events?%", "GET /v1/ports",
}

// FuzzRequest sends any request to an engine that has a network and a container:
// whatever it says, the answer is JSON and no internal error, and what the
// engine has stored it can begin with again.
func FuzzRequest(f *testing.F) {
	for _, s := range []struct {
		which     byte
		ref, body string
	}{
		{0, "", `{"Name":"b","IPAM":{"Config":[{"Subnet":"10.9.0.0/24","IPRange":"10.9.0.128/25","Gateway":"10.9.0.1","AuxiliaryAddresses":{"x":"10.9.0.5"}},{"Subnet":"fd09::/64"}]},"Options":{"com.docker.network.driver.mtu":"1400"},"Labels":{"a":"b"}}`},
		{0, "", `{"Name":"b","Internal":true,"EnableIPv6":true}`},
		{1, "", `{"Name":"d","Namespace":"/ns/c","Networks":[{"Network":"a","IPv4Address":"172.30.0.9","MacAddress":"02:00:00:00:00:09","Aliases":["x"]}],"Publish":[{"HostPort":{"First":8081,"Last":8081},"ContainerPort":{"First":80,"Last":80},"Proto":"tcp"}]}`},
		{2, "", ""}, {3, "a", `{"Container":"c"}`}, {4, "a", `{"Container":"c"}`}, {5, "a", ""}, {6, "c", ""},
		{7, "c", `{"Publish":[{"ContainerPort":{"First":81,"Last":82}}]}`}, {8, "c", `{"Publish":[{"ContainerPort":{"First":80,"Last":80}}]}`},
		{9, "a", ""}, {10, "c", ""}, {11, "", "{}"}, {12, "container=c&proto=tcp", ""}, {13, "since=1&follow=false", ""}, {14, "", ""},
	} {
		f.Add(s.which, s.ref, s.body)
	}
	f.Fuzz(func(t *testing.T, which byte, ref, body string) {
		w := newWorld(t)
		w.network("a")
		w.mustAttach("c", "a", "-p 8080:80")
		handler, err := api.NewHandler(api.HandlerConfig{Backend: w.engine})
		if err != nil {
			t.Fatal(err)
		}
		method, path, _ := strings.Cut(requests[int(which)%len(requests)], " ")
		if strings.Contains(ref, "follow") && path == "/v1/events?%" {
			return // it would never end
		}
		target, err := url.Parse(strings.Replace(path, "%", ref, 1))
		if err != nil {
			return
		}
		answer := httptest.NewRecorder()
		request := httptest.NewRequest(method, "/", strings.NewReader(body))
		request.URL = target
		handler.ServeHTTP(answer, request)
		if answer.Code >= http.StatusInternalServerError && answer.Code != http.StatusNotImplemented {
			t.Errorf("%s %s with %s: %d %s", method, target, body, answer.Code, answer.Body)
		}
		if b := answer.Body.Bytes(); len(b) > 0 && answer.Header().Get("Content-Type") == "application/json" && !json.Valid(b) {
			t.Errorf("%s %s with %s: answered with %s", method, target, body, b)
		}
		w.restart()
	})
}

// FuzzState puts anything into the state file: the engine begins with it, or says
// that it is corrupt.
func FuzzState(f *testing.F) {
	w := newWorld(f)
	w.network("a", enable(true, true))
	w.mustAttach("c", "a", "-p 8080:80", "-p 53/udp")
	kinds := control.Kinds()
	err := w.store.Load(context.Background(), func(r control.Record) error {
		for i, kind := range kinds {
			if kind == r.Kind {
				f.Add(byte(i), r.Key, r.Value)
			}
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind byte, key string, value []byte) {
		w := newWorld(t)
		w.network("a")
		record := control.Record{Kind: kinds[int(kind)%len(kinds)], Key: key, Value: value}
		if err := w.store.Commit(context.Background(), []control.Record{record}); err != nil {
			t.Fatal(err)
		}
		engine, err := control.New(context.Background(), w.config)
		if err != nil {
			if !errors.Is(err, api.Corrupt) {
				t.Errorf("%s %q: %q: %v, want an error that says corrupt", record.Kind, key, value, err)
			}
			return
		}
		if _, err := engine.Networks(context.Background(), nil); err != nil {
			t.Errorf("%s %q: %q: %v", record.Kind, key, value, err)
		}
		// What it describes may well be impossible: then it says so.
		if err := engine.Reconcile(context.Background()); err != nil && api.AsError(err).Message == "" {
			t.Errorf("%s %q: %q: %v", record.Kind, key, value, err)
		}
	})
}
