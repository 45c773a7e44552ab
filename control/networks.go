// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"net/netip"
	"strings"
	"time"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/ipam"
)

// maxNetworks is how many networks the packet programs can number.
const maxNetworks = 65535

// CreateNetwork makes a network. It fails with ErrAlreadyExists, ErrConflict (overlapping subnet), ErrInvalidArgument,
// ErrUnsupported or ErrResourceExhausted.
func (e *Engine) CreateNetwork(ctx context.Context, req api.NetworkCreate) (api.NetworkCreated, error) {
	var made *network
	err := e.request(ctx, "create network "+req.Name, func(next *state) error {
		w, err := e.parseNetwork(req)
		if err != nil {
			return err
		}
		if old, err := next.network(req.Name); err == nil && old.Name == req.Name {
			return api.Errorf(api.AlreadyExists, "network %s exists already", req.Name).
				WithHint("choose another name, or look at it: vethway network inspect %s", req.Name)
		}
		made, err = e.planNetwork(ctx, next, req, w)
		return err
	})
	if err != nil {
		return api.NetworkCreated{}, err
	}
	return api.NetworkCreated{ID: made.ID}, nil
}

func (e *Engine) planNetwork(ctx context.Context, next *state, req api.NetworkCreate, w wanted) (*network, error) {
	facts, err := e.cfg.Links.Host(ctx)
	if err != nil {
		return nil, err
	}
	e.learn(facts)
	n := &network{
		ID: newID(), Name: req.Name, Created: time.Now().UTC(), MTU: w.mtu, Bridge: w.bridge, Internal: req.Internal,
		Masquerade: w.masquerade, HostIPv4: w.host4, HostIPv6: w.host6, NAT: w.nat, PacketSize: w.packetSize, Splice: w.splice,
		Options: maps.Clone(req.Options), Labels: maps.Clone(req.Labels),
	}
	for _, addr := range n.hostAddrs() {
		if !next.hostOwns(addr, facts) {
			return nil, api.Errorf(api.InvalidArgument, "containers cannot leave with %s: it is no address of the host's", addr).
				WithHint("see those it has: ip address; or leave the option out to have the egress route's")
		}
	}
	set := *next.settings
	next.settings = &set
	if n.Index, err = next.newIndex(); err != nil {
		return nil, err
	}
	set.LastIndex = n.Index
	if n.IPv4, err = e.planFamily(next, w.ipv4, e.cfg.Bases); err != nil {
		return nil, err
	}
	if w.ipv6 != nil && !w.ipv6.Subnet.IsValid() {
		if err := e.chooseBase6(&set); err != nil {
			return nil, err
		}
	}
	if n.IPv6, err = e.planFamily(next, w.ipv6, []ipam.Base{{Prefix: set.Base6, Size: 64}}); err != nil {
		return nil, err
	}
	if n.Bridge == "" {
		n.Bridge = n.hostBridge()
	}
	for _, other := range next.networks {
		if other.Bridge == n.Bridge {
			return nil, api.Errorf(api.Conflict, "bridge %s is network %s's", n.Bridge, other.Name).WithHint("choose another name for it")
		}
	}
	hw, err := ipam.RandomMAC(rand.Reader)
	if err != nil {
		return nil, err
	}
	n.MAC = mac(hw)
	books, err := newPools(n)
	if err != nil {
		return nil, err
	}
	e.pools[n.ID] = books
	next.networks[n.ID] = n
	return n, nil
}

// newIndex chooses the number after the one used last: so that what the programs may still know of a removed network
// does not apply to a new one.
func (s *state) newIndex() (uint32, error) {
	taken := map[uint32]bool{}
	for _, n := range s.networks {
		taken[n.Index] = true
	}
	index := s.settings.LastIndex
	for range maxNetworks {
		if index++; index > maxNetworks {
			index = 1
		}
		if !taken[index] {
			return index, nil
		}
	}
	return 0, api.Errorf(api.ResourceExhausted, "there are %d networks already", maxNetworks).
		WithHint("remove networks nobody uses: vethway network prune")
}

// chooseBase6 sees to it that there is a block to cut IPv6 subnets from.
func (e *Engine) chooseBase6(set *settings) (err error) {
	switch {
	case e.cfg.Base6.IsValid():
		set.Base6 = e.cfg.Base6
	case !set.Base6.IsValid():
		set.Base6, err = ipam.ULA(rand.Reader)
	}
	return err
}

// planFamily settles one family's subnet, and checks the rest of what was asked for.
func (e *Engine) planFamily(next *state, c *api.IPAMConfig, bases []ipam.Base) (*addressing, error) {
	if c == nil {
		return nil, nil
	}
	subnet, err := e.planSubnet(next, c.Subnet, bases)
	if err != nil {
		return nil, err
	}
	a := &addressing{Subnet: subnet, Range: c.IPRange, Gateway: c.Gateway, Aux: maps.Clone(c.AuxiliaryAddresses)}
	pool, err := newPool(a)
	if err != nil {
		return nil, err
	}
	a.Gateway = pool.Gateway()
	return a, nil
}

