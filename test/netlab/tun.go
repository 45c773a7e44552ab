// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Tun is a tun interface, like that of a VPN: the kernel has one end, Go the
// other. It carries IP packets without an Ethernet header.
type Tun struct {
	Dev  string
	file *os.File
}

// AddTun makes a tun interface in the namespace and brings it up.
func (n *Namespace) AddTun(dev string) (*Tun, error) {
	fail := func(err error) (*Tun, error) {
		return nil, fmt.Errorf("add tun %s in %s: %w", dev, n.name, err)
	}
	fd := -1
	err := n.Do(func() (err error) {
		fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		return err
	})
	if err != nil {
		return fail(err)
	}
	ifr, err := unix.NewIfreq(dev)
	if err == nil {
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		return fail(err)
	}
	// Only now: before TUNSETIFF the runtime's poller would see an error on
	// the descriptor, for ever.
	t := &Tun{Dev: dev, file: os.NewFile(uintptr(fd), "/dev/net/tun")}
	if err := n.SetUp(dev); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// AddTun gives the host the interface tun0 with 10.8.0.1/24 and fd08::1/64,
// as a VPN server would have it; clients have the other addresses.
func (t *Topology) AddTun() (*Tun, error) {
	tun, err := t.Host.AddTun("tun0")
	if err != nil {
		return nil, err
	}
	t.OnClose(tun.Close)
	return tun, errors.Join(
		t.Host.AddAddr("tun0", netip.MustParsePrefix("10.8.0.1/24")),
		t.Host.AddAddr("tun0", netip.MustParsePrefix("fd08::1/64")),
	)
}

// Inject has an IP packet arrive on the interface.
func (t *Tun) Inject(packet []byte) error {
	if _, err := t.file.Write(packet); err != nil {
		return fmt.Errorf("inject on %s: %w", t.Dev, err)
	}
	return nil
}

// Receive returns the first packet that the kernel sent out of the interface
// and that the filter accepts, or the context's error.
func (t *Tun) Receive(ctx context.Context, filter func(packet []byte) bool) ([]byte, error) {
	defer context.AfterFunc(ctx, func() { _ = t.file.SetReadDeadline(time.Now()) })()
	defer func() { _ = t.file.SetReadDeadline(time.Time{}) }()
	buf := make([]byte, 65536)
	for {
		n, err := t.file.Read(buf)
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("receive on %s: %w", t.Dev, err)
		}
		if filter == nil || filter(buf[:n]) {
			return append([]byte(nil), buf[:n]...), nil
		}
	}
}

// Close removes the interface.
func (t *Tun) Close() error {
	if err := t.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
