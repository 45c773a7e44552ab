// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vethway/vethway/control/api"
)

// state is the desired state at one moment. It is never changed once it is the engine's: a request makes the next one.
// So reading needs no lock, what a request changed is what is not the same pointer, and undoing it is going back.
type state struct {
	networks   map[string]*network   // by ID
	containers map[string]*container // by ID
	leases     map[string]*lease     // by network ID
	settings   *settings
	denied     *denyList
}

func newState() *state {
	return &state{
		networks: map[string]*network{}, containers: map[string]*container{}, leases: map[string]*lease{},
		settings: &settings{}, denied: &denyList{},
	}
}

func (s *state) clone() *state {
	return &state{
		networks: maps.Clone(s.networks), containers: maps.Clone(s.containers), leases: maps.Clone(s.leases),
		settings: s.settings, denied: s.denied,
	}
}

// The keys of records of KindSetting.
const (
	settingsKey = "engine"
	deniedKey   = "denied"
)

// recordsSince returns what must be written to turn a stored before into s.
func (s *state) recordsSince(before *state) ([]Record, error) {
	var records []Record
	var err error
	records, err = appendDiff(records, err, KindNetwork, before.networks, s.networks)
	records, err = appendDiff(records, err, KindContainer, before.containers, s.containers)
	records, err = appendDiff(records, err, KindLease, before.leases, s.leases)
	records, err = appendDiff(records, err, KindSetting,
		map[string]*settings{settingsKey: before.settings}, map[string]*settings{settingsKey: s.settings})
	records, err = appendDiff(records, err, KindSetting,
		map[string]*denyList{deniedKey: before.denied}, map[string]*denyList{deniedKey: s.denied})
	return records, err
}

func appendDiff[T any](records []Record, err error, kind Kind, before, after map[string]*T) ([]Record, error) {
	if err != nil {
		return nil, err
	}
	for key, value := range after {
		if before[key] == value {
			continue
		}
		data, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encode %s %s: %w", kind, key, err)
		}
		records = append(records, Record{Kind: kind, Key: key, Value: data})
	}
	for key := range before {
		if after[key] == nil {
			records = append(records, Record{Kind: kind, Key: key})
		}
	}
	return records, nil
}

// loadState reads the state from the store. It fails with ErrCorrupt when that makes no sense.
func loadState(ctx context.Context, store Store) (*state, error) {
	s := newState()
	err := store.Load(ctx, func(r Record) error {
		switch r.Kind {
		case KindNetwork:
			return decodeInto(s.networks, r)
		case KindContainer:
			return decodeInto(s.containers, r)
		case KindLease:
			return decodeInto(s.leases, r)
		case KindSetting:
			return s.loadSetting(r)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load the state: %w", err)
	}
	if err := s.check(); err != nil {
		return nil, api.Errorf(api.Corrupt, "load the state: %w", err)
	}
	return s, nil
}

func (s *state) loadSetting(r Record) error {
	if r.Key == deniedKey {
		one := map[string]*denyList{}
		if err := decodeInto(one, r); err != nil {
			return err
		}
		s.denied = one[r.Key]
		return nil
	}
	one := map[string]*settings{}
	if err := decodeInto(one, r); err != nil {
		return err
	}
	s.settings = one[r.Key]
	return nil
}

func decodeInto[T any](into map[string]*T, r Record) error {
	value := new(T)
	if err := json.Unmarshal(r.Value, value); err != nil {
		return api.Errorf(api.Corrupt, "%s %s: %w", r.Kind, r.Key, err)
	}
	into[r.Key] = value
	return nil
}

// check looks for what the rest of the engine takes for granted.
func (s *state) check() error {
	for key, n := range s.networks {
		switch {
		case n.ID != key || len(n.ID) < 12:
			return fmt.Errorf("network %q has ID %q", key, n.ID)
		case n.Name == "" || n.Bridge == "" || len(n.MAC) != 6 || n.Index == 0 || n.Index > maxNetworks:
			return fmt.Errorf("network %s is incomplete", n.ID)
		case n.IPv4 == nil && n.IPv6 == nil:
			return fmt.Errorf("network %s has no subnet", n.Name)
		}
	}
	for key, c := range s.containers {
		if c.ID != key || len(c.ID) < 12 || c.Name == "" {
			return fmt.Errorf("container %q is incomplete", key)
		}
		for _, p := range c.Ports {
			if last := 1<<16 - 1 - int(p.More); int(p.HostPort) > last || int(p.ContainerPort) > last {
				return fmt.Errorf("container %s publishes ports that do not exist: %s", c.Name, p.Binding)
			}
		}
		for _, ep := range c.Endpoints {
			if ep == nil || len(ep.ID) < 12 || len(ep.MAC) != 6 {
				return fmt.Errorf("container %s has an incomplete endpoint", c.Name)
			}
			if s.networks[ep.Network] == nil {
				return fmt.Errorf("container %s is on a network that does not exist: %s", c.Name, ep.Network)
			}
		}
	}
	return s.denied.check()
}

// sortedNetworks and sortedContainers go by name.
func (s *state) sortedNetworks() []*network {
	return slices.SortedFunc(maps.Values(s.networks), func(a, b *network) int { return strings.Compare(a.Name, b.Name) })
}

func (s *state) sortedContainers() []*container {
	return slices.SortedFunc(maps.Values(s.containers), byName)
}

// changedSince are the containers that are not just as in another state, by name.
func (s *state) changedSince(before *state) []*container {
	var some []*container
	for id, c := range s.containers {
		if before.containers[id] != c {
			some = append(some, c)
		}
	}
	slices.SortFunc(some, byName)
	return some
}

func byName(a, b *container) int { return strings.Compare(a.Name, b.Name) }

// network finds a network by name, ID or the beginning of an ID.
func (s *state) network(ref string) (*network, error) {
	id, err := resolve("network", ref, s.networks, func(n *network) string { return n.Name })
	if err != nil {
		return nil, err
	}
	return s.networks[id], nil
}

// container finds a container likewise.
func (s *state) container(ref string) (*container, error) {
	id, err := resolve("container", ref, s.containers, func(c *container) string { return c.Name })
	if err != nil {
		return nil, err
	}
	return s.containers[id], nil
}

func resolve[T any](noun, ref string, all map[string]T, name func(T) string) (string, error) {
	list := "vethway network ls"
	if noun == "container" {
		list = "vethway ps"
	}
	if ref == "" {
		return "", api.Errorf(api.InvalidArgument, "no %s named", noun)
	}
	var matches []string
	for id, value := range all {
		if name(value) == ref || id == ref {
			return id, nil
		}
		if strings.HasPrefix(id, ref) {
			matches = append(matches, id)
		}
	}
	switch len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		return "", api.Errorf(api.NotFound, "no such %s: %s", noun, ref).WithHint("see what there is: %s", list)
	}
	return "", api.Errorf(api.InvalidArgument, "%s %s: %d IDs begin like that", noun, ref, len(matches)).
		WithHint("give more of the ID, or the name")
}

// endpointsOf lists who is on a network, by container name.
func (s *state) endpointsOf(networkID string) []*container {
	var on []*container
	for _, c := range s.sortedContainers() {
		if c.on(networkID) != nil {
			on = append(on, c)
		}
	}
	return on
}