func (e *Engine) planSubnet(next *state, subnet netip.Prefix, bases []ipam.Base) (netip.Prefix, error) {
	if !subnet.IsValid() {
		return ipam.Choose(bases, e.takenSubnets(next))
	}
	if err := ipam.CheckSubnet(subnet); err != nil {
		return subnet, err
	}
	for _, n := range next.sortedNetworks() {
		for _, a := range []*addressing{n.IPv4, n.IPv6} {
			if a != nil && a.Subnet.Overlaps(subnet) {
				return subnet, api.Errorf(api.Conflict, "subnet %s overlaps %s of network %s", subnet, a.Subnet, n.Name).
					WithHint("choose another, or leave it out to have a free one chosen")
			}
		}
	}
	if what, ok := hostOverlap(subnet, e.kernel.facts); ok {
		return subnet, api.Errorf(api.Conflict, "subnet %s overlaps %s", subnet, what).
			WithHint("choose another, or leave it out to have a free one chosen")
	}
	return subnet, nil
}

// takenSubnets are those that a chosen one must keep clear of.
func (e *Engine) takenSubnets(s *state) []netip.Prefix {
	var taken []netip.Prefix
	for _, n := range s.networks {
		for _, a := range []*addressing{n.IPv4, n.IPv6} {
			if a != nil {
				taken = append(taken, a.Subnet)
			}
		}
	}
	for _, route := range e.kernel.facts.Routes {
		if !halfOfAll(route) {
			taken = append(taken, route)
		}
	}
	for _, a := range e.kernel.facts.Addrs {
		if p := a.Prefix.Masked(); !halfOfAll(p) {
			taken = append(taken, p)
		}
	}
	return taken
}

// RemoveNetwork removes a network that nobody is on. It fails with ErrNotFound or ErrInUse.
func (e *Engine) RemoveNetwork(ctx context.Context, ref string) error {
	return e.request(ctx, "remove network "+ref, func(next *state) error {
		n, err := next.network(ref)
		if err != nil {
			return err
		}
		on := next.endpointsOf(n.ID)
		if len(on) > 0 {
			names := make([]string, len(on))
			for i, c := range on {
				names[i] = c.Name
			}
			return api.Errorf(api.InUse, "network %s has %s: %s", n.Name, count(len(on), "container"), strings.Join(names, ", ")).
				WithHint("take them off first: vethway network disconnect %s %s", n.Name, names[0])
		}
		e.forgetNetwork(next, n)
		return nil
	})
}

// PruneNetworks removes the networks that nobody is on and that match all filters, and returns their names.
func (e *Engine) PruneNetworks(ctx context.Context, filters []string) (api.NetworksPruned, error) {
	match, err := parseFilters(filters)
	if err != nil {
		return api.NetworksPruned{}, err
	}
	var pruned []string
	err = e.request(ctx, "prune networks", func(next *state) error {
		pruned = nil
		for _, n := range next.sortedNetworks() {
			if len(next.endpointsOf(n.ID)) == 0 && match(n) {
				e.forgetNetwork(next, n)
				pruned = append(pruned, n.Name)
			}
		}
		return nil
	})
	if err != nil {
		pruned = nil
	}
	return api.NetworksPruned{NetworksDeleted: pruned}, err
}

func (e *Engine) forgetNetwork(next *state, n *network) {
	delete(next.networks, n.ID)
	delete(next.leases, n.ID)
	delete(e.pools, n.ID)
}

var errNoFilter = errors.New("write it as name=, id=, label= or driver=, and a value")

// parseFilters reads what was given to --filter, with Docker's meaning.
func parseFilters(filters []string) (func(*network) bool, error) {
	byKey := map[string][]string{}
	for _, f := range filters {
		key, value, ok := strings.Cut(f, "=")
		switch key {
		case "name", "id", "label", "driver":
		default:
			ok = false
		}
		if !ok || value == "" {
			return nil, api.Errorf(api.InvalidArgument, "filter %q is not valid", f).WithHint("%s", errNoFilter)
		}
		byKey[key] = append(byKey[key], value)
	}
	oneOf := func(key string, match func(value string) bool) bool {
		for _, value := range byKey[key] {
			if match(value) {
				return true
			}
		}
		return len(byKey[key]) == 0
	}
	return func(n *network) bool {
		for _, label := range byKey["label"] {
			key, value, exact := strings.Cut(label, "=")
			have, ok := n.Labels[key]
			if !ok || exact && have != value {
				return false
			}
		}
		return oneOf("name", func(v string) bool { return strings.Contains(n.Name, v) }) &&
			oneOf("id", func(v string) bool { return strings.HasPrefix(n.ID, v) }) &&
			oneOf("driver", func(v string) bool { return v == api.Driver })
	}, nil
}
