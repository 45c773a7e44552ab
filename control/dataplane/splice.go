// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"fmt"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/maps"
)

// planSplice notes whose connections are spliced on a network: its containers' and, by its gateways, the host's.
func (p *plan) planSplice(n control.DataplaneNetwork) error {
	if !n.Splice {
		return nil
	}
	common := maps.SplicedAddress{Namespace: maps.HostNamespace, Network: n.ID, Slot: maps.HostSlot}
	if len(n.SplicePorts) > len(common.Ports) {
		return fmt.Errorf("%d ports to splice are more than %d", len(n.SplicePorts), len(common.Ports))
	}
	copy(common.Ports[:], n.SplicePorts)
	p.splice[n.ID] = common
	for _, gateway := range n.Gateways {
		p.spliced[gateway] = common
	}
	return nil
}

// spliceEndpoint does the same for a container, and says which program its interface needs.
func (p *plan) spliceEndpoint(e control.DataplaneEndpoint, slot, generation uint32) loader.Kind {
	at, ok := p.splice[e.Network]
	if !ok || e.NamespaceID < 0 {
		return loader.Veth
	}
	at.Namespace, at.Index, at.Slot, at.Generation = int32(e.NamespaceID), uint32(e.HostIndex), slot, generation
	for _, a := range e.Addrs {
		p.spliced[a] = at
	}
	return loader.Spliced
}

// useSplice comes before the first connection is spliced, or after the last network that asked for it has gone.
func (d *Dataplane) useSplice(on bool) error {
	if err := d.loader.Splice(on); err != nil {
		return fmt.Errorf("splice connections: %w", err)
	}
	return nil
}

// splices calls yield for every connection that is spliced, until it returns false or an error.
func (d *Dataplane) splices(ctx context.Context, yield func(control.Flow) bool) (more bool, err error) {
	more = true
	now := uint32(d.cfg.Clock() / time.Second)
	each := d.maps.Splices.Each(func(k maps.SpliceKey, v maps.Splice) bool {
		if err = ctx.Err(); err != nil {
			return false
		}
		// Each of the two ends has an entry: the connection is listed with the lower one's.
		if v.Flags&maps.SpliceRefused != 0 || k.Local.Compare(k.Remote) > 0 {
			return true
		}
		other, ok, inner := d.maps.Splices.Lookup(k.Reverse())
		if err = inner; err != nil {
			return false
		}
		if ok {
			more = yield(d.spliceFlow(k, v, other, now))
		}
		return more
	})
	if each != nil {
		err = each
	}
	return more && err == nil, err
}

// spliceFlow describes a connection. What an end has received, the other has sent; who began it, the higher port says, as a rule.
func (d *Dataplane) spliceFlow(k maps.SpliceKey, end, other maps.Splice, now uint32) control.Flow {
	if k.Local.Port() < k.Remote.Port() {
		k, end, other = k.Reverse(), other, end
	}
	seen := max(end.Seen, other.Seen, end.Started)
	return control.Flow{
		Proto: "tcp", Kind: control.KindSpliced, State: "ESTABLISHED", Network: end.Network,
		Original: control.Tuple{Src: k.Local, Dst: k.Remote}, Reply: control.Tuple{Src: k.Remote, Dst: k.Local},
		Packets: other.Messages, Bytes: other.Bytes, RPackets: end.Messages, RBytes: end.Bytes,
		Idle: time.Duration(maps.Age(now, seen)) * time.Second,
	}
}
