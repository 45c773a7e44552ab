// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds a request: 65,535 published ports for each of two protocols, spelled out one by one, fit.
const maxBody = 32 << 20

// HandlerConfig is what NewHandler needs.
type HandlerConfig struct {
	Backend Backend
	// ReadOnly serves GET and nothing else.
	ReadOnly bool
	Log      *slog.Logger
}

// handler answers requests from a Backend.
type handler struct {
	backend Backend
	log     *slog.Logger
	lists   []string // paths that the API begins at
}

// endpoint answers one request: with a value and a status, or an error.
type endpoint func(r *http.Request) (status int, body any, err error)

// NewHandler returns the API's handler.
func NewHandler(cfg HandlerConfig) (http.Handler, error) {
	if cfg.Backend == nil {
		return nil, errors.New("api: no backend given")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h := &handler{backend: cfg.Backend, log: cfg.Log}
	mux := http.NewServeMux()
	for pattern, ep := range map[string]endpoint{
		"GET /v1/networks":                    h.networks,
		"POST /v1/networks":                   h.createNetwork,
		"POST /v1/networks/prune":             h.pruneNetworks,
		"GET /v1/networks/{ref}":              h.network,
		"DELETE /v1/networks/{ref}":           h.removeNetwork,
		"POST /v1/networks/{ref}/connect":     h.connectNetwork,
		"POST /v1/networks/{ref}/disconnect":  h.disconnectNetwork,
		"GET /v1/containers":                  h.containers,
		"POST /v1/containers":                 h.attachContainer,
		"GET /v1/containers/{ref}":            h.container,
		"DELETE /v1/containers/{ref}":         h.detachContainer,
		"POST /v1/containers/{ref}/publish":   h.publishPorts,
		"POST /v1/containers/{ref}/unpublish": h.unpublishPorts,
		"GET /v1/ports":                       h.ports,
		"GET /v1/flows":                       h.flows,
		"GET /v1/flows/stats":                 h.flowStats,
		"POST /v1/flows/flush":                h.flushFlows,
		"GET /v1/events":                      h.events,
		"GET /v1/drops":                       h.drops,
		"GET /v1/denied":                      h.deniedSources,
		"POST /v1/denied":                     h.denySources,
		"POST /v1/denied/remove":              h.allowSources,
		"GET /v1/status":                      h.status,
	} {
		mux.Handle(pattern, h.serve(ep))
		if path, ok := strings.CutPrefix(pattern, "GET "); ok && strings.Count(path, "/") == 2 {
			h.lists = append(h.lists, path)
		}
	}
	slices.Sort(h.lists)
	mux.Handle("/", h.serve(h.unknown))
	if cfg.ReadOnly {
		return h.readOnly(mux), nil
	}
	return mux, nil
}

// readOnly lets nothing but GET through: the check is by method, so that a verb added later is refused as well.
func (h *handler) readOnly(next http.Handler) http.Handler {
	refuse := h.serve(func(r *http.Request) (int, any, error) {
		return 0, nil, Errorf(ReadOnly, "%s %s: this socket serves reading only", r.Method, r.URL.Path).
			WithHint("use the daemon's main socket")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			refuse.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serve runs an endpoint and writes what it returns.
func (h *handler) serve(ep endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		status, body, err := ep(r)
		if err != nil {
			e := AsError(err)
			status, body = e.Code.HTTPStatus(), errorBody{e}
			h.log.Info("request failed", "method", r.Method, "path", r.URL.Path, "code", e.Code, "error", e.Message)
		} else if r.Method != http.MethodGet {
			// What was done the engine says, in words.
			h.log.Debug("answered", "method", r.Method, "path", r.URL.Path, "status", status)
		}
		if body == nil {
			w.WriteHeader(status)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(body); err != nil {
			h.log.Debug("answer not delivered", "path", r.URL.Path, "error", err)
		}
	})
}

// unknown answers what no pattern matches: a wrong path, or a wrong method on a right one.
func (h *handler) unknown(r *http.Request) (int, any, error) {
	return 0, nil, Errorf(NotFound, "%s %s: no such resource", r.Method, r.URL.Path).
		WithHint("the API begins at %s", strings.Join(h.lists, ", "))
}

// decode reads a JSON body. A misspelt field is an error: it would be ignored otherwise, and nobody told.
func decode(r *http.Request, into any) error { return decodeFrom(r.Body, into) }

func decodeBytes(data []byte, into any) error { return decodeFrom(bytes.NewReader(data), into) }

func decodeFrom(from io.Reader, into any) error {
	d := json.NewDecoder(from)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return Errorf(InvalidArgument, "the request has no body")
		}
		return Errorf(InvalidArgument, "request body: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Errorf(InvalidArgument, "request body: more than one JSON value")
	}
	return nil
}

// flowFilter reads a FlowFilter from a query.
func flowFilter(r *http.Request) (FlowFilter, error) {
	q := r.URL.Query()
	f := FlowFilter{
		Container: q.Get("container"), Network: q.Get("network"), Protocol: q.Get("protocol"), Kind: q.Get("kind"),
	}
	if s := q.Get("address"); s != "" {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return f, Errorf(InvalidArgument, "address: %w", err)
		}
		f.Address = addr
	}
	if s := q.Get("port"); s != "" {
		port, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			return f, Errorf(InvalidArgument, "port %q is not a number from 1 to 65535", s)
		}
		f.Port = uint16(port)
	}
	if s := q.Get("limit"); s != "" {
		limit, err := strconv.Atoi(s)
		if err != nil || limit < 0 {
			return f, Errorf(InvalidArgument, "limit %q is not a number", s)
		}
		f.Limit = limit
	}
	return f, nil
}

// eventFilter reads an EventFilter from a query.
func eventFilter(r *http.Request) (EventFilter, error) {
	q := r.URL.Query()
	f := EventFilter{Container: q.Get("container")}
	if s := q.Get("since"); s != "" {
		since, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return f, Errorf(InvalidArgument, "since %q is not a time", s).WithHint("such as 2026-01-02T15:04:05Z")
		}
		f.Since = since
	}
	return f, nil
}

// DecodeError turns an answer that is not a success into an *Error.
func DecodeError(resp *http.Response) error {
	var body errorBody
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&body); err != nil || body.Error == nil {
		return &Error{Code: Internal, Message: fmt.Sprintf("the daemon answered %s", resp.Status)}
	}
	return body.Error
}
