// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Names spells the values of the programs' enums. They are taken from type information (BTF), either of the pinned
// maps, which know also what a newer program has to say, or of the object that this binary carries.
type Names struct{ hooks, reasons, kinds, actions, addresses map[uint32]string }

// types is what both an object's and a map's type information offer.
type types interface {
	TypeByName(name string, typ any) error
}

// NamesOf takes the names out of the type information of an object.
func NamesOf(spec *ebpf.CollectionSpec) (Names, error) {
	var n Names
	err := n.load(spec.Types)
	return n, err
}

func (n *Names) load(from types) error {
	if err := n.loadCounters(from); err != nil {
		return err
	}
	if err := n.loadFlows(from); err != nil {
		return err
	}
	var err error
	n.addresses, err = enumNames(from, "address_kind", "ADDRESS_")
	return err
}

func (n *Names) loadCounters(from types) (err error) {
	if n.hooks, err = enumNames(from, "hook", "HOOK_"); err != nil {
		return err
	}
	n.reasons, err = enumNames(from, "drop_reason", "DROP_")
	return err
}

func (n *Names) loadFlows(from types) (err error) {
	if n.kinds, err = enumNames(from, "flow_kind", "FLOW_"); err != nil {
		return err
	}
	n.actions, err = enumNames(from, "flow_action", "FLOW_")
	return err
}

// enumNames turns FLOW_TO_PEER into to-peer.
func enumNames(from types, enum, prefix string) (map[uint32]string, error) {
	var e *btf.Enum
	if err := from.TypeByName(enum, &e); err != nil {
		return nil, fmt.Errorf("names of enum %s: %w", enum, err)
	}
	names := make(map[uint32]string, len(e.Values))
	for _, v := range e.Values {
		name := strings.ToLower(strings.TrimPrefix(v.Name, prefix))
		names[uint32(v.Value)] = strings.ReplaceAll(name, "_", "-")
	}
	return names, nil
}

// Hook is the name of a hook, such as from-container.
func (n Names) Hook(v uint32) string { return spell(n.hooks, v) }

// Reason is the name of a drop reason, such as spoofed-ip.
func (n Names) Reason(v uint32) string { return spell(n.reasons, v) }

// FlowKind is the name of a kind of flows, such as masquerade.
func (n Names) FlowKind(k FlowKind) string { return spell(n.kinds, uint32(k)) }

// AddressKind is the name of a kind of addresses, such as local.
func (n Names) AddressKind(k AddressKind) string { return spell(n.addresses, uint32(k)) }

func (n Names) flowAction(v uint8) string { return spell(n.actions, uint32(v)) }

func spell(names map[uint32]string, v uint32) string {
	if s, ok := names[v]; ok {
		return s
	}
	return strconv.FormatUint(uint64(v), 10)
}

// number finds the value of a name, or reads a number.
func number(names map[uint32]string, what, s string) (uint32, error) {
	for v, name := range names {
		if name == s {
			return v, nil
		}
	}
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s %q is not known", what, s)
	}
	return uint32(v), nil
}
