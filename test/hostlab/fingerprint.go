// SPDX-License-Identifier: Apache-2.0

package hostlab

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vethway/vethway/test/netlab"
)

// fingerprint is what must be on the host after an uninstall as it was before the start.
type fingerprint struct {
	links   []string
	sysctls map[string]string
}

// sysctls are those that container networking is known to change.
func sysctls() []string {
	return []string{
		"net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding", "net.ipv4.conf.default.forwarding",
		"net.ipv6.conf.all.forwarding", "net.ipv6.conf.default.forwarding",
		"net.ipv4.conf.all.route_localnet", "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.default.rp_filter",
		"net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_local_port_range",
	}
}

func takeFingerprint(host *netlab.Namespace) (fingerprint, error) {
	f := fingerprint{sysctls: map[string]string{}}
	links, err := host.Links()
	if err != nil {
		return f, err
	}
	for _, l := range links {
		f.links = append(f.links, l.Name)
	}
	for _, key := range sysctls() {
		if f.sysctls[key], err = host.Sysctl(key); err != nil {
			return f, err
		}
	}
	return f, nil
}

// check compares. Interfaces that a test added itself are no fault: they are told by their names.
func (f fingerprint) check(host *netlab.Namespace) error {
	now, err := takeFingerprint(host)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range now.links {
		if ours(name) && !slices.Contains(f.links, name) {
			errs = append(errs, fmt.Errorf("interface %s is left on the host", name))
		}
	}
	for key, want := range f.sysctls {
		if got := now.sysctls[key]; got != want {
			errs = append(errs, fmt.Errorf("sysctl %s is left at %q, it was %q", key, got, want))
		}
	}
	return errors.Join(errs...)
}

// ours knows the names of bridges and veths that vethwayd makes.
func ours(link string) bool { return len(link) > 2 && link[:2] == "vw" }
