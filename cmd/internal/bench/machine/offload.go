// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/test/netlab"
)

// feature is an offload that `ethtool -k` lists, and the ioctl's number for asking about it.
type feature struct {
	name    string
	command uint32
	// vital ones cost a veth most of its throughput when they are off.
	vital bool
}

func features() []feature {
	return []feature{
		{"rx", unix.ETHTOOL_GRXCSUM, false},
		{"tx", unix.ETHTOOL_GTXCSUM, true},
		{"sg", unix.ETHTOOL_GSG, true},
		{"tso", unix.ETHTOOL_GTSO, true},
		{"gso", unix.ETHTOOL_GGSO, true},
		{"gro", unix.ETHTOOL_GGRO, false},
	}
}

// Describe records how a target's interfaces and its host are set. The second result names every veth whose offloads
// are not those of a fresh one: its figures are not to be compared with others.
func Describe(site target.Site) (report.Setting, []string, error) {
	setting := report.Setting{Devices: make(map[string]string), Sysctls: make(map[string]string)}
	var warnings []string
	for i, ns := range site.Namespaces() {
		if i == 0 {
			describeHost(ns, setting.Sysctls)
		}
		links, err := ns.Links()
		if err != nil {
			return report.Setting{}, nil, fmt.Errorf("describe target %s: %w", site.Name(), err)
		}
		for _, link := range links {
			if link.Kind != "veth" && link.Kind != "bridge" {
				continue
			}
			name := ns.Name() + "/" + link.Name
			state, off, err := offloads(ns, link.Name)
			if err != nil {
				return report.Setting{}, nil, fmt.Errorf("describe target %s: %w", site.Name(), err)
			}
			setting.Devices[name] = fmt.Sprintf("%s mtu %d gso_max_size %v gro_max_size %v %s", link.Kind, link.MTU, link.GSO, link.GRO, state)
			if link.Kind == "veth" && len(off) > 0 {
				warnings = append(warnings, fmt.Sprintf("%s: %s off", name, strings.Join(off, ", ")))
			}
		}
	}
	return setting, warnings, nil
}

func describeHost(ns *netlab.Namespace, into map[string]string) {
	for _, key := range []string{
		"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.ip_local_port_range",
		"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables", "net.netfilter.nf_conntrack_max",
	} {
		// A kernel without the module has no such key.
		if value, err := ns.Sysctl(key); err == nil {
			into[key] = strings.Join(strings.Fields(value), " ")
		}
	}
}

func offloads(ns *netlab.Namespace, device string) (state string, off []string, err error) {
	err = withSocket(ns, func(fd int) error {
		var states []string
		for _, f := range features() {
			on, err := ethtoolFlag(fd, device, f.command)
			if err != nil {
				return fmt.Errorf("ask for %s of %s: %w", f.name, device, err)
			}
			if f.vital && !on {
				off = append(off, f.name)
			}
			states = append(states, f.name+" "+map[bool]string{true: "on", false: "off"}[on])
		}
		state = strings.Join(states, " ")
		return nil
	})
	return state, off, err
}

// GRO tells whether a device puts together what it receives.
func GRO(ns *netlab.Namespace, device string) (on bool, err error) {
	err = withSocket(ns, func(fd int) error {
		if on, err = ethtoolFlag(fd, device, unix.ETHTOOL_GGRO); err != nil {
			return fmt.Errorf("ask for gro of %s in %s: %w", device, ns, err)
		}
		return nil
	})
	return on, err
}

// SetGRO turns that on or off.
func SetGRO(ns *netlab.Namespace, device string, on bool) error {
	return withSocket(ns, func(fd int) error {
		value := ethtoolValue{command: unix.ETHTOOL_SGRO}
		if on {
			value.data = 1
		}
		if err := ethtool(fd, device, &value); err != nil {
			return fmt.Errorf("set gro of %s in %s: %w", device, ns, err)
		}
		return nil
	})
}

func withSocket(ns *netlab.Namespace, f func(fd int) error) error {
	return ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("make socket: %w", err)
		}
		defer unix.Close(fd)
		return f(fd)
	})
}

// ethtoolValue is the kernel's struct ethtool_value, for which x/sys has no wrapper.
type ethtoolValue struct{ command, data uint32 }

func ethtoolFlag(fd int, device string, command uint32) (bool, error) {
	value := ethtoolValue{command: command}
	err := ethtool(fd, device, &value)
	return value.data != 0, err
}

func ethtool(fd int, device string, value *ethtoolValue) error {
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(value)}
	copy(request.name[:unix.IFNAMSIZ-1], device)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}
