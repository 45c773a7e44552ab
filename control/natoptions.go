// SPDX-License-Identifier: Apache-2.0

package control

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vethway/vethway/control/api"
)

// natOptions is what a network does in its own way when it translates.
type natOptions struct {
	// AnyRemote lets in whoever sends to a mapping (RFC 4787 section 5: endpoint-independent filtering).
	AnyRemote bool `json:",omitempty"`
	// InboundRefresh and Timeouts (by the Timers' names) take the place of the engine's.
	InboundRefresh *bool                    `json:",omitempty"`
	Timeouts       map[string]time.Duration `json:",omitempty"`
}

// parseNATOption reads a network option; false: it is none of these.
func (w *wanted) parseNATOption(key, value string, allowShort bool) (bool, error) {
	var err error
	switch key {
	case api.OptionFiltering:
		w.nat.AnyRemote, err = parseFiltering(key, value)
	case api.OptionInboundRefresh:
		var on bool
		if on, err = strconv.ParseBool(value); err != nil {
			err = api.Errorf(api.InvalidArgument, "option %s: %q is not valid", key, value).WithHint("use true or false")
		}
		w.nat.InboundRefresh = &on
	default:
		return w.parseTimer(key, value, allowShort)
	}
	return true, err
}

func parseFiltering(key, value string) (anyRemote bool, err error) {
	switch value {
	case api.FilteringDependent:
		return false, nil
	case api.FilteringIndependent:
		return true, nil
	}
	return false, api.Errorf(api.InvalidArgument, "option %s: %q is not valid", key, value).
		WithHint("use %s or %s", api.FilteringDependent, api.FilteringIndependent)
}

func (w *wanted) parseTimer(key, value string, allowShort bool) (bool, error) {
	name, ok := strings.CutPrefix(key, api.OptionTimeout)
	if key == api.OptionPortRest {
		name, ok = PortRest, true
	}
	at := slices.IndexFunc(Timers(), func(t Timer) bool { return t.Name == name })
	if !ok || at < 0 || (name == PortRest) != (key == api.OptionPortRest) {
		return false, nil
	}
	d, err := Timers()[at].Parse(value, allowShort)
	if err != nil {
		return true, api.Errorf(api.InvalidArgument, "option %s: %w", key, err).WithHint("%s", api.AsError(err).Hint)
	}
	if w.nat.Timeouts == nil {
		w.nat.Timeouts = map[string]time.Duration{}
	}
	w.nat.Timeouts[name] = d
	return true, nil
}

// timeouts are the network's own, where it has any, and the engine's otherwise; nil: it has none.
func (o natOptions) timeouts(common Timeouts) *Timeouts {
	if o.InboundRefresh == nil && len(o.Timeouts) == 0 {
		return nil
	}
	for _, timer := range Timers() {
		if d, ok := o.Timeouts[timer.Name]; ok {
			*timer.Of(&common) = d
		}
	}
	if o.InboundRefresh != nil {
		common.InboundRefresh = *o.InboundRefresh
	}
	return &common
}
