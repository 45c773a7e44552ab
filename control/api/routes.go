// SPDX-License-Identifier: Apache-2.0

package api

import "net/http"

func (h *handler) networks(r *http.Request) (int, any, error) {
	list, err := h.backend.Networks(r.Context(), r.URL.Query()["filter"])
	return http.StatusOK, orEmpty(list), err
}

func (h *handler) createNetwork(r *http.Request) (int, any, error) {
	var req NetworkCreate
	if err := decode(r, &req); err != nil {
		return 0, nil, err
	}
	created, err := h.backend.CreateNetwork(r.Context(), req)
	return http.StatusCreated, created, err
}

func (h *handler) network(r *http.Request) (int, any, error) {
	n, err := h.backend.Network(r.Context(), r.PathValue("ref"))
	return http.StatusOK, n, err
}

func (h *handler) removeNetwork(r *http.Request) (int, any, error) {
	return http.StatusNoContent, nil, h.backend.RemoveNetwork(r.Context(), r.PathValue("ref"))
}

func (h *handler) pruneNetworks(r *http.Request) (int, any, error) {
	pruned, err := h.backend.PruneNetworks(r.Context(), r.URL.Query()["filter"])
	pruned.NetworksDeleted = orEmpty(pruned.NetworksDeleted)
	return http.StatusOK, pruned, err
}

func (h *handler) connectNetwork(r *http.Request) (int, any, error) {
	var req NetworkConnect
	if err := decode(r, &req); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, h.backend.ConnectNetwork(r.Context(), r.PathValue("ref"), req)
}

func (h *handler) disconnectNetwork(r *http.Request) (int, any, error) {
	var req NetworkDisconnect
	if err := decode(r, &req); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, h.backend.DisconnectNetwork(r.Context(), r.PathValue("ref"), req)
}

func (h *handler) containers(r *http.Request) (int, any, error) {
	list, err := h.backend.Containers(r.Context())
	return http.StatusOK, orEmpty(list), err
}

func (h *handler) attachContainer(r *http.Request) (int, any, error) {
	var req ContainerAttach
	if err := decode(r, &req); err != nil {
		return 0, nil, err
	}
	attached, err := h.backend.AttachContainer(r.Context(), req)
	attached.Warnings = orEmpty(attached.Warnings)
	return http.StatusCreated, attached, err
}

func (h *handler) container(r *http.Request) (int, any, error) {
	c, err := h.backend.Container(r.Context(), r.PathValue("ref"))
	return http.StatusOK, c, err
}

func (h *handler) detachContainer(r *http.Request) (int, any, error) {
	return http.StatusNoContent, nil, h.backend.DetachContainer(r.Context(), r.PathValue("ref"))
}

func (h *handler) publishPorts(r *http.Request) (int, any, error) {
	specs, err := decodeSpecs(r)
	if err != nil {
		return 0, nil, err
	}
	list, err := h.backend.PublishPorts(r.Context(), r.PathValue("ref"), PortPublish{Publish: specs})
	return http.StatusOK, orEmpty(list), err
}

func (h *handler) unpublishPorts(r *http.Request) (int, any, error) {
	specs, err := decodeSpecs(r)
	if err != nil {
		return 0, nil, err
	}
	list, err := h.backend.UnpublishPorts(r.Context(), r.PathValue("ref"), PortUnpublish{Publish: specs})
	return http.StatusOK, orEmpty(list), err
}

func (h *handler) ports(r *http.Request) (int, any, error) {
	list, err := h.backend.Ports(r.Context(), PortFilter{Container: r.URL.Query().Get("container")})
	return http.StatusOK, orEmpty(list), err
}

func (h *handler) flows(r *http.Request) (int, any, error) {
	f, err := flowFilter(r)
	if err != nil {
		return 0, nil, err
	}
	list, err := h.backend.Flows(r.Context(), f)
	return http.StatusOK, orEmpty(list), err
}

func (h *handler) flowStats(r *http.Request) (int, any, error) {
	s, err := h.backend.FlowStats(r.Context())
	return http.StatusOK, s, err
}

func (h *handler) flushFlows(r *http.Request) (int, any, error) {
	var f FlowFilter
	if err := decode(r, &f); err != nil {
		return 0, nil, err
	}
	flushed, err := h.backend.FlushFlows(r.Context(), f)
	return http.StatusOK, flushed, err
}

func (h *handler) events(r *http.Request) (int, any, error) {
	f, err := eventFilter(r)
	if err != nil {
		return 0, nil, err
	}
	list, err := h.backend.Events(r.Context(), f)
	return http.StatusOK, orEmpty(list), err
}

func (h *handler) drops(r *http.Request) (int, any, error) {
	list, err := h.backend.Drops(r.Context())
	return http.StatusOK, orEmpty(list), err
}

func (h *handler) deniedSources(r *http.Request) (int, any, error) {
	list, err := h.backend.DeniedSources(r.Context())
	return http.StatusOK, orEmpty(list), err
}

func (h *handler) denySources(r *http.Request) (int, any, error) {
	var req Deny
	if err := decode(r, &req); err != nil {
		return 0, nil, err
	}
	list, err := h.backend.DenySources(r.Context(), req)
	return http.StatusOK, orEmpty(list), err
}

func (h *handler) allowSources(r *http.Request) (int, any, error) {
	var req Deny
	if err := decode(r, &req); err != nil {
		return 0, nil, err
	}
	list, err := h.backend.AllowSources(r.Context(), req)
	return http.StatusOK, orEmpty(list), err
}

func (h *handler) status(r *http.Request) (int, any, error) {
	s, err := h.backend.Status(r.Context())
	return http.StatusOK, s, err
}

// orEmpty keeps an empty list from becoming null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
