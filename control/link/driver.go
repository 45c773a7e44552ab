// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
)

// nameDrivers says which driver uplinks have that are devices. What the kernel makes itself has a kind instead. Without an answer
// nobody takes the interface for a device, which is a matter of speed alone.
func (l *Links) nameDrivers(uplinks []control.UplinkFacts, links []netlink.Link) {
	devices := map[int]bool{}
	for _, link := range links {
		devices[link.Attrs().Index] = link.Type() == "device"
	}
	for i, u := range uplinks {
		if !devices[u.Index] {
			continue
		}
		driver, err := l.driver(u.Name)
		if err != nil {
			l.log.Debug("no driver", "interface", u.Name, "error", err)
		}
		uplinks[i].Driver = driver
	}
}

// driver asks an interface of the host's namespace.
func (l *Links) driver(name string) (driver string, err error) {
	err = l.ns.do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		info, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
		if err != nil {
			return err
		}
		driver = unix.ByteSliceToString(info.Driver[:])
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("ask for the driver of %s: %w", name, err)
	}
	return driver, nil
}
